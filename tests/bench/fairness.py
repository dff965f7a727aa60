"""What Monoceros is to reach where connections are more than threads: none waits longer than its turn takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from results import Figure, Ratio, Results, p99_of, rate, slowest_of
from scenarios import FAIRNESS, Scenario
from verdicts import NOISE, OURS, Verdict, beside_peers, invalid, unknown

P99_LIMIT = 1.1
SLOWEST_LIMIT = 1.5
"""Multiples of the best peer's."""
IDEAL_LIMIT = 1.3
"""A multiple of what a queue that is served in order takes."""
RATE_ROOM = 0.03
"""So much fewer requests a second say nothing where threads sleep; where they compute it is the noise."""


def judge(results: Results) -> list[Verdict]:
    """Every target of the group, in the order of the scenarios."""
    return [verdict for scenario in FAIRNESS for verdict in _judge_one(results, scenario)]


def _judge_one(results: Results, scenario: Scenario) -> list[Verdict]:
    name = scenario.name
    if scenario.servers:
        peers = [server for server in scenario.servers if server != OURS]
        return [_p99_not_above(results, scenario, peers)]
    return [
        _limited(results, name, f"{name}: p99 <= {P99_LIMIT} x the best peer's", scenario.kinds, p99_of, P99_LIMIT),
        _limited(results, name, f"{name}: slowest <= {SLOWEST_LIMIT} x the best peer's", scenario.kinds, slowest_of,
                 SLOWEST_LIMIT),
        _limited(results, name, f"{name}: slowest of the first second <= {SLOWEST_LIMIT} x the best peer's", ("ramp",),
                 slowest_of, SLOWEST_LIMIT),
        _ideal(results, scenario),
        _rate(results, scenario),
    ]


def _limited(
    results: Results, name: str, target: str, kinds: Sequence[str], figure: Callable[[str], Figure], limit: float,
) -> Verdict:
    """Each kind of requests beside the peer that does best."""
    if failed := invalid(results, name, target):
        return failed
    best = {kind: _best(beside_peers(results, name, figure(kind))) for kind in kinds}
    found = {kind: one for kind, one in best.items() if one is not None}
    if len(found) < len(kinds):
        return unknown(target)
    reached = ", ".join(f"{kind} {peer} {ratio}" for kind, (peer, ratio) in found.items())
    return Verdict(target, reached, all(ratio.median <= limit for _, ratio in found.values()))


def _best(ratios: dict[str, Ratio]) -> tuple[str, Ratio] | None:
    """The peer that leaves us farthest behind."""
    return max(ratios.items(), key=lambda item: item[1].median, default=None)


def _ideal(results: Results, scenario: Scenario) -> Verdict:
    target = f"{scenario.name}: p99 <= {IDEAL_LIMIT} x the ideal"
    if failed := invalid(results, scenario.name, target):
        return failed
    row = results.row(scenario.name, OURS)
    if row is None or any(kind not in row.times for kind in scenario.kinds):
        return unknown(target)
    ideal = scenario.ideal_ms(row.rate)
    found = {kind: row.times[kind].p99_ms / ideal for kind in scenario.kinds}
    reached = ", ".join(f"{kind} {multiple:.2f}" for kind, multiple in found.items())
    return Verdict(target, f"{reached} ({ideal:.0f} ms)", max(found.values()) <= IDEAL_LIMIT)


def _rate(results: Results, scenario: Scenario) -> Verdict:
    target = f"{scenario.name}: no peer answers more requests a second"
    if failed := invalid(results, scenario.name, target):
        return failed
    ratios = beside_peers(results, scenario.name, rate)
    if not ratios:
        return unknown(target)
    room = RATE_ROOM if scenario.service_ms else NOISE
    peer, ratio = min(ratios.items(), key=lambda item: item[1].median)
    return Verdict(target, f"{peer} {ratio}", not any(one.mostly_below(1 - room) for one in ratios.values()))


def _p99_not_above(results: Results, scenario: Scenario, peers: Sequence[str]) -> Verdict:
    target = f"{scenario.name}: p99 not above {' and '.join(peers)}"
    if failed := invalid(results, scenario.name, target):
        return failed
    ratios = beside_peers(results, scenario.name, p99_of("all"), peers)
    if not ratios:
        return unknown(target)
    reached = ", ".join(f"{peer} {ratio}" for peer, ratio in ratios.items())
    return Verdict(target, reached, not any(one.mostly_above(1 + NOISE) for one in ratios.values()))
