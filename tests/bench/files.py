"""What Monoceros is to reach with static files, and with rules and limits for clients."""

from __future__ import annotations

from results import Results
from scenarios import HTTPS_LARGE_FILE, HTTPS_SMALL_FILE, LARGE_FILE, LIMITED, SMALL_FILE, Scenario
from verdicts import Verdict, cpu_beside, cpu_with

NGINX_LIMITS: tuple[tuple[Scenario, str, float], ...] = (
    (SMALL_FILE, "static file of 1 KiB", 0.95),
    (LARGE_FILE, "static file of 1 MB", 1.05),
    (HTTPS_SMALL_FILE, "HTTPS, static file of 1 KiB", 1.0),
    (HTTPS_LARGE_FILE, "HTTPS, static file of 1 MB", 1.0),
)
"""Processor time a request, as a multiple of nginx's."""
RULES_LIMIT = 1.05


def judge(results: Results) -> list[Verdict]:
    """Every target of the group."""
    return [*(cpu_beside(results, scenario, words, "nginx", limit) for scenario, words, limit in NGINX_LIMITS),
            cpu_with(results, LIMITED, "rules and limits", "monoceros-limits", RULES_LIMIT)]
