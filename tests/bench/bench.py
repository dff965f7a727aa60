#!/usr/bin/env python3
"""Measures Monoceros beside other WSGI servers: `bench.py --help`.

Makes what it needs under target/bench, prints a table for each scenario and every target beside what was reached.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import certificate
import document
import environments
import idle
import load
import nginx
import places
import preload
import report
import scenarios
import servers
import syscalls
import tools
from document import Run
from measure import Bench, Unfit, measure
from results import Results
from scenarios import Scenario
from servers import Server


def main() -> int:
    arguments = parse()
    # Ends whatever runs, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run = perform(arguments)
    except tools.Missing as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench: interrupted; every started process has been ended", file=sys.stderr)
        return 130
    show(run)
    if arguments.write:
        document.write(arguments.write, run)
        print(f"\nwritten: {arguments.write}")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures Monoceros beside other WSGI servers.")
    add = parser.add_argument
    add("--scenario", action="append", default=[], choices=[one.name for one in scenarios.SCENARIOS],
        metavar="NAME", help="only this scenario; may be repeated: " + ", ".join(s.name for s in scenarios.SCENARIOS))
    groups = [group.value for group in scenarios.Group]
    add("--group", action="append", default=[], choices=groups, metavar="NAME",
        help="only the scenarios of this group; may be repeated: " + ", ".join(groups))
    add("--server", action="append", default=[], choices=servers.NAMES, metavar="NAME",
        help="only this server; may be repeated: " + ", ".join(servers.NAMES))
    add("--rounds", type=positive, default=3, metavar="N", help="rounds to take the median of (default 3)")
    add("--seconds", type=length, default=1.0, metavar="N", help="length of one measurement (default 1)")
    add("--strace", action="store_true", help="also count system calls a request, with strace")
    add("--preload", action="store_true", help="also compare memory and respawn with and without --preload")
    add("--write", type=Path, metavar="FILE", help="write the results as Markdown, as in docs/performance.md")
    add("--monoceros", type=Path, default=places.MONOCEROS, metavar="FILE", help="the binary to measure")
    add("--python", default=sys.executable, metavar="FILE", help="the interpreter to measure with")
    add("--server-core", type=int, metavar="N", help="core of the servers (default: the first)")
    add("--load-core", type=int, metavar="N", help="core of the client (default: the last)")
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def length(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("must be at least 0.1 and at most 3600")
    return seconds


def perform(arguments: argparse.Namespace) -> Run:
    """Prepares everything, then measures."""
    tools.require("wrk", "taskset", "cargo", *(["strace"] if arguments.strace else []))
    places.SCRATCH.mkdir(parents=True, exist_ok=True)
    tools.build()
    cores = tools.cores(arguments.server_core, arguments.load_core)
    bench = Bench(arguments.monoceros.absolute(), *cores, arguments.seconds)
    chosen = scenarios.select(arguments.scenario, arguments.group)
    if any(scenario.tls for scenario in chosen):
        tools.require("openssl")
        certificate.make()
    nginx.write_files()
    available, unavailable = prepare(servers.select(arguments.server), bench, arguments.python)
    results = measure_all(bench, chosen, available, arguments.rounds)
    if arguments.strace:
        count_all(bench, available, results)
    if any(scenario.tls and scenario.group is scenarios.Group.EDGE for scenario in chosen):
        measure_idle(bench, available, results)
    if arguments.preload:
        compare_preload(bench, arguments.python, results)
    places.ACCESS_LOG.unlink(missing_ok=True)
    return Run(
        bench, arguments.rounds, command_line(arguments), chosen, available, versions(available, bench),
        frameworks(available, arguments.python), unavailable, results)


def prepare(wanted: Sequence[Server], bench: Bench, python: str) -> tuple[list[Server], dict[str, str]]:
    """Installs every server; those that cannot be had come back with the reason."""
    available, unavailable = [], {}
    for server in wanted:
        try:
            if server.environment == "monoceros" and not bench.monoceros.is_file():
                raise environments.Unavailable(f"not built: {places.shown(str(bench.monoceros))} (make build)")
            if server.name == "nginx":
                nginx.require()
            elif server.name != "floor":
                environments.prepare(server, python)
            available.append(server)
        except environments.Unavailable as error:
            unavailable[server.name] = str(error)
            print(f"without {server.name}: {error}", file=sys.stderr)
    return available, unavailable


def measure_all(bench: Bench, chosen: Sequence[Scenario], available: Sequence[Server], rounds: int) -> Results:
    """Every server once a round in every scenario, in an order that is rotated from round to round."""
    results = Results()
    for number in range(rounds):
        for scenario in chosen:
            taking_part = [server for server in available if server.takes_part(scenario)]
            turn = number % max(1, len(taking_part))
            for server in taking_part[turn:] + taking_part[:turn]:
                progress(f"round {number + 1} of {rounds}: {scenario.name}: {server.name}")
                measure_one(bench, server, scenario, number, results)
    progress("")
    return results


def measure_one(bench: Bench, server: Server, scenario: Scenario, number: int, results: Results) -> None:
    try:
        results.add(scenario.name, server.name, number, measure(bench, server, scenario, seed=number + 1))
    except (Unfit, load.LoadFailed) as error:
        results.fail(scenario.name, server.name, str(error))


def count_all(bench: Bench, available: Sequence[Server], results: Results) -> None:
    """System calls of every server in the first scenario."""
    scenario = scenarios.SCENARIOS[0]
    for server in available:
        if not server.takes_part(scenario):
            continue
        progress(f"strace: {server.name}")
        try:
            results.syscalls[server.name] = syscalls.count(bench, server, scenario)
        except (Unfit, load.LoadFailed) as error:
            results.fail("strace", server.name, str(error))
    progress("")


def measure_idle(bench: Bench, available: Sequence[Server], results: Results) -> None:
    """Memory of idle connections, with TLS and without."""
    for server in available:
        if server.name != "monoceros":
            continue
        progress("idle connections")
        try:
            results.idle = idle.measure(bench, server)
        except Unfit as error:
            results.fail("idle", server.name, str(error))
    progress("")


def compare_preload(bench: Bench, python: str, results: Results) -> None:
    """The demonstration shop with and without --preload."""
    progress("the shop, with and without --preload")
    try:
        results.preload = preload.compare(bench, python)
    except (Unfit, environments.Unavailable) as error:
        results.fail("preload", "monoceros", str(error))
    progress("")


def show(run: Run) -> None:
    """The tables, on standard output."""
    for group in scenarios.Group:
        for title, table in report.tables(run.results, run.scenarios, group):
            print(f"\n{title}\n{report.as_text(table)}")
    if run.results.idle:
        print(f"\nidle connections\n{report.as_text(report.idle_table(run.results))}")
    if run.results.syscalls:
        print(f"\nsystem calls a request\n{report.as_text(report.syscall_table(run.results))}")
    if run.results.preload:
        print(f"\nmemory and respawn\n{report.as_text(report.preload_table(run.results))}")
    print(f"\n{report.as_text(report.verdict_table(run.verdicts))}")
    print(f"\n{report.quiet_line(run.results)}")
    for line in report.failure_lines(run.results, run.unavailable):
        print(f"not measured: {line}")


def versions(available: Sequence[Server], bench: Bench) -> dict[str, str]:
    found = {server.packages[0]: environments.version(server) for server in available if server.packages}
    if any(server.name == "nginx" for server in available):
        found["nginx"] = nginx.version()
    if any(server.name == "monoceros" for server in available):
        result = subprocess.run([str(bench.monoceros), "-V"], capture_output=True, text=True)
        found = {"monoceros": result.stdout.strip().removeprefix("monoceros "), **found}
    return found


def frameworks(available: Sequence[Server], python: str) -> str:
    result = subprocess.run([python, "-V"], capture_output=True, text=True)
    installed = [server for server in available if server.name != "floor" and not server.installed]
    beside = [environments.framework_versions(installed[0])] if installed else []
    return ", ".join([result.stdout.strip(), *beside])


def command_line(arguments: argparse.Namespace) -> str:
    """What to type to get the same, wherever the checkout and its binaries are."""
    words = ["python3 tests/bench/bench.py", f"--rounds {arguments.rounds}", f"--seconds {arguments.seconds:g}"]
    words += [f"--group {name}" for name in arguments.group]
    words += [f"--scenario {name}" for name in arguments.scenario] + [f"--server {name}" for name in arguments.server]
    return " ".join(words + ["--strace"] * arguments.strace + ["--preload"] * arguments.preload)


def progress(line: str) -> None:
    """What is being done now, on one line that is written over; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
