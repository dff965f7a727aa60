"""Every honest application here, with ``wsgiref.validate`` between it and the server."""

from wsgiref.validate import validator

import environ as about
import responses
import stream


def read_all(environ, start_response):
    """Reads the body in every way that the validator lets through."""
    source = environ["wsgi.input"]
    given = [source.read(3), source.readline(100), *source.readlines(5), *source, source.read(-1)]
    return stream.answer(start_response, repr(b"".join(given)))


def no_content(environ, start_response):
    """204, which has no body and no type."""
    start_response("204 No Content", [])
    return []


BY_PATH = {path: validator(function) for path, function in responses.HONEST.items()} | {
    "/environ": validator(about.complain),
    "/read_all": validator(read_all),
    "/stream": validator(stream.application),
    "/no_content": validator(no_content),
}


def application(environ, start_response):
    """Each application under its name."""
    return BY_PATH[environ["PATH_INFO"]](environ, start_response)
