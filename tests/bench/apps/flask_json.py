"""Flask answering a small JSON document."""

from flask import Flask, Response, jsonify

application = Flask(__name__)


@application.get("/")
def items() -> Response:
    return jsonify(items=[{"id": number, "name": f"item {number}"} for number in range(10)])
