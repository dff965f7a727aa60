"""Bodies that come piece by piece, when a test says so."""

import os
import signal
import threading
from urllib.parse import parse_qs


def told(environ) -> str:
    """The path of the named pipe that the query gives as ``pipe``."""
    return parse_qs(environ["QUERY_STRING"])["pipe"][0]


def application(environ, start_response):
    """Yields a line as soon as the test writes it into the named pipe."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    with open(told(environ), "rb") as pipe:
        yield from pipe


def counted(environ, start_response):
    """The same with a Content-Length."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "8")])
    with open(told(environ), "rb") as pipe:
        yield from pipe


def wait(environ, start_response):
    """Waits until the test opens the named pipe, then says who has answered.

    Says into ``pipe``.started that it waits: a test must know that a request
    is being worked on before it pulls the rug.
    """
    pipe = told(environ)
    with open(pipe + ".started", "a") as started:
        started.write(f"{os.getpid()} {threading.get_ident()}\n")
    with open(pipe, "rb") as line:
        line.read()
    return answer(start_response, str(os.getpid()))


def who(environ, start_response):
    """Says which process answers."""
    return answer(start_response, str(os.getpid()))


def route(environ, start_response):
    """``/wait`` waits, ``/stream`` streams, any other path says who answers."""
    by_path = {"/wait": wait, "/stream": application, "/counted": counted}
    return by_path.get(environ["PATH_INFO"], who)(environ, start_response)


def stubborn(environ, start_response):
    """Waits like ``wait``, deaf to every signal that can be ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    return route(environ, start_response)


def endless(environ, start_response):
    """Never runs dry; a client that does not read must not fill the memory."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    while True:
        yield bytes(65536)


def large(environ, start_response):
    """One piece of as many bytes as the query says."""
    body = b"x" * int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def answer(start_response, text: str):
    """A short plain answer."""
    body = text.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
