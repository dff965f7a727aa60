"""A Flask application: JSON, a form, an upload, a stream, errors."""

from flask import Flask, Response, abort, jsonify, redirect, request, send_file, session, url_for

app = Flask(__name__)
app.secret_key = "only for tests"
app.config["MAX_CONTENT_LENGTH"] = 8 * 1024 * 1024


@app.get("/")
def hello():
    """Greets whoever this browser said it is."""
    return f"Hello, {session.get('name', 'stranger')}\n"


@app.post("/name")
def name():
    """Takes a form."""
    session["name"] = request.form["name"]
    return redirect(url_for("hello"), code=303)


@app.post("/sum")
def add():
    """Adds up a list of numbers: JSON in, JSON out."""
    return jsonify(sum=sum(request.get_json()["numbers"]))


@app.post("/upload")
def upload():
    """Says what was uploaded."""
    file = request.files["file"]
    content = file.read()
    return jsonify(name=file.filename, size=len(content), checksum=sum(content) % 65521)


@app.get("/rows/<int:count>")
def rows(count):
    """Streams numbered rows."""
    return Response((f"row {n}\n" for n in range(count)), mimetype="text/plain")


@app.get("/source")
def source():
    """This very file, through ``wsgi.file_wrapper``."""
    return send_file(__file__, mimetype="text/x-python", conditional=True)


@app.get("/teapot")
def teapot():
    """An error on purpose."""
    abort(418)


@app.get("/broken")
def broken():
    """An exception that nobody handles but Flask."""
    raise RuntimeError("broken on purpose")
