"""Memory of idle connections: how much the worker grows by some hundreds of them, with TLS and without."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack
from dataclasses import replace

import measure as measuring
from measure import Bench, Unfit
from processes import Tree, status_kb
from scenarios import FORWARDED, HTTPS_HELLO, Scenario
from servers import Server

CONNECTIONS = 400
QUIET_SECONDS = 0.5
"""How long the worker may take to give back what it needs during a request."""
PLAIN = replace(FORWARDED, name="idle", header="")


def measure(bench: Bench, server: Server) -> dict[str, float]:
    """KiB a connection, by scheme."""
    return {"http": _grown(bench, server, PLAIN), "https": _grown(bench, server, HTTPS_HELLO)}


def _grown(bench: Bench, server: Server, scenario: Scenario) -> float:
    with measuring.serving(bench, server, scenario) as (tree, port), ExitStack() as connections:
        # The first ones grow what is used for all of them.
        for _ in range(CONNECTIONS // 4):
            _use(connections, scenario, port)
        before = _anonymous(tree)
        for _ in range(CONNECTIONS):
            _use(connections, scenario, port)
        return (_anonymous(tree) - before) / CONNECTIONS


def _anonymous(tree: Tree) -> int:
    """Anonymous memory of all processes, in KiB, when nothing happens."""
    time.sleep(QUIET_SECONDS)
    return sum(status_kb(process.pid, "RssAnon") for process in tree.processes())


def _use(connections: ExitStack, scenario: Scenario, port: int) -> None:
    """Opens a connection for one request, and keeps it."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=measuring.READY_SECONDS)
    connection = ssl._create_unverified_context().wrap_socket(plain) if scenario.tls else plain
    connections.callback(connection.close)
    connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    received = b""
    while not received.endswith(b"Hello, world\n"):
        piece = connection.recv(4096)
        if not piece:
            raise Unfit("it closes a connection that is to be kept")
        received += piece
