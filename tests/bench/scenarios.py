"""What is measured: for each scenario the application, the load, and the answer that every server must give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

UPLOAD_BYTES = 1024 * 1024
LARGE_BYTES = 64 * 1024
SMALL_FILE_BYTES = 1024
LARGE_FILE_BYTES = 1_000_000


class Load(Enum):
    """Who sends the requests."""

    WRK = "wrk"
    """wrk, as fast as it can."""
    OPEN = "open"
    """bench-load, at random moments."""
    CLOSED = "closed"
    """bench-load, each client its next request when it has the answer to the last; times single requests."""


class Group(Enum):
    """What a scenario is about."""

    COST = "cost"
    """What a request costs, the server on one core."""
    FAIRNESS = "fairness"
    """How long requests wait for each other, with more connections than threads."""
    THREADS = "threads"
    """What more threads do to applications that compute and to those that wait."""
    EDGE = "edge"
    """What TLS costs, and what a proxy's fields cost, the server on one core."""
    FILES = "files"
    """What static files cost, and rules and limits for clients, the server on one core."""


@dataclass(frozen=True)
class Scenario:
    """One kind of load on one application."""

    name: str
    title: str
    application: str
    answer: bytes | dict[str, object]
    """The body that every server must give; a dict stands for the JSON document that says it."""
    group: Group = Group.COST
    family: str = ""
    """Scenarios of one family share a table and its title."""
    label: str = ""
    """What tells it from others of its family."""
    connections: int = 64
    threads: int = 1
    workers: int = 1
    pinned: bool = True
    """Whether server and client have a core each; otherwise they share all."""
    new_connection: bool = False
    upload: bool = False
    load: Load = Load.WRK
    path: str = "/"
    """What light requests ask for, which most are."""
    heavy: str = "/slow"
    """What heavy requests ask for."""
    rate: int = 0
    """Arrivals per second, for OPEN."""
    reopen: float = 0.0
    """The share of requests that open a new connection, for CLOSED."""
    new_per_second: int = 0
    """New connections per second beside the others, for CLOSED."""
    heavy_every: int = 0
    """One request in so many is heavy, for CLOSED."""
    heavy_connections: int = 0
    """So many of the connections ask for the heavy path alone, for CLOSED."""
    service_ms: float = 0.0
    """How long a thread is held by a request that waits, if it is known; 0 if requests compute."""
    least_seconds: float = 0.0
    """A shorter measurement has too few requests of some kind."""
    database: bool = False
    """Whether the application asks the database, which is started beside the server."""
    floor: bool = False
    """Whether fixed bytes are an answer here, so that the floor can take part."""
    variants: tuple[str, ...] = ()
    """Further ways of running Monoceros that are measured here."""
    servers: tuple[str, ...] = ()
    """The only servers that take part; all for none."""
    tls: str = ""
    """The version of TLS, for CLOSED; `any` for what client and server agree upon; none for plain HTTP."""
    resumed: bool = False
    """Whether connections resume the session of the one before them, for CLOSED."""
    header: str = ""
    """A header that each request has, for WRK."""
    static: bool = False
    """Whether the server sends a file of its own, below /static/."""

    @property
    def needs_threads(self) -> bool:
        return self.threads > 1

    @property
    def least_bytes(self) -> int:
        """A response cannot be shorter than this."""
        return len(self.answer) if isinstance(self.answer, bytes) else 1

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of requests that CLOSED tells apart here."""
        if self.reopen or self.new_per_second:
            return ("kept", "new")
        if self.heavy_every or self.heavy_connections:
            return ("light", "heavy")
        return ("all",)

    def accepts(self, body: bytes) -> bool:
        """Whether this is the right answer."""
        if isinstance(self.answer, bytes):
            return body == self.answer
        return bool(json.loads(body) == self.answer)

    def ideal_ms(self, rate: float) -> float:
        """How long a request takes if those that came first are served first: what each thread is held for, or, where
        requests compute, the time in which so many are answered at this rate (Little's law)."""
        if self.service_ms:
            return self.connections / (self.threads * self.workers) * self.service_ms
        return self.connections / rate * 1000


HELLO = b"Hello, world\n"
SLEPT = b"slept\n"
COMPUTED = b"computed\n"
ITEMS: dict[str, object] = {"items": [{"id": number, "name": f"item {number}"} for number in range(10)]}
DJANGO = "django_json.wsgi:application"

COST = (
    Scenario(
        "hello", "hello, keep-alive, 64 connections", "hello:application", HELLO,
        floor=True, variants=("monoceros-log", "monoceros-4t", "monoceros-2w"),
    ),
    Scenario(
        "hello-1", "hello, keep-alive, 1 connection", "hello:application", HELLO,
        connections=1, floor=True,
    ),
    Scenario(
        "hello-close", "hello, a new connection for each request", "hello:application", HELLO,
        new_connection=True, floor=True, variants=("monoceros-2w",),
    ),
    Scenario(
        "large", "64 KiB body, 64 connections", "large:application", b"x" * LARGE_BYTES,
        floor=True,
    ),
    Scenario("flask", "Flask, JSON, 64 connections", "flask_json:application", ITEMS),
    Scenario("django", "Django, JSON, 64 connections", DJANGO, ITEMS),
    Scenario(
        "upload", "1 MiB upload, 8 connections", "upload:application", b"%d\n" % UPLOAD_BYTES,
        connections=8, upload=True,
    ),
    Scenario(
        "sleep-16", "10 ms sleep, 16 threads, 16 connections", "sleep:application", SLEPT,
        connections=16, threads=16,
    ),
    Scenario(
        "sleep-64", "10 ms sleep, 16 threads, 64 connections", "sleep:application", SLEPT,
        connections=64, threads=16,
    ),
    Scenario(
        "mixed", "one request in 20 sleeps 50 ms, 4 threads, 300 arrivals/s", "mixed:application", HELLO,
        connections=32, threads=4, load=Load.OPEN, rate=300, variants=("monoceros-2w",),
    ),
)


# More connections than threads: those that wait are many, and each of them wants its turn.
QUEUE_4 = Scenario(
    "queue-4", "10 ms sleep, 4 threads, 64 connections", "sleep:application", SLEPT,
    group=Group.FAIRNESS, load=Load.CLOSED, threads=4, service_ms=10,
)
QUEUE_16 = replace(QUEUE_4, name="queue-16", title="10 ms sleep, 16 threads, 64 connections", threads=16)
DJANGO_200 = Scenario(
    "django-200", "Django, JSON, 4 threads, 200 connections", DJANGO, ITEMS,
    group=Group.FAIRNESS, load=Load.CLOSED, threads=4, connections=200,
)
DJANGO_PAIR = replace(DJANGO_200, name="django-pair", title="Django, JSON, 1 thread, 64 connections",
                      threads=1, connections=64)
REOPEN = replace(QUEUE_4, name="reopen", reopen=0.5,
                 title="10 ms sleep, 4 threads, 64 connections, half of the requests over a new one")
BESIDE = replace(QUEUE_4, name="beside", path="/20", service_ms=20, new_per_second=20, least_seconds=4,
                 title="20 ms sleep, 4 threads, 64 connections and 20 new ones a second")
CROWD = Scenario(
    "crowd", "hello, 1 thread, 64 connections", "hello:application", HELLO,
    group=Group.FAIRNESS, load=Load.CLOSED, servers=("monoceros", "fastwsgi", "bjoern"),
)


def with_workers(base: Scenario, counts: Sequence[int]) -> list[Scenario]:
    """One scenario for each count. Several workers get all cores, a single one has a core of its own."""
    return [replace(base, name=f"{base.name}-{count}w" if count > 1 else base.name, family=base.name,
                    label=f"{count} worker{'s' * (count > 1)}", workers=count, pinned=count == 1) for count in counts]


FAIRNESS = (
    *with_workers(QUEUE_4, (1, 2)), *with_workers(QUEUE_16, (1,)), *with_workers(DJANGO_200, (1, 2)),
    *with_workers(DJANGO_PAIR, (2,)), *with_workers(REOPEN, (1, 2)), *with_workers(BESIDE, (2,)),
    *with_workers(CROWD, (1,)),
)

GRANIAN = ("monoceros", "granian")
VIEW = Scenario(
    "view", "Django, JSON", DJANGO, ITEMS, group=Group.THREADS, load=Load.CLOSED, pinned=False,
    servers=(*GRANIAN, "gunicorn-gthread"),
)
COMPUTE = replace(VIEW, name="compute", title="80 µs of computing", application="compute:application", answer=COMPUTED,
                  servers=GRANIAN)
LOCKED = replace(COMPUTE, name="locked", title="80 µs of computing, in which an RLock is taken ten times",
                 path="/locked")
WAIT = Scenario(
    "wait", "sleep", "sleep:application", SLEPT, group=Group.THREADS, load=Load.CLOSED, pinned=False, servers=GRANIAN,
)
MIX = replace(COMPUTE, name="mix", title="nine of ten requests compute for 0.1 ms, one sleeps for 10 ms",
              path="/light", heavy="/sleep", heavy_every=10)
PAGE = replace(COMPUTE, name="page", title="63 connections: 0.1 ms of computing, beside one: 50 ms of computing",
               path="/light", heavy="/page", heavy_connections=1)
QUERY = replace(COMPUTE, name="query", title="1 ms of waiting for a database and 0.3 ms of computing",
                application="query:application", answer=b"found\n", path="/", database=True)


def with_threads(base: Scenario, counts: Sequence[int]) -> list[Scenario]:
    """One scenario for each count."""
    return [replace(base, name=f"{base.name}-{count}t", family=base.family or base.name, threads=count,
                    label=f"{base.label} {count} thread{'s' * (count > 1)}".strip()) for count in counts]


def sleeping(milliseconds: int) -> Scenario:
    """Requests that sleep for so long. All threads end at about the same time, so that a short measurement sees one
    end too many or too few."""
    return replace(WAIT, name=f"wait-{milliseconds}ms", family="wait", label=f"{milliseconds} ms,",
                   path=f"/{milliseconds}", service_ms=milliseconds, least_seconds=0.06 * milliseconds)


# Fewer clients than threads: none has to wait.
FEW = replace(WAIT, name="wait-few", family="wait", label="10 ms, 8 connections,", path="/10", service_ms=10,
              connections=8)

THREADS = (
    *with_threads(VIEW, (1, 2, 4, 8)), *with_threads(COMPUTE, (1, 2, 4, 8)), *with_threads(LOCKED, (1, 2, 4, 8)),
    *(one for milliseconds in (1, 5, 10, 50) for one in with_threads(sleeping(milliseconds), (4, 16))),
    *with_threads(FEW, (16,)),
    *with_threads(MIX, (4, 16)), *with_threads(PAGE, (4,)), *with_threads(QUERY, (4, 16)),
)

# A path that nginx has a file for; applications answer every path.
HTTPS_HELLO = Scenario(
    "https-hello", "HTTPS: hello, keep-alive, 64 connections", "hello:application", HELLO,
    group=Group.EDGE, path="/hello", tls="any", servers=("monoceros", "nginx", "granian"),
)
HTTPS_LARGE = replace(
    HTTPS_HELLO, name="https-large", title="HTTPS: 64 KiB body, 64 connections", application="large:application",
    answer=b"x" * LARGE_BYTES, path="/large", servers=("monoceros", "nginx"))
HANDSHAKE = replace(
    HTTPS_HELLO, name="handshake", title="TLS 1.3: full handshakes (P-256), each with one request",
    load=Load.CLOSED, reopen=1.0, tls="1.3", servers=("monoceros", "nginx"))
RESUMED = replace(
    HANDSHAKE, name="resumed", title="TLS 1.3: resumed sessions, each with one request", resumed=True)
RESUMED_1_2 = replace(
    RESUMED, name="resumed-1.2", title="TLS 1.2: resumed sessions, each with one request", tls="1.2")
FORWARDED = Scenario(
    "forwarded", "hello, keep-alive, 64 connections, requests with X-Forwarded-For", "hello:application", HELLO,
    group=Group.EDGE, header="X-Forwarded-For: 203.0.113.7", floor=True, servers=("monoceros", "floor"),
    variants=("monoceros-real-ip",),
)

EDGE = (HTTPS_HELLO, HTTPS_LARGE, HANDSHAKE, RESUMED, RESUMED_1_2, FORWARDED)

SMALL_FILE = Scenario(
    "file", "static file of 1 KiB, keep-alive, 64 connections", "hello:application", b"x" * SMALL_FILE_BYTES,
    group=Group.FILES, path="/static/small.css", static=True, servers=("monoceros", "nginx"),
)
LARGE_FILE = replace(
    SMALL_FILE, name="large-file", title="static file of 1 MB, keep-alive, 64 connections", path="/static/large.css",
    answer=b"x" * LARGE_FILE_BYTES)
HTTPS_SMALL_FILE = replace(
    SMALL_FILE, name="https-file", title="HTTPS: static file of 1 KiB, keep-alive, 64 connections", tls="any")
HTTPS_LARGE_FILE = replace(
    LARGE_FILE, name="https-large-file", title="HTTPS: static file of 1 MB, keep-alive, 64 connections", tls="any")
LIMITED = Scenario(
    "limited", "hello, keep-alive, 64 connections, with rules and limits for clients", "hello:application", HELLO,
    group=Group.FILES, servers=("monoceros",), variants=("monoceros-limits",),
)

FILES = (SMALL_FILE, LARGE_FILE, HTTPS_SMALL_FILE, HTTPS_LARGE_FILE, LIMITED)

SCENARIOS = (*COST, *FAIRNESS, *THREADS, *EDGE, *FILES)


def select(names: list[str], groups: list[str]) -> tuple[Scenario, ...]:
    """The scenarios of these names and of these groups, in the table's order; all of them for neither."""
    everything = not names and not groups
    return tuple(one for one in SCENARIOS if everything or one.name in names or one.group.value in groups)


def families(chosen: Sequence[Scenario], group: Group) -> list[list[Scenario]]:
    """The scenarios of a group, those together that share a table."""
    found: dict[str, list[Scenario]] = {}
    for scenario in chosen:
        if scenario.group is group:
            found.setdefault(scenario.family or scenario.name, []).append(scenario)
    return list(found.values())
