"""A body of 64 KiB in one piece."""

from collections.abc import Callable, Iterable

BODY = [b"x" * 65536]
HEADERS = [("Content-Type", "application/octet-stream"), ("Content-Length", "65536")]


def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return BODY
