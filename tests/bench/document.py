"""Writes docs/performance.md: the tables, the machine, the versions, the method, and what the figures cannot say."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import idle
import load
import machine
import places
import preload
import report
from measure import Bench
from results import Results
from scenarios import Group, Scenario
from servers import Launch, Server
from targets import judge
from verdicts import NOISE as NOISE_LIMIT
from verdicts import Verdict

NOISE = f"""## Noise

A virtual machine moves by more than most differences here: the same server has been seen up to 1.8 times slower or
faster from one minute to the next, which is why only quotients within one round are compared. Differences below about
{NOISE_LIMIT:.0%} mean nothing, even so. CPU time comes in ticks of 10 ms. With one connection most of the cost is the
machine going to sleep and waking up again. Requests a second and latencies of pinned servers are those of one server
core against one client core over loopback, with the client at times the slower of the two; where they share the cores,
the client takes part of them; CPU a request is the figure that carries over. The proportional set size counts a shared
page by how many processes share it: other Python programs that run meanwhile make every server look smaller."""


GROUPS = {
    Group.COST: """## What a request costs

CPU is user and system time of all processes of the server, divided by the requests answered. `monoceros / it` is the
median over the rounds of the quotient within one round, with the least and the most in parentheses; below 1 Monoceros
needs less. Memory is the proportional set size right after the load.""",
    Group.FAIRNESS: """## How long requests wait for each other

More connections than threads: each client sends its next request when it has the answer to the last. A request over a
new connection is timed from before connect(2), a new connection beside the others from the moment at which it was due.
*kept* is a request over a connection that its client keeps, *new* one for which a connection is opened. *First second*
is its slowest request, when all clients start at once; in the other figures are the requests that were under way later.
*ideal* is a queue that is served in order: connections / threads x the time of a request; where requests compute,
connections / requests a second of Monoceros. One worker has a core of its own; two workers and the client share all
cores.""",
    Group.THREADS: """## More threads

One worker, which shares all cores with the client; 64 connections unless another number is said. Context switches are
those of all threads of the server, of their own will or not. With CPython's global interpreter lock a second thread
that computes gains nothing.""",
    Group.EDGE: """## HTTPS, and behind a proxy

The server has one core; keys are P-256. nginx is no application server: it sends a static file of the same content.
Each handshake is followed by one request over the new connection, and by its end; the figure is that of all three.
The floor in the last table is what the kernel costs a server without TLS, HTTP or an application.""",
    Group.FILES: """## Static files, rules and limits

The server has one core. nginx looks at a file again after 60 s (`open_file_cache_valid`, its default), Monoceros after
2 s. The rules and limits are configured in such a way that they refuse none of the requests.""",
}


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

    @property
    def verdicts(self) -> list[Verdict]:
        """The targets of the groups that have a scenario in this run."""
        return judge(self.results, {scenario.group for scenario in self.scenarios})


def write(path: Path, run: Run) -> None:
    """Replaces the file."""
    parts = [_opening(run), _targets(run), _groups(run), _idle(run), _syscalls(run), _preload(run), _missing(run), _method(run),
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
- {run.rounds} rounds, {run.bench.seconds:g} s a measurement ({load.OPEN_SECONDS} s at least for random arrivals)"""


def _targets(run: Run) -> str:
    table = report.as_markdown(report.verdict_table(run.verdicts))
    return f"""## Targets

A peer is ahead when `monoceros / it` is above {1 + NOISE_LIMIT:.2f}, which is more than noise, in the median of the
rounds and in most of them; within {NOISE_LIMIT:.0%} of 1, or with rounds that contradict each other, it is level. Other
figures in parentheses are the least and the most of the rounds; beside several peers, the one that does best is named.

{table}"""


def _groups(run: Run) -> str:
    """A section for each group that has any measurement."""
    found = {group: report.tables(run.results, run.scenarios, group) for group in GROUPS}
    return "\n\n".join("\n\n".join([GROUPS[group], *(f"### {title}\n\n{report.as_markdown(table)}"
                                                       for title, table in tables)])
                       for group, tables in found.items() if tables)


def _idle(run: Run) -> str:
    if not run.results.idle:
        return ""
    table = report.as_markdown(report.idle_table(run.results))
    return f"""### Idle connections

Memory that the worker needs more for {idle.CONNECTIONS} connections that have carried one request each and are kept,
divided by their number; what the kernel needs for a socket is not in it.

{table}"""


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
  to core {run.bench.load_core}. Where a group shares the cores, neither is pinned.
- A round measures every server once in every scenario, one after the other, each freshly started; the order is rotated
  from round to round.
- Before each measurement one answer is checked byte for byte (JSON by value; the floor's by length), and
  {load.WARM_UP_SECONDS} s of the same load are thrown away; {load.RAMP_SECONDS:g} s where the first second is a figure.
- A row with any error, any answer with an error status, or fewer bytes than its answers must have is marked invalid and
  takes part in no ratio.
- `wrk` with one thread makes the load where the cost of a request is compared; its percentiles are corrected for
  coordinated omission. All other load comes from `tests/bench/load`. Random arrivals are an open loop: Poisson
  arrivals, each request timed from the moment at which it was due; p50 and p99 are those of the requests that do not
  sleep. In its closed loop a request counts if it is under way in the measurement, and the load goes on until all those
  have ended, so that the end hides no slow one.
- The database (`tests/bench/database`) sends back each byte after 1 ms.
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
