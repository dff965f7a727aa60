"""What a proxy changes, and what it must not: the environ, uploads, large responses."""

import hashlib
import os

from environ import application as environ_of


def application(environ, start_response):
    """``/environ``, ``/upload``, ``/large?BYTES``; any other path says which process answers."""
    if environ["PATH_INFO"] == "/environ":
        return environ_of(environ, start_response)
    if environ["PATH_INFO"] == "/upload":
        return answer(start_response, digest(environ["wsgi.input"]).encode())
    if environ["PATH_INFO"] == "/large":
        return answer(start_response, pattern(int(environ["QUERY_STRING"])))
    return answer(start_response, str(os.getpid()).encode())


def digest(body) -> str:
    """The length and the SHA-256 of a body."""
    found, length = hashlib.sha256(), 0
    while piece := body.read(65536):
        found.update(piece)
        length += len(piece)
    return f"{length} {found.hexdigest()}"


def pattern(length: int) -> bytes:
    """Bytes that show where a piece is missing or doubled."""
    numbers = b"".join(b"%07d\n" % number for number in range(length // 8 + 1))
    return numbers[:length]


def answer(start_response, body: bytes):
    """A plain answer with its length."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
