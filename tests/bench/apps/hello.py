"""The least an application can do."""

from collections.abc import Callable, Iterable

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "13")]
BODY = [b"Hello, world\n"]


def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return BODY
