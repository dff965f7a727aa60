"""The servers: how each is started for a scenario, in the way its own documentation recommends for production.

Workers and threads as the scenario says, no access log, a backlog that holds every connection. Where a server has
several ways to serve the same load, the one that costs it least is taken, and the choice is said in `note`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import certificate
import nginx
import places
from scenarios import Group, Scenario


@dataclass(frozen=True)
class Launch:
    """What one start of a server is given."""

    scenario: Scenario
    port: int
    bin: Path
    """The directory of programs of the server's virtual environment."""
    monoceros: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def workers(self) -> str:
        return str(self.scenario.workers)

    @property
    def threads(self) -> str:
        return str(self.scenario.threads)

    def threads_at_least(self, number: int) -> str:
        """For servers that are slower with fewer; where threads are what is compared, all have the same number."""
        return str(max(number, self.scenario.threads)) if self.scenario.group is Group.COST else self.threads


@dataclass(frozen=True)
class Server:
    """One way of serving."""

    name: str
    command: Callable[[Launch], list[str]]
    packages: tuple[str, ...] = ()
    """What its virtual environment holds besides the frameworks; the first is the one whose version is shown."""
    venv: str = ""
    """Its virtual environment, if it is not called as the server."""
    threaded: bool = True
    """Whether requests can run on several threads of one process."""
    forking: bool = False
    """Whether it can have several workers."""
    variant: bool = False
    """Another way of running Monoceros, measured only where a scenario names it."""
    note: str = ""
    hint: str = ""
    """What an installation may lack."""

    installed: bool = False
    """A program of the system, which has no virtual environment."""
    named: bool = False
    """Whether it takes part only where a scenario names it."""

    @property
    def environment(self) -> str:
        return self.venv or self.name

    def takes_part(self, scenario: Scenario) -> bool:
        if self.variant:
            return self.name in scenario.variants
        if self.name == "floor":
            return scenario.floor
        if (scenario.servers or self.named) and self.name not in scenario.servers:
            return False
        return (self.threaded or not scenario.needs_threads) and (self.forking or scenario.workers == 1)


def monoceros(
    launch: Launch, workers: str = "", threads: str = "", access_log: bool = False, further: tuple[str, ...] = (),
) -> list[str]:
    further = list(further)
    if launch.scenario.static:
        further += ["--static", f"/static/={nginx.FILES_DIRECTORY / 'static'}"]
    if launch.scenario.tls:
        further += ["--certfile", str(certificate.CERTFILE), "--keyfile", str(certificate.KEYFILE)]
    log = ["--access-logfile", str(places.ACCESS_LOG)] if access_log else []
    return [
        str(launch.monoceros), "--bind", launch.address, "--workers", workers or launch.workers,
        "--threads", threads or launch.threads, "--python", str(launch.bin / "python"),
        "--log-level", "warning", *log, *further, launch.scenario.application,
    ]


def floor(launch: Launch) -> list[str]:
    close = ["--close"] if launch.scenario.new_connection else []
    return [str(places.FLOOR), launch.address, str(launch.scenario.least_bytes), *close]


def gunicorn_sync(launch: Launch) -> list[str]:
    return [str(launch.bin / "gunicorn"), "--bind", launch.address, "--workers", launch.workers,
            "--log-level", "warning", launch.scenario.application]


def gunicorn_gthread(launch: Launch) -> list[str]:
    return [str(launch.bin / "gunicorn"), "--bind", launch.address, "--workers", launch.workers,
            "--worker-class", "gthread", "--threads", launch.threads_at_least(4), "--log-level", "warning",
            launch.scenario.application]


def uwsgi(launch: Launch) -> list[str]:
    # A client that keeps its only connection may keep the only worker.
    if launch.scenario.connections == 1:
        socket = ["--http11-socket", launch.address]
    else:
        socket = ["--http-socket", launch.address, "--add-header", "Connection: close"]
    threads = ["--threads", launch.threads] if launch.scenario.needs_threads else []
    module, attribute = launch.scenario.application.split(":")
    return [str(launch.bin / "uwsgi"), *socket, "--master", "--processes", launch.workers, *threads,
            "--single-interpreter", "--need-app", "--disable-logging", "--die-on-term", "--listen", "1024",
            "--module", module, "--callable", attribute]


