"""Counts a server's system calls a request under strace. Slows the server down: counts only, never times."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import load
import places
from measure import Bench, Unfit, serving
from processes import Tree
from scenarios import Scenario
from servers import Server

ATTACH_SECONDS = 5.0
ROW = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(?P<calls>\d+)\s+(?:\d+\s+)?(?P<name>\w+)$")
"""A line of `strace -c`: % time, seconds, usecs/call, calls, errors (blank for none), syscall."""


def count(bench: Bench, server: Server, scenario: Scenario) -> dict[str, float]:
    """Calls a request by name, most frequent first, over all threads and processes of the server."""
    summary = places.SCRATCH / f"{server.name}.strace"
    with serving(bench, server, scenario) as (tree, port):
        core = bench.cores(scenario)[1]
        load.warm_up(scenario, port, core)
        tracer = _attach(tree, str(summary))
        try:
            result = load.run(scenario, port, core, max(bench.seconds, 2), seed=1)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=10)
    if result.requests == 0:
        raise Unfit("it answered no request under strace")
    calls = {match["name"]: int(match["calls"])
             for line in summary.read_text().splitlines() if (match := ROW.match(line)) and match["name"] != "total"}
    ordered = sorted(calls.items(), key=lambda item: -item[1])
    return {name: number / result.requests for name, number in ordered}


def _attach(tree: Tree, summary: str) -> subprocess.Popen[str]:
    """Starts strace on every process of the tree and waits until the kernel says that it traces them."""
    pids = [process.pid for process in tree.processes()]
    arguments = ["strace", "-f", "-c", "-o", summary]
    for pid in pids:
        arguments += ["-p", str(pid)]
    tracer = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + ATTACH_SECONDS
    while not all(_is_traced(pid) for pid in pids):
        if tracer.poll() is not None:
            reason = tracer.communicate()[1].strip().rpartition("\n")[2]
            raise Unfit(f"strace cannot attach: {reason} (it needs root, or kernel.yama.ptrace_scope = 0)")
        if time.monotonic() > deadline:
            tracer.kill()
            raise Unfit("strace does not attach")
        time.sleep(0.01)
    return tracer


def _is_traced(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in lines)
