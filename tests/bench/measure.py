"""One measurement: a fresh server under one scenario's load, and what that cost."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import environments
import load
import places
from load import Times
from machine import Cores
from processes import Memory, Tree, started
from scenarios import UPLOAD_BYTES, Scenario
from servers import Launch, Server

READY_SECONDS = 15.0
DATABASE_MICROSECONDS = 1000


class Unfit(Exception):
    """The server did not start, or gives a wrong answer."""


@dataclass(frozen=True)
class Bench:
    """What stays the same in a run."""

    monoceros: Path
    server_core: int
    load_core: int
    seconds: float

    def cores(self, scenario: Scenario) -> tuple[int | None, int | None]:
        """The core of the server and that of the client; None where they share all."""
        return (self.server_core, self.load_core) if scenario.pinned else (None, None)


@dataclass(frozen=True)
class Measurement:
    """One server in one round of one scenario."""

    cpu_us: float
    """Processor time of the whole process tree, in microseconds a request."""
    rate: float
    """Requests a second."""
    times: dict[str, Times]
    """How long requests took, by kind; those of `all` are always there, if there are answers."""
    memory: Memory
    errors: str
    foreign: float
    """The share of the server's cores that other programs took meanwhile."""
    switches: float = 0.0
    """Context switches of the whole process tree a request."""


def measure(bench: Bench, server: Server, scenario: Scenario, seed: int) -> Measurement:
    """Starts, checks, warms, loads and ends the server."""
    server_core, load_core = bench.cores(scenario)
    with serving(bench, server, scenario) as (tree, port):
        load.warm_up(scenario, port, load_core)
        cores = Cores(os.sched_getaffinity(0) if server_core is None else [server_core])
        cpu_before, switches_before = tree.cpu_seconds(), tree.switches()
        result = load.run(scenario, port, load_core, bench.seconds, seed)
        cpu, switches = tree.cpu_seconds() - cpu_before, tree.switches() - switches_before
        foreign = cores.foreign(cpu + (result.client_cpu if server_core is None else 0))
        memory = tree.memory()
    if result.requests == 0 or "all" not in result.times:
        raise Unfit("it answered no request")
    return Measurement(
        cpu / result.requests * 1e6, result.rate, result.times, memory, result.errors, foreign,
        switches / result.requests)


@contextmanager
def serving(bench: Bench, server: Server, scenario: Scenario) -> Iterator[tuple[Tree, int]]:
    """The server, started and giving right answers, at a port of its own; ended with the block."""
    port = free_port()
    command = server.command(Launch(scenario, port, environments.programs(server), bench.monoceros))
    environment = {**os.environ, "PYTHONPATH": str(places.APPS), "PYTHONDONTWRITEBYTECODE": "1"}
    log = places.SCRATCH / f"{server.name}.log"
    with ExitStack() as beside:
        if scenario.database:
            environment["BENCH_DATABASE"] = beside.enter_context(database())
        tree = beside.enter_context(started(command, bench.cores(scenario)[0], environment, log))
        _await_ready(tree, port)
        _check(tree, server, scenario, port)
        yield tree, port


@contextmanager
def database() -> Iterator[str]:
    """The address of what stands for a database, which ends with the block."""
    command = [str(places.DATABASE), str(DATABASE_MICROSECONDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            if not address:
                raise Unfit("the database does not start")
            yield address
        finally:
            process.kill()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _await_ready(tree: Tree, port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if tree.exit_code is not None:
            raise Unfit(f"it exits with {tree.exit_code}: {tree.last_words()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise Unfit(f"it does not listen after {READY_SECONDS:.0f} s: {tree.last_words()}")


def _check(tree: Tree, server: Server, scenario: Scenario, port: int) -> None:
    """One request whose answer is read in full; the application may still be loading."""
    connection = _connection(scenario, port)
    try:
        if scenario.upload:
            connection.request("POST", scenario.path, body=b"x" * UPLOAD_BYTES)
        else:
            connection.request("GET", scenario.path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unfit(f"it does not answer: {error}; {tree.last_words()}") from error
    finally:
        connection.close()
    right = len(body) == scenario.least_bytes if server.name == "floor" else scenario.accepts(body)
    if response.status != 200 or not right:
        raise Unfit(f"wrong answer: {response.status} {body[:60]!r}")


def _connection(scenario: Scenario, port: int) -> http.client.HTTPConnection:
    if not scenario.tls:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    # The certificate is of this run, and the server is the one that was started.
    context = ssl._create_unverified_context()
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=READY_SECONDS, context=context)
