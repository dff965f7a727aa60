"""What is measured: for each scenario the application, the load, and the answer that every server must give."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

UPLOAD_BYTES = 1024 * 1024
LARGE_BYTES = 64 * 1024


class Load(Enum):
    """Who sends the requests: wrk as fast as it can, or bench-load at random moments."""

    WRK = "wrk"
    POISSON = "bench-load"


@dataclass(frozen=True)
class Scenario:
    """One kind of load on one application."""

    name: str
    title: str
    application: str
    answer: bytes | dict[str, object]
    """The body that every server must give; a dict stands for the JSON document that says it."""
    connections: int = 64
    threads: int = 1
    new_connection: bool = False
    upload: bool = False
    load: Load = Load.WRK
    rate: int = 0
    """Arrivals per second, for POISSON."""
    floor: bool = False
    """Whether fixed bytes are an answer here, so that the floor can take part."""
    variants: tuple[str, ...] = ()
    """Further ways of running Monoceros that are measured here."""

    @property
    def needs_threads(self) -> bool:
        return self.threads > 1

    @property
    def least_bytes(self) -> int:
        """A response cannot be shorter than this."""
        return len(self.answer) if isinstance(self.answer, bytes) else 1

    def accepts(self, body: bytes) -> bool:
        """Whether this is the right answer."""
        if isinstance(self.answer, bytes):
            return body == self.answer
        return bool(json.loads(body) == self.answer)


HELLO = b"Hello, world\n"
ITEMS: dict[str, object] = {"items": [{"id": number, "name": f"item {number}"} for number in range(10)]}

SCENARIOS = (
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
    Scenario("django", "Django, JSON, 64 connections", "django_json.wsgi:application", ITEMS),
    Scenario(
        "upload", "1 MiB upload, 8 connections", "upload:application", b"%d\n" % UPLOAD_BYTES,
        connections=8, upload=True,
    ),
    Scenario(
        "sleep-16", "10 ms sleep, 16 threads, 16 connections", "sleep:application", b"slept\n",
        connections=16, threads=16,
    ),
    Scenario(
        "sleep-64", "10 ms sleep, 16 threads, 64 connections", "sleep:application", b"slept\n",
        connections=64, threads=16,
    ),
    Scenario(
        "mixed", "one request in 20 sleeps 50 ms, 4 threads, 300 arrivals/s", "mixed:application", HELLO,
        connections=32, threads=4, load=Load.POISSON, rate=300, variants=("monoceros-2w",),
    ),
)


def select(names: list[str]) -> tuple[Scenario, ...]:
    """The scenarios of these names, in the table's order; all of them for no names."""
    return tuple(scenario for scenario in SCENARIOS if not names or scenario.name in names)
