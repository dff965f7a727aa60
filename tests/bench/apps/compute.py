"""Computes, by path: `/` 80 µs, `/locked` the same with a lock, `/light` 0.1 ms, `/page` 50 ms; `/sleep` waits 10 ms.

Libraries take locks in most requests: Django's signals and caches, logging, connection pools. `/locked` does so ten
times, and computes as much with the lock as without.
"""

import threading
import time
from collections.abc import Callable, Iterable

from computing import compute

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "9")]
BODY = [b"computed\n"]
LOCK = threading.RLock()


def locked() -> None:
    for _ in range(10):
        with LOCK:
            compute(4)
        compute(4)


WORK: dict[str, Callable[[], object]] = {
    "/": lambda: compute(80),
    "/locked": locked,
    "/light": lambda: compute(100),
    "/page": lambda: compute(50_000),
    "/sleep": lambda: time.sleep(0.010),
}


def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
    WORK[environ["PATH_INFO"]]()
    start_response("200 OK", HEADERS)
    return BODY
