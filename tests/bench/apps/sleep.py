"""Waits without the GIL, as for a database: for 10 ms, or for as many milliseconds as the path says."""

import time
from collections.abc import Callable, Iterable

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "6")]
BODY = [b"slept\n"]


def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
    time.sleep(int(environ["PATH_INFO"].lstrip("/") or 10) / 1000)
    start_response("200 OK", HEADERS)
    return BODY
