"""What the server tells an application about the request."""

import io
import json
import os
import threading


def application(environ, start_response):
    """Answers with the environ as JSON; what is no text, as its type's name."""
    shown = {key: value if is_plain(value) else type(value).__name__ for key, value in environ.items()}
    shown["input is readable"] = hasattr(environ["wsgi.input"], "readlines")
    shown["errors is writable"] = hasattr(environ["wsgi.errors"], "writelines")
    shown["environ is a dict"] = type(environ) is dict
    shown["on main thread"] = threading.current_thread() is threading.main_thread()
    shown["body"] = environ["wsgi.input"].read().decode("latin-1")
    body = json.dumps(shown).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def is_plain(value) -> bool:
    """Whether JSON has a form of its own for ``value``."""
    return isinstance(value, (str, bool, int, list, tuple))


def variables(environ, start_response):
    """Answers with the environment of the process as JSON."""
    body = json.dumps(dict(os.environ)).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def complain(environ, start_response):
    """Writes to the error log in every way that PEP 3333 names."""
    errors = environ["wsgi.errors"]
    errors.write("one line by write\n")
    errors.writelines(["two lines ", "by writelines\n"])
    print("three lines by print: \N{SNOWMAN}", file=errors)
    errors.flush()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"complained"]


def echo(environ, start_response):
    """Sends the body back."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [body]


def reading(environ, start_response):
    """Reads the body by the calls in the query, and lists what each gave.

    With ``/bytesio`` as path, ``io.BytesIO`` of the body is asked in place of
    ``wsgi.input``: what it gives is right by definition.
    """
    source = environ["wsgi.input"]
    if environ["PATH_INFO"] == "/bytesio":
        source = io.BytesIO(source.read())
    given = [call(source, text) for text in environ["QUERY_STRING"].split(";")]
    body = json.dumps(given).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def call(source, text):
    """Calls ``read:5``, ``readline:``, ``iterate:`` and so on; ``:`` separates arguments."""
    name, *arguments = text.split(":")
    arguments = [None if word == "None" else int(word) for word in arguments if word]
    try:
        given = next(source, b"(end)") if name == "next" else None
        given = list(source) if name == "iterate" else given
        given = getattr(source, name)(*arguments) if given is None else given
    except Exception as error:
        return type(error).__name__
    if given is None or isinstance(given, int):
        return given
    if isinstance(given, bytes):
        return given.decode("latin-1")
    return [piece.decode("latin-1") for piece in given]