def granian(launch: Launch) -> list[str]:
    tls = ["--ssl-certificate", str(certificate.CERTFILE), "--ssl-keyfile", str(certificate.KEYFILE)]
    return [str(launch.bin / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(launch.port),
            "--workers", launch.workers, "--blocking-threads", launch.threads, "--http", "1", "--no-ws",
            "--log-level", "warning", *(tls if launch.scenario.tls else []), launch.scenario.application]


def bjoern(launch: Launch) -> list[str]:
    module, attribute = launch.scenario.application.split(":")
    run = f"import bjoern, {module} as m; bjoern.run(m.{attribute}, '127.0.0.1', {launch.port})"
    return [str(launch.bin / "python"), "-c", run]


def fastwsgi(launch: Launch) -> list[str]:
    return [str(launch.bin / "fastwsgi"), "--host", "127.0.0.1", "--port", str(launch.port),
            launch.scenario.application]


def waitress(launch: Launch) -> list[str]:
    return [str(launch.bin / "waitress-serve"), f"--listen={launch.address}",
            f"--threads={launch.threads_at_least(4)}", "--connection-limit=1000", launch.scenario.application]


REAL_IP = ("--real-ip", "x-forwarded-for")
LIMITS = (
    "--access", "deny=192.0.2.0/24", "--access", "deny=all;path=/admin", "--allowed-hosts", "127.0.0.1",
    "--limit-rate", "1000000/s", "--limit-rate", "/login=5/m", "--limit-connections", "1000",
)

SERVERS = (
    Server("monoceros", monoceros, forking=True),
    Server("monoceros-log", lambda launch: monoceros(launch, access_log=True), venv="monoceros", variant=True,
           note="with an access log to a file"),
    Server("monoceros-4t", lambda launch: monoceros(launch, threads="4"), venv="monoceros", variant=True,
           note="with 4 threads"),
    Server("monoceros-2w", lambda launch: monoceros(launch, workers="2"), venv="monoceros", variant=True,
           note="with 2 workers, both on the one core"),
    Server("monoceros-real-ip", lambda launch: monoceros(launch, further=REAL_IP), venv="monoceros", variant=True,
           note="with real-ip: x-forwarded-for"),
    Server("monoceros-limits", lambda launch: monoceros(launch, further=LIMITS), venv="monoceros", variant=True,
           note="with access rules, allowed-hosts, limit-rate and limit-connections, none of which refuses a request"),
    Server("nginx", lambda launch: nginx.command(launch.port, bool(launch.scenario.tls)), installed=True, named=True, hint=nginx.HINT,
           note="sends static files, in some scenarios of the same content as the applications' responses; it keeps "
                "them open and looks at them again after 60 s (open_file_cache), Monoceros after 2 s; no access log"),
    Server("floor", floor, note="no HTTP server: answers fixed bytes to whatever arrives"),
    Server("gunicorn-sync", gunicorn_sync, ("gunicorn",), venv="gunicorn", threaded=False, forking=True,
           note="has no keep-alive: every request is a new connection"),
    Server("gunicorn-gthread", gunicorn_gthread, ("gunicorn",), venv="gunicorn", forking=True,
           note="never fewer than 4 threads where the cost of a request is compared: with 1 it is slower"),
    Server("uwsgi", uwsgi, ("uwsgi",), forking=True, hint="it is compiled: a C compiler and python3-dev are needed",
           note="--http-socket, closing each connection: its keep-alive binds a connection to a worker, and its "
                "HTTP router costs more than new connections do; --http11-socket for the one connection"),
    Server("granian", granian, ("granian",), forking=True),
    Server("bjoern", bjoern, ("bjoern",), threaded=False,
           hint="it is compiled: a C compiler, python3-dev and libev-dev are needed"),
    Server("fastwsgi", fastwsgi, ("fastwsgi", "setuptools<81"), threaded=False,
           hint="it is compiled: a C compiler and python3-dev are needed"),
    Server("waitress", waitress, ("waitress",),
           note="never fewer than 4 threads, its default, where the cost of a request is compared: with 1 it is no "
                "faster"),
)

NAMES = tuple(server.name for server in SERVERS)


def select(names: list[str]) -> tuple[Server, ...]:
    """The servers of these names, in the table's order; all of them for no names."""
    return tuple(server for server in SERVERS if not names or server.name in names)
