"""Asks a database that answers after 1 ms, over a connection that each thread keeps, and computes for 0.3 ms."""

import os
import socket
import threading
from collections.abc import Callable, Iterable

from computing import compute

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "6")]
BODY = [b"found\n"]
DATABASE = os.environ["BENCH_DATABASE"]
LOCAL = threading.local()


def connection() -> socket.socket:
    """This thread's connection to the database."""
    try:
        kept: socket.socket = LOCAL.connection
    except AttributeError:
        host, port = DATABASE.rsplit(":", 1)
        kept = LOCAL.connection = socket.create_connection((host, int(port)))
        kept.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return kept


def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
    database = connection()
    database.sendall(b"?")
    if database.recv(1) != b"?":
        raise ConnectionError("the database has closed the connection")
    compute(300)
    start_response("200 OK", HEADERS)
    return BODY
