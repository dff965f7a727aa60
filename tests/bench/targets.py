"""What Monoceros is to reach, and whether a run reached it."""

from __future__ import annotations

from collections.abc import Collection

import edge
import fairness
import files
import threads
from results import Results, cpu, p99
from scenarios import COST, Group, Load, Scenario
from verdicts import NOISE, PEERS, Verdict, unknown

HELLO = "hello"
CPU_LIMITS = {"floor": 1.3, "fastwsgi": 0.9, "bjoern": 0.85, "granian": 0.55, "gunicorn-sync": 0.05}
"""Processor time a request in `hello`, as a multiple of the other's."""
ACCESS_LOG_LIMIT = 1.10
MASTER_LIMIT_KB = 6 * 1024
WORKER_OVER_BJOERN_KB = 3 * 1024
ONE_CALL = 1.05
"""One call a request, with room for what a connection costs once."""
OTHER_CALLS_LIMIT = 0.1


def judge(results: Results, groups: Collection[Group] = tuple(Group)) -> list[Verdict]:
    """Every target of these groups."""
    judges = {Group.COST: _cost, Group.FAIRNESS: fairness.judge, Group.THREADS: threads.judge,
              Group.EDGE: edge.judge, Group.FILES: files.judge}
    return [verdict for group, judge_group in judges.items() if group in groups for verdict in judge_group(results)]


def _cost(results: Results) -> list[Verdict]:
    verdicts = [_cpu(results, peer, limit) for peer, limit in CPU_LIMITS.items()]
    ahead = [_nobody_ahead(results, scenario) for scenario in COST]
    return [*verdicts, *ahead, _access_log(results), *_memory(results), *_syscalls(results)]


def _cpu(results: Results, peer: str, limit: float) -> Verdict:
    target = f"hello keep-alive: CPU a request <= {limit} x {peer}"
    ratio = results.ratio(HELLO, "monoceros", peer, cpu)
    return Verdict(target, str(ratio), ratio.median <= limit) if ratio else unknown(target)


def _access_log(results: Results) -> Verdict:
    target = f"access log to a file: CPU a request <= {ACCESS_LOG_LIMIT} x without"
    ratio = results.ratio(HELLO, "monoceros-log", "monoceros", cpu)
    return Verdict(target, str(ratio), ratio.median <= ACCESS_LOG_LIMIT) if ratio else unknown(target)


def _nobody_ahead(results: Results, scenario: Scenario) -> Verdict:
    """Ahead: less CPU a request, by more than the noise, in the median and in most of the rounds; where light requests
    wait for heavy ones, also a lower p99. Level: nobody can tell."""
    target = f"{scenario.name}: no peer is ahead"
    figures = {"CPU": cpu, "p99": p99} if scenario.load is Load.OPEN else {"CPU": cpu}
    found = [(ratio, f"{peer} {label} {ratio}") for label, figure in figures.items() for peer in PEERS
             if (ratio := results.ratio(scenario.name, "monoceros", peer, figure))]
    if not found:
        return unknown(target)
    closest = max(found, key=lambda one: one[0].median)
    ahead = [words for ratio, words in found if ratio.mostly_above(1 + NOISE)]
    level = [words for ratio, words in found if ratio.median >= 1 - NOISE and words not in ahead]
    said = [f"{label}: {', '.join(words)}" for label, words in (("ahead", ahead), ("level", level)) if words]
    return Verdict(target, "; ".join(said) or f"closest: {closest[1]}", not ahead)


def _memory(results: Results) -> list[Verdict]:
    master = f"memory: master <= {MASTER_LIMIT_KB // 1024} MB PSS"
    worker = f"memory: hello worker <= bjoern's + {WORKER_OVER_BJOERN_KB // 1024} MB PSS"
    ours, theirs = results.row(HELLO, "monoceros"), results.row(HELLO, "bjoern")
    if ours is None or ours.memory.master is None:
        return [unknown(master), unknown(worker)]
    verdicts = [Verdict(master, f"{ours.memory.master / 1024:.1f} MB", ours.memory.master <= MASTER_LIMIT_KB)]
    if theirs is None:
        return [*verdicts, unknown(worker)]
    ours_kb, theirs_kb = sum(ours.memory.workers), sum(theirs.memory.workers)
    reached = f"{ours_kb / 1024:.1f} MB, bjoern {theirs_kb / 1024:.1f} MB"
    return [*verdicts, Verdict(worker, reached, ours_kb <= theirs_kb + WORKER_OVER_BJOERN_KB)]


def _syscalls(results: Results) -> list[Verdict]:
    calls = results.syscalls.get("monoceros")
    targets = ("system calls a keep-alive request: one recvfrom", "system calls a keep-alive request: one sendto",
               f"system calls a keep-alive request: < {OTHER_CALLS_LIMIT} of all others together")
    if calls is None:
        return [unknown(target) for target in targets]
    received, sent = calls.get("recvfrom", 0.0), calls.get("sendto", 0.0)
    others = sum(calls.values()) - received - sent
    return [Verdict(targets[0], f"{received:.3f}", 0.9 <= received <= ONE_CALL),
            Verdict(targets[1], f"{sent:.3f}", 0.9 <= sent <= ONE_CALL),
            Verdict(targets[2], f"{others:.3f}", others < OTHER_CALLS_LIMIT)]
