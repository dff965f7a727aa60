"""Answers at once, but for `/slow`, which waits for 50 ms without the GIL."""

import time
from collections.abc import Callable, Iterable

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "13")]
BODY = [b"Hello, world\n"]


def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.050)
    start_response("200 OK", HEADERS)
    return BODY
