"""What Monoceros is to reach with TLS, and behind a proxy."""

from __future__ import annotations

from results import Results, cpu
from scenarios import FORWARDED, HANDSHAKE, HTTPS_HELLO, HTTPS_LARGE, RESUMED, RESUMED_1_2, Scenario
from verdicts import OURS, Verdict, invalid, unknown

CPU_LIMITS: tuple[tuple[Scenario, str, str, float], ...] = (
    (HTTPS_HELLO, "HTTPS hello", "nginx", 0.9),
    (HTTPS_HELLO, "HTTPS hello", "granian", 0.5),
    (HTTPS_LARGE, "HTTPS 64 KiB", "nginx", 0.7),
    (HANDSHAKE, "full TLS 1.3 handshake", "nginx", 0.7),
    (RESUMED, "resumed TLS 1.3 session", "nginx", 0.75),
    (RESUMED_1_2, "resumed TLS 1.2 session", "nginx", 0.9),
)
"""Processor time a request, as a multiple of the peer's."""
REAL_IP_LIMIT = 1.05
IDLE_LIMIT_KIB = 10.0


def judge(results: Results) -> list[Verdict]:
    """Every target of the group."""
    return [*(_cpu(results, *limit) for limit in CPU_LIMITS), _real_ip(results), _idle(results)]


def _cpu(results: Results, scenario: Scenario, words: str, peer: str, limit: float) -> Verdict:
    target = f"{words}: CPU <= {limit} x {peer}"
    if failed := invalid(results, scenario.name, target):
        return failed
    ratio = results.ratio(scenario.name, OURS, peer, cpu)
    return Verdict(target, str(ratio), ratio.median <= limit) if ratio else unknown(target)


def _real_ip(results: Results) -> Verdict:
    target = f"real-ip: CPU a request <= {REAL_IP_LIMIT} x without"
    ratio = results.ratio(FORWARDED.name, "monoceros-real-ip", OURS, cpu)
    return Verdict(target, str(ratio), ratio.median <= REAL_IP_LIMIT) if ratio else unknown(target)


def _idle(results: Results) -> Verdict:
    target = f"idle HTTPS connection: <= {IDLE_LIMIT_KIB:.0f} KiB beyond a plain one"
    if len(results.idle) < 2:
        return unknown(target)
    plain, encrypted = results.idle["http"], results.idle["https"]
    beyond = encrypted - plain
    return Verdict(target, f"{beyond:.1f} KiB ({encrypted:.1f} - {plain:.1f})", beyond <= IDLE_LIMIT_KIB)
