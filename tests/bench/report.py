"""Results as tables of text, for the terminal and for Markdown alike. Decides nothing and measures nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from statistics import median

import preload
from preload import Preload
from load import Times
from results import NO_TIMES, Figure, Results, Row, cpu, p99, rate
from scenarios import Group, Load, Scenario, families
from verdicts import Verdict

Table = list[list[str]]

FIGURE = re.compile(r"[\d.]+( \([\d.]+-[\d.]+\))?")

HEADER = ["server", "µs CPU/request", "monoceros / it", "requests/s", "p50 ms", "p99 ms", "master MB", "workers MB"]


def tables(results: Results, chosen: Sequence[Scenario], group: Group) -> list[tuple[str, Table]]:
    """The tables of a group that have any measurement, each with its title."""
    measured = [one for one in chosen if results.servers(one.name)]
    if group in (Group.COST, Group.EDGE, Group.FILES):
        return [(one.title, scenario_table(results, one)) for one in measured if one.group is group]
    return [(family[0].title, family_table(results, family)) for family in families(measured, group)]


def scenario_table(results: Results, scenario: Scenario) -> Table:
    """One row a server, the least CPU first."""
    rows = [(server, row) for server in results.servers(scenario.name)
            if (row := results.row(scenario.name, server)) is not None]
    rows.sort(key=lambda item: item[1].cpu_us)
    header = list(HEADER)
    if scenario.load is Load.OPEN:
        header.insert(3, "p99: monoceros / it")
    return [header, *(_line(results, scenario, server, row) for server, row in rows)]


def _line(results: Results, scenario: Scenario, server: str, row: Row) -> list[str]:
    master = row.memory.master
    if row.errors:
        return [server, f"invalid: {row.errors}"] + [""] * (6 + (scenario.load is Load.OPEN))
    ratios = [_ratio(results, scenario, server, cpu)]
    if scenario.load is Load.OPEN:
        ratios.append(_ratio(results, scenario, server, p99))
    return [
        server, f"{row.cpu_us:.1f}", *ratios, f"{row.rate:.0f}", f"{_all(row).p50_ms:.2f}", f"{_all(row).p99_ms:.2f}",
        "" if master is None else f"{master / 1024:.1f}", f"{sum(row.memory.workers) / 1024:.1f}",
    ]


def _all(row: Row) -> Times:
    return row.times.get("all", NO_TIMES)


def family_table(results: Results, family: Sequence[Scenario]) -> Table:
    """Scenarios that differ in one thing, each with its servers, the most requests first, and the ideal."""
    fairness, kinds = family[0].group is Group.FAIRNESS, family[0].kinds
    times = ["p50 / p99 / slowest, ms" if kind == "all" else f"{kind}: p50 / p99 / slowest, ms" for kind in kinds]
    header = ["", "server", "requests/s", "monoceros / it", "p99: monoceros / it", *times,
              *(["first second: slowest, ms"] if fairness else []), "µs CPU/request",
              *([] if fairness else ["switches/request"])]
    table = [header]
    for scenario in family:
        rows = [(server, row) for server in results.servers(scenario.name)
                if (row := results.row(scenario.name, server)) is not None]
        rows.sort(key=lambda item: -item[1].rate)
        lines = [_family_line(results, scenario, server, row) for server, row in rows]
        if fairness and (ours := results.row(scenario.name, "monoceros")) and not ours.errors:
            ideal = scenario.ideal_ms(ours.rate)
            lines.append([scenario.label, "ideal", "", "", "", *([f"{ideal:.1f}"] * len(kinds))])
        table += [line + [""] * (len(header) - len(line)) for line in lines]
    return table


def _family_line(results: Results, scenario: Scenario, server: str, row: Row) -> list[str]:
    if row.errors:
        return [scenario.label, server, f"invalid: {row.errors}"]
    fairness = scenario.group is Group.FAIRNESS
    times = [row.times.get(kind, NO_TIMES) for kind in scenario.kinds]
    return [
        scenario.label, server, f"{row.rate:.0f}", _ratio(results, scenario, server, rate),
        _ratio(results, scenario, server, p99),
        *(f"{one.p50_ms:.1f} / {one.p99_ms:.1f} / {one.max_ms:.1f}" for one in times),
        *([f"{row.times.get('ramp', NO_TIMES).max_ms:.1f}"] if fairness else []), f"{row.cpu_us:.1f}",
        *([] if fairness else [f"{row.switches:.2f}"]),
    ]


def _ratio(results: Results, scenario: Scenario, server: str, figure: Figure) -> str:
    if server == "monoceros":
        return "1"
    ratio = results.ratio(scenario.name, "monoceros", server, figure)
    return str(ratio) if ratio else ""


def syscall_table(results: Results) -> Table:
    """Calls a keep-alive request, by server."""
    table = [["server", "recvfrom", "sendto", "all others", "of which"]]
    for server, calls in results.syscalls.items():
        others = {name: number for name, number in calls.items() if name not in ("recvfrom", "sendto")}
        named = ", ".join(f"{name} {number:.2f}" for name, number in others.items() if number >= 0.01)
        table.append([server, f"{calls.get('recvfrom', 0):.2f}", f"{calls.get('sendto', 0):.2f}",
                      f"{sum(others.values()):.2f}", named])
    return table


def preload_table(results: Results) -> Table:
    """The demonstration shop without and with --preload."""
    seen = [results.preload[preload] for preload in (False, True)]
    rows: list[tuple[str, Callable[[Preload], str]]] = [
        ("master, MB", lambda one: _mb(one.fresh.master)),
        ("mold, MB", lambda one: _mb(one.fresh.mold) if one.fresh.mold else ""),
        ("a worker, fresh, MB", lambda one: _mb(median(one.fresh.workers))),
        ("all processes, fresh, MB", lambda one: _mb(one.fresh.all)),
        (f"a worker after {preload.REQUESTS} requests, MB", lambda one: _mb(median(one.used.workers))),
        (f"all processes after {preload.REQUESTS} requests, MB", lambda one: _mb(one.used.all)),
        ("from kill -9 of a worker to the next one ready, ms", lambda one: f"{one.total_ms:.0f}"),
        ("of which the master paused, as its log says, ms", lambda one: f"{one.wait_ms:.0f}"),
        ("a respawned worker runs the old code when files have changed", lambda one: _yes(one.keeps_loaded)),
        ("the same of modules imported with the first request", lambda one: _yes(one.keeps_late)),
    ]
    return [["", "without", "with --preload"], *([label, *map(show, seen)] for label, show in rows)]


def idle_table(results: Results) -> Table:
    """Memory of idle connections, by scheme."""
    return [["connection", "KiB each"], *([scheme, f"{kib:.1f}"] for scheme, kib in results.idle.items())]


def _mb(kb: float) -> str:
    return f"{kb / 1024:.1f}"


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Each target beside what was reached."""
    words = {True: "yes", False: "NO", None: "-"}
    return [["met", "target", "reached"], *([words[one.met], one.target, one.reached] for one in verdicts)]


def quiet_line(results: Results) -> str:
    """How much of the server's cores was taken by others, which is what spoils figures most."""
    usual, worst = results.foreign()
    return f"Other programs took {usual:.0%} of the server's cores in the median measurement, {worst:.0%} at worst."


def failure_lines(results: Results, unavailable: dict[str, str]) -> list[str]:
    """What is missing from the tables, and why."""
    missing = [f"{server}: {reason}" for server, reason in unavailable.items()]
    return missing + [f"{server} in {scenario}: {reason}" for (scenario, server), reason in results.failures.items()]


def as_text(table: Table) -> str:
    """Columns aligned with spaces: figures to the right, words to the left."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join("  ".join(_cells(line, widths)).rstrip() for line in table)


def _cells(line: list[str], widths: list[int]) -> Iterable[str]:
    for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield cell.rjust(width) if column and FIGURE.fullmatch(cell) else cell.ljust(width)


def as_markdown(table: Table) -> str:
    """A pipe table."""
    rule = ["---"] * len(table[0])
    return "\n".join("| " + " | ".join(line) + " |" for line in [table[0], rule, *table[1:]])
