"""What --preload is good for: memory, and the time until a worker that was killed is replaced.

The demonstration shop is served by a copy of its own, whose code is changed on the way; times are those at which lines
arrive in the master's log.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import environments
import places
from measure import Bench, Unfit, free_port
from processes import Tree, pss, started
from servers import Server

WORKERS = 4
REQUESTS = 400
KILLS = 5
READY_SECONDS = 60.0
PAGES = ("/", "/products.json", "/products/logbook/", "/basket/", "/admin/login/")

SHOP = places.ROOT / "tests" / "apps" / "shop"
COPY = places.SCRATCH / "shop"
DATA = places.SCRATCH / "shop-data"

ENVIRONMENT = Server("shop", lambda _: [], (f"-r{SHOP / 'requirements.txt'}",))
"""Its virtual environment holds what the shop says that it needs."""

READY = re.compile(r"master: (?P<name>mold|worker=\d+) gen=\d+ pid=(?P<pid>\d+) ready")
DIED = re.compile(r"pid=(?P<pid>\d+) died: .*; the next one in (?P<wait>[\d.]+) s")

LOADED = "config/wsgi.py"
"""The mold imports it, as every worker does when it starts."""
LATE = "config/urls.py"
"""Django imports it with the first request."""
MARKS = {
    LOADED: "import config\nconfig.loaded = 'old'\n",
    LATE: "import config\nfrom django.http import HttpResponse\nimport os\n"
          "urlpatterns.insert(0, path('marks', lambda request: HttpResponse("
          "f'{os.getpid()} {config.loaded} {late}')))\nlate = 'old'\n",
}
"""What the copy says about itself at /marks: which worker answers, and which code it runs."""


@dataclass(frozen=True)
class Sizes:
    """Proportional set sizes at one moment, in kB."""

    master: int
    mold: int
    workers: tuple[int, ...]

    @property
    def all(self) -> int:
        return self.master + self.mold + sum(self.workers)


@dataclass(frozen=True)
class Respawn:
    """One worker's end and its replacement."""

    total_ms: float
    """From kill -9 to the line that says that the new worker is ready."""
    wait_ms: float
    """The pause that the master's log names, which is part of it."""


@dataclass(frozen=True)
class Preload:
    """What was seen in one way of starting."""

    fresh: Sizes
    used: Sizes
    respawns: tuple[Respawn, ...]
    keeps_loaded: bool
    """A respawned worker runs the code of before, of what is imported when the application is loaded."""
    keeps_late: bool
    """The same of what is imported with the first request."""

    @property
    def total_ms(self) -> float:
        return median(one.total_ms for one in self.respawns)

    @property
    def wait_ms(self) -> float:
        return median(one.wait_ms for one in self.respawns)


def compare(bench: Bench, python: str) -> dict[bool, Preload]:
    """Both ways, by whether --preload is given."""
    environments.prepare(ENVIRONMENT, python)
    return {preload: _observe(bench, preload) for preload in (False, True)}


def _observe(bench: Bench, preload: bool) -> Preload:
    with _serving(bench, preload) as (tree, log, port):
        fresh = _sizes(tree, log)
        for number in range(REQUESTS):
            _get(port, PAGES[number % len(PAGES)])
        used = _sizes(tree, log)
        respawns = tuple(_respawn(log, number % WORKERS) for number in range(KILLS))
        for name in MARKS:
            file = COPY / name
            file.write_text(file.read_text().replace("'old'", "'new'"))
        _respawn(log, 1)
        loaded, late = _marks_of(port, log.workers()[1])
    return Preload(fresh, used, respawns, loaded == "old", late == "old")


@contextmanager
def _serving(bench: Bench, preload: bool) -> Iterator[tuple[Tree, Log, int]]:
    """The shop, with every worker ready."""
    _make_copy()
    port = free_port()
    command = [str(bench.monoceros), "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "--chdir", str(COPY),
               "--python", str(_python()), *(["--preload"] if preload else [])]
    environment = {**os.environ, "SHOP_DATA": str(DATA), "PYTHONDONTWRITEBYTECODE": "1"}
    path = places.SCRATCH / "shop.log"
    with started(command, bench.server_core, environment, path) as tree:
        log = Log(tree, path)
        log.await_line(lambda: len(log.workers()) == WORKERS)
        yield tree, log, port


def _python() -> Path:
    return environments.programs(ENVIRONMENT) / "python"


def _make_copy() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(SHOP, COPY, ignore=shutil.ignore_patterns("__pycache__", "data"))
    environment = {**os.environ, "SHOP_DATA": str(DATA)}
    for command in ("migrate", "demo"):
        result = subprocess.run([str(_python()), "manage.py", command], cwd=COPY, env=environment,
                                capture_output=True, text=True)
        if result.returncode != 0:
            raise Unfit(f"manage.py {command}: {result.stderr.strip().rpartition(chr(10))[2]}")
    for name, text in MARKS.items():
        with (COPY / name).open("a") as file:
            file.write(text)


class Log:
    """The master's log, as it grows."""

    def __init__(self, tree: Tree, path: Path) -> None:
        self._tree = tree
        self._path = path

    def text(self) -> str:
        return self._path.read_text(errors="replace")

    def ready(self) -> dict[str, int]:
        """The pid that was last ready, by name: `mold`, or `worker=` and its slot."""
        return {match["name"]: int(match["pid"]) for match in READY.finditer(self.text())}

    def workers(self) -> dict[int, int]:
        """The same of the workers, by slot."""
        return {int(name[7:]): pid for name, pid in self.ready().items() if name != "mold"}

    def wait_after(self, pid: int) -> float:
        """The pause that was announced when this worker died, in seconds."""
        waits = [float(match["wait"]) for match in DIED.finditer(self.text()) if int(match["pid"]) == pid]
        if not waits:
            raise Unfit("the log names no pause before the next worker")
        return waits[-1]

    def await_line(self, holds: Callable[[], bool]) -> None:
        """Waits until the log says so."""
        deadline = time.monotonic() + READY_SECONDS
        while not holds():
            if self._tree.exit_code is not None or time.monotonic() > deadline:
                raise Unfit(f"the shop is not served: {self._tree.last_words()}")
            time.sleep(0.0005)


def _sizes(tree: Tree, log: Log) -> Sizes:
    ready = log.ready()
    mold = ready.pop("mold", None)
    return Sizes(pss(tree.pid), pss(mold) if mold else 0, tuple(pss(pid) for pid in ready.values()))


def _respawn(log: Log, slot: int) -> Respawn:
    """Kills the worker of a slot and waits for the next."""
    pid = log.workers()[slot]
    begun = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    log.await_line(lambda: log.workers()[slot] != pid)
    return Respawn((time.monotonic() - begun) * 1e3, log.wait_after(pid) * 1e3)


def _marks_of(port: int, pid: int) -> tuple[str, str]:
    """Which code this worker runs; asks until it is the one that answers."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        who, loaded, late = _get(port, "/marks").decode().split()
        if int(who) == pid:
            return loaded, late
    raise Unfit("the respawned worker answers no request")


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unfit(f"{path} is not answered: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise Unfit(f"{path} is answered with {response.status}")
    return body
