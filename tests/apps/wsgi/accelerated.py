"""Responses that name a file in place of a body."""

from urllib.parse import parse_qsl


def application(environ, start_response):
    """Sends the query's fields as the response's; ``status`` is the status."""
    fields = parse_qsl(environ["QUERY_STRING"], keep_blank_values=True, encoding="latin-1")
    status = dict(fields).get("status", "200 OK")
    start_response(status, [field for field in fields if field[0] != "status"])
    return [b"the application's body"]
