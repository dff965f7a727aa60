"""What Monoceros is to reach with TLS, and behind a proxy."""

from __future__ import annotations

from results import Results
from scenarios import FORWARDED, HANDSHAKE, HTTPS_HELLO, HTTPS_LARGE, RESUMED, RESUMED_1_2, Scenario
from verdicts import Verdict, cpu_beside, cpu_with, unknown

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
    return [*(cpu_beside(results, *limit) for limit in CPU_LIMITS),
            cpu_with(results, FORWARDED, "real-ip", "monoceros-real-ip", REAL_IP_LIMIT), _idle(results)]


def _idle(results: Results) -> Verdict:
    target = f"idle HTTPS connection: <= {IDLE_LIMIT_KIB:.0f} KiB beyond a plain one"
    if len(results.idle) < 2:
        return unknown(target)
    plain, encrypted = results.idle["http"], results.idle["https"]
    beyond = encrypted - plain
    return Verdict(target, f"{beyond:.1f} KiB ({encrypted:.1f} - {plain:.1f})", beyond <= IDLE_LIMIT_KIB)
