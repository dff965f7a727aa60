"""Waits for 10 ms without the GIL, as for a database."""

import time
from collections.abc import Callable, Iterable

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "6")]
BODY = [b"slept\n"]


def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
    time.sleep(0.010)
    start_response("200 OK", HEADERS)
    return BODY
