"""What Monoceros is to reach with several threads: they never slow an application down, and all wait that can."""

from __future__ import annotations

from collections.abc import Sequence

from results import Figure, Results, cpu, p99_of, rate
from scenarios import THREADS, Scenario
from verdicts import NOISE, OURS, Verdict, invalid, unknown

RATE_LIMIT = 0.95
CPU_LIMIT = 1.1
"""Multiples of what fewer threads reach."""
COMPUTING = {"view": ("1t", ("2t", "4t", "8t")), "compute": ("1t", ("2t", "4t", "8t")),
             "locked": ("1t", ("2t", "4t", "8t")), "query": ("4t", ("16t",))}
"""By family: which number of threads the others are compared with."""
USED_LIMIT = 0.96
"""The share of the requests that threads which only sleep could answer."""
PEER = "granian"


def judge(results: Results) -> list[Verdict]:
    """Every target of the group."""
    computing = [_as_with_fewer(results, f"{family}-{few}", f"{family}-{many}")
                 for family, (few, more) in COMPUTING.items() for many in more]
    waiting = [verdict for scenario in THREADS if scenario.family == "wait"
               for verdict in _judge_waiting(results, scenario)]
    mixed = [_beside_peer(results, scenario, scenario.kinds) for scenario in THREADS if scenario.family == "mix"]
    return [
        *computing, *waiting, *mixed,
        *(_beside_peer(results, one, ("light",), slower=True) for one in THREADS if one.family == "page"),
        *(_beside_peer(results, one, ()) for one in THREADS if one.family == "query"),
    ]


def _as_with_fewer(results: Results, few: str, many: str) -> Verdict:
    target = f"{many}: requests/s >= {RATE_LIMIT} x, CPU <= {CPU_LIMIT} x those of {few}"
    if failed := invalid(results, many, target) or invalid(results, few, target):
        return failed
    rates = results.ratio_between((many, OURS), (few, OURS), rate)
    costs = results.ratio_between((many, OURS), (few, OURS), cpu)
    if rates is None or costs is None:
        return unknown(target)
    met = rates.median >= RATE_LIMIT and costs.median <= CPU_LIMIT
    return Verdict(target, f"requests/s {rates}, CPU {costs}", met)


def _judge_waiting(results: Results, scenario: Scenario) -> list[Verdict]:
    """All threads are used; with fewer connections than threads, none waits."""
    if scenario.connections < scenario.threads:
        return [_beside_peer(results, scenario, ("all",))]
    target = f"{scenario.name}: requests/s >= {USED_LIMIT} x threads / time"
    used = invalid(results, scenario.name, target) or _used(results, scenario, target)
    return [used, _beside_peer(results, scenario, ())]


def _used(results: Results, scenario: Scenario, target: str) -> Verdict:
    most = scenario.threads / scenario.service_ms * 1000
    shares = {server: row.rate / most for server in (OURS, PEER) if (row := results.row(scenario.name, server))}
    if OURS not in shares:
        return unknown(target)
    reached = f"{shares[OURS]:.2f}" + (f", {PEER} {shares[PEER]:.2f}" if PEER in shares else "")
    return Verdict(target, reached, shares[OURS] >= USED_LIMIT)


def _beside_peer(results: Results, scenario: Scenario, kinds: Sequence[str], slower: bool = False) -> Verdict:
    """Requests a second, unless they may be fewer, and the p99 of these kinds: not worse than the peer's."""
    words = ["requests/s"] * (not slower) + [f"p99 of {kind}" if kind != "all" else "p99" for kind in kinds]
    target = f"{scenario.name}: {' and '.join(words)} not worse than {PEER}'s"
    if failed := invalid(results, scenario.name, target):
        return failed
    figures: list[Figure] = [p99_of(kind) for kind in kinds]
    times = [results.ratio(scenario.name, OURS, PEER, figure) for figure in figures]
    rates = [] if slower else [results.ratio(scenario.name, OURS, PEER, rate)]
    found = [one for one in (*rates, *times) if one is not None]
    if len(found) < len(words):
        return unknown(target)
    worse = [one for one in rates if one and one.mostly_below(1 - NOISE)]
    worse += [one for one in times if one and one.mostly_above(1 + NOISE)]
    reached = ", ".join(f"{word} {ratio}" for word, ratio in zip(words, found, strict=True))
    return Verdict(target, reached, not worse)
