"""Reads the whole request body as frameworks do, in pieces of 64 KiB, and answers its length."""

from collections.abc import Callable, Iterable

CHUNK = 64 * 1024


def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
    remaining = int(environ["CONTENT_LENGTH"])
    received = 0
    while remaining:
        chunk = environ["wsgi.input"].read(min(CHUNK, remaining))
        if not chunk:
            break
        received += len(chunk)
        remaining -= len(chunk)
    body = b"%d\n" % received
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
