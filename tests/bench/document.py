"""Writes docs/performance.md: the tables, the machine, the versions, the method, and what the figures cannot say."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import load
import machine
import places
import preload
import report
from measure import Bench
from results import Results
from scenarios import Scenario
from servers import Launch, Server
from targets import NOISE as NOISE_LIMIT
from targets import judge

NOISE = f"""## Noise

A virtual machine moves by more than most differences here: the same server has been seen up to 1.8 times slower or
faster from one minute to the next, which is why only quotients within one round are compared. Differences below about
{NOISE_LIMIT:.0%} mean nothing, even so. CPU time comes in ticks of 10 ms. With one connection most of the cost is the machine going
to sleep and waking up again. Requests a second and latencies are those of one server core against one client core over
loopback, with the client at times the slower of the two; CPU a request is the figure that carries over. The
proportional set size counts a shared page by how many processes share it: other Python programs that run meanwhile
make every server look smaller."""


@dataclass(frozen=True)
class Run:
    """Everything that a run was made with and of."""

    bench: Bench
    rounds: int
    command: str
    scenarios: Sequence[Scenario]
    servers: Sequence[Server]
    versions: dict[str, str]
    frameworks: str
    unavailable: dict[str, str]
    results: Results


def write(path: Path, run: Run) -> None:
    """Replaces the file."""
    parts = [_opening(run), _targets(run), _scenarios(run), _syscalls(run), _preload(run), _missing(run), _method(run),
             _noise(run), _commands(run)]
    path.write_text("\n\n".join(part for part in parts if part) + "\n")


def _opening(run: Run) -> str:
    facts = "\n".join(f"- {label}: {fact}" for label, fact in machine.facts().items())
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    return f"""# Performance

Written by `{run.command}` on {datetime.date.today().isoformat()}; do not edit by hand.

{facts}
- servers: {versions}
- Python and frameworks, the same for all: {run.frameworks}
- {run.rounds} rounds, {run.bench.seconds:g} s a measurement ({load.POISSON_SECONDS} s at least for random arrivals)"""


def _targets(run: Run) -> str:
    table = report.as_markdown(report.verdict_table(judge(run.results)))
    return f"""## Targets

A peer is ahead when `monoceros / it` is above {1 + NOISE_LIMIT:.2f}, which is more than noise, in the median of the
rounds and in most of them; within {NOISE_LIMIT:.0%} of 1, or with rounds that contradict each other, it is level.

{table}"""


def _scenarios(run: Run) -> str:
    parts = ["""## Scenarios

CPU is user and system time of all processes of the server, divided by the requests answered. `monoceros / it` is the
median over the rounds of the quotient within one round, with the least and the most in parentheses; below 1 Monoceros
needs less. Memory is the proportional set size right after the load."""]
    for scenario in run.scenarios:
        if run.results.servers(scenario.name):
            table = report.as_markdown(report.scenario_table(run.results, scenario))
            parts.append(f"### {scenario.title}\n\n{table}")
    return "\n\n".join(parts)


def _syscalls(run: Run) -> str:
    if not run.results.syscalls:
        return ""
    table = report.as_markdown(report.syscall_table(run.results))
    return f"""## System calls a request

`strace -f -c`, hello, keep-alive, 64 connections. Counts only: strace slows a server down, so that it finds more to do
each time it wakes.

{table}"""


def _preload(run: Run) -> str:
    if not run.results.preload:
        return ""
    table = report.as_markdown(report.preload_table(run.results))
    return f"""## Memory and respawn with and without --preload

The demonstration shop (`tests/apps/shop`) with {preload.WORKERS} workers. Memory is the proportional set size, of a
worker the median; requests go to {len(preload.PAGES)} pages in turn. The time is the median of {preload.KILLS} kills,
taken from the lines of the master's log. Then the code on disk is changed, and another worker killed.

{table}"""


def _missing(run: Run) -> str:
    lines = report.failure_lines(run.results, run.unavailable)
    return "## Not measured\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _method(run: Run) -> str:
    notes = "\n".join(f"- {server.name}: {server.note}" for server in run.servers if server.note)
    return f"""## Method

- Every server runs the same application with the same interpreter from a virtual environment of its own, with one
  worker and no access log unless its name says otherwise, pinned to core {run.bench.server_core}; the client is pinned
  to core {run.bench.load_core}.
- A round measures every server once in every scenario, one after the other, each freshly started; the order is rotated
  from round to round.
- Before each measurement one answer is checked byte for byte (JSON by value; the floor's by length), and
  {load.WARM_UP_SECONDS} s of the same load are thrown away.
- A row with any error, any answer with an error status, or fewer bytes than its answers must have is marked invalid and
  takes part in no ratio.
- `wrk` with one thread makes the load. Random arrivals come from `tests/bench/load`: an open-loop client, Poisson
  arrivals, each request timed from the moment at which it was due; p50 and p99 are those of the requests that do not
  sleep. wrk's own percentiles are corrected for coordinated omission.
- The floor (`tests/bench/floor`) is an epoll loop of one recv and one send a request that parses nothing: what the
  kernel costs any server on this machine.

{notes}"""


def _noise(run: Run) -> str:
    return f"{NOISE}\n\n{report.quiet_line(run.results)}"


def _commands(run: Run) -> str:
    scenario = run.scenarios[0]
    lines = []
    for server in run.servers:
        if server.takes_part(scenario):
            launch = Launch(scenario, 8000, places.VENVS / server.environment / "bin", run.bench.monoceros)
            lines.append(f"# {server.name}\n" + places.shown(" ".join(_quoted(server.command(launch)))))
    client = places.shown(" ".join(load.command(scenario, 8000, run.bench.seconds, 1)))
    return "## Commands\n\nFor the first scenario above, from `tests/bench/apps`, each under `taskset`; paths are " \
           "relative to the checkout:\n\n```sh\n" + "\n".join(lines) + f"\n# the client\n{client}\n```"


def _quoted(command: list[str]) -> list[str]:
    return [f'"{word}"' if " " in word or ";" in word else word for word in command]
