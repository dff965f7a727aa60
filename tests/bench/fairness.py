"""What Monoceros is to reach where connections are more than threads: none waits longer than its turn takes."""

from __future__ import annotations

from collections.abc import Sequence

from results import Figure, Results, p99_of, rate, slowest_of
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
    name, kinds = scenario.name, scenario.kinds
    # A peer that prefers one kind of connections makes the other wait: the one that waits longer counts.
    which = " of kept and of new" if kinds == ("kept", "new") else ""
    if scenario.servers:
        peers = [server for server in scenario.servers if server != OURS]
        return [_p99_not_above(results, scenario, peers)]
    return [
        _limited(results, name, f"p99{which} <= {P99_LIMIT} x the best peer's", p99_of(*kinds), P99_LIMIT),
        _limited(results, name, f"slowest <= {SLOWEST_LIMIT} x the best peer's", slowest_of(*kinds), SLOWEST_LIMIT),
        _limited(results, name, f"slowest of the first second <= {SLOWEST_LIMIT} x the best peer's",
                 slowest_of("ramp"), SLOWEST_LIMIT),
        _ideal(results, scenario),
        _rate(results, scenario),
    ]


def _limited(results: Results, name: str, words: str, figure: Figure, limit: float) -> Verdict:
    """Beside the peer that does best."""
    target = f"{name}: {words}"
    if failed := invalid(results, name, target):
        return failed
    ratios = beside_peers(results, name, figure)
    if not ratios:
        return unknown(target)
    peer, ratio = max(ratios.items(), key=lambda item: item[1].median)
    return Verdict(target, f"{peer} {ratio}", ratio.median <= limit)


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
