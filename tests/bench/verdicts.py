"""One target beside what was reached, and what the rules of all groups share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from results import Figure, Ratio, Results, cpu
from scenarios import Scenario
from servers import SERVERS

NOISE = 0.07
"""Ratios that are no farther from 1 than this say nothing."""
OURS = "monoceros"
PEERS = tuple(server.name for server in SERVERS if not server.variant and server.name not in (OURS, "floor"))


@dataclass(frozen=True)
class Verdict:
    """One target beside what was reached; `met` is None where it was not measured."""

    target: str
    reached: str
    met: bool | None


def unknown(target: str) -> Verdict:
    return Verdict(target, "not measured", None)


def invalid(results: Results, scenario: str, target: str) -> Verdict | None:
    """A row of ours with errors meets no target."""
    row = results.row(scenario, OURS)
    return Verdict(target, f"invalid: {row.errors}", False) if row and row.errors else None


def beside_peers(results: Results, scenario: str, figure: Figure, peers: Sequence[str] = PEERS) -> dict[str, Ratio]:
    """Our figure divided by each peer's, by peer."""
    found = {peer: results.ratio(scenario, OURS, peer, figure) for peer in peers}
    return {peer: ratio for peer, ratio in found.items() if ratio is not None}


def cpu_beside(results: Results, scenario: Scenario, words: str, peer: str, limit: float) -> Verdict:
    """Whether a request costs at most so many times the processor time that it costs with a peer."""
    target = f"{words}: CPU <= {limit} x {peer}"
    if failed := invalid(results, scenario.name, target):
        return failed
    ratio = results.ratio(scenario.name, OURS, peer, cpu)
    return Verdict(target, str(ratio), ratio.median <= limit) if ratio else unknown(target)


def cpu_with(results: Results, scenario: Scenario, words: str, variant: str, limit: float) -> Verdict:
    """Whether a request with some settings costs at most so many times the processor time that it costs without."""
    target = f"{words}: CPU a request <= {limit} x without"
    ratio = results.ratio(scenario.name, variant, OURS, cpu)
    return Verdict(target, str(ratio), ratio.median <= limit) if ratio else unknown(target)
