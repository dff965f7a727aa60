"""All measurements of a run, and the medians and ratios that are drawn from them. Prints nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from load import Times
from measure import Measurement
from preload import Preload
from processes import Memory


@dataclass(frozen=True)
class Ratio:
    """One server's figure divided by another's in the same round: the median over the rounds, and the extremes."""

    quotients: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.quotients)

    @property
    def least(self) -> float:
        return min(self.quotients)

    @property
    def most(self) -> float:
        return max(self.quotients)

    def mostly_below(self, limit: float) -> bool:
        """Whether the median is below the limit, and so are most of the rounds."""
        below = sum(quotient < limit for quotient in self.quotients)
        return self.median < limit and below * 2 > len(self.quotients)

    def mostly_above(self, limit: float) -> bool:
        """Whether the median is above the limit, and so are most of the rounds."""
        above = sum(quotient > limit for quotient in self.quotients)
        return self.median > limit and above * 2 > len(self.quotients)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"


@dataclass(frozen=True)
class Row:
    """The medians of one server in one scenario."""

    cpu_us: float
    rate: float
    times: dict[str, Times]
    """By kind."""
    memory: Memory
    switches: float
    rounds: int
    errors: str
    """What went wrong in any round; a row that has some proves nothing."""


Figure = Callable[[Measurement], float]
"""What of a measurement is compared."""


NO_TIMES = Times(0, 0.0, 0.0, 0.0)


def cpu(measurement: Measurement) -> float:
    return measurement.cpu_us


def rate(measurement: Measurement) -> float:
    return measurement.rate


def p99(measurement: Measurement) -> float:
    return measurement.times["all"].p99_ms


def p99_of(*kinds: str) -> Figure:
    """The p99 of that kind of requests for which it is higher; 0 if there are none, which takes part in no ratio."""
    return lambda measurement: _worst(measurement, kinds, lambda times: times.p99_ms)


def slowest_of(*kinds: str) -> Figure:
    """The slowest request of these kinds."""
    return lambda measurement: _worst(measurement, kinds, lambda times: times.max_ms)


def _worst(measurement: Measurement, kinds: tuple[str, ...], figure: Callable[[Times], float]) -> float:
    seen = [measurement.times[kind] for kind in kinds if kind in measurement.times]
    return max(map(figure, seen)) if len(seen) == len(kinds) else 0.0


@dataclass
class Results:
    """Measurements by scenario, server and round; and why others are missing."""

    rounds: dict[tuple[str, str], dict[int, Measurement]] = field(default_factory=lambda: defaultdict(dict))
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    syscalls: dict[str, dict[str, float]] = field(default_factory=dict)
    """By server: calls a request, by name of the call."""
    idle: dict[str, float] = field(default_factory=dict)
    """Memory of an idle connection of Monoceros, in KiB, by scheme."""
    preload: dict[bool, Preload] = field(default_factory=dict)
    """The demonstration shop, by whether --preload was given."""

    def add(self, scenario: str, server: str, number: int, measurement: Measurement) -> None:
        self.rounds[scenario, server][number] = measurement

    def fail(self, scenario: str, server: str, reason: str) -> None:
        self.failures[scenario, server] = reason

    def servers(self, scenario: str) -> list[str]:
        """The servers that were measured in this scenario."""
        return [server for name, server in self.rounds if name == scenario]

    def foreign(self) -> tuple[float, float]:
        """The share of the server's cores that other programs took: in the median measurement, and at worst."""
        shares = [one.foreign for rounds in self.rounds.values() for one in rounds.values()]
        return (median(shares), max(shares)) if shares else (0.0, 0.0)

    def row(self, scenario: str, server: str) -> Row | None:
        """The medians; None if there is no measurement."""
        seen = list(self.rounds.get((scenario, server), {}).values())
        if not seen:
            return None
        errors = next((one.errors for one in seen if one.errors), "")
        return Row(
            median(one.cpu_us for one in seen), median(one.rate for one in seen),
            _median_times([one.times for one in seen]), _median_memory([one.memory for one in seen]),
            median(one.switches for one in seen), len(seen), errors)

    def ratio(self, scenario: str, server: str, other: str, figure: Figure) -> Ratio | None:
        """`server` / `other` within each round; None without a round that has both, or with a faulty row."""
        return self.ratio_between((scenario, server), (scenario, other), figure)

    def ratio_between(self, ours: tuple[str, str], theirs: tuple[str, str], figure: Figure) -> Ratio | None:
        """The same of any two rows, each a scenario and a server."""
        rows = self.row(*ours), self.row(*theirs)
        if any(row is None or row.errors for row in rows):
            return None
        left, right = self.rounds[ours], self.rounds[theirs]
        quotients = [figure(left[one]) / figure(right[one])
                     for one in left if one in right and figure(left[one]) > 0 and figure(right[one]) > 0]
        return Ratio(tuple(quotients)) if quotients else None


def _median_times(seen: list[dict[str, Times]]) -> dict[str, Times]:
    """The medians of each kind over the rounds that have it."""
    kinds = dict.fromkeys(kind for times in seen for kind in times)
    return {kind: _median_of([times[kind] for times in seen if kind in times]) for kind in kinds}


def _median_of(seen: list[Times]) -> Times:
    return Times(
        round(median(one.count for one in seen)), median(one.p50_ms for one in seen),
        median(one.p99_ms for one in seen), median(one.max_ms for one in seen))


def _median_memory(seen: list[Memory]) -> Memory:
    masters = [memory.master for memory in seen if memory.master is not None]
    workers = [sum(memory.workers) for memory in seen]
    return Memory(round(median(masters)) if masters else None, (round(median(workers)),))
