"""The two clients, wrk and bench-load: how they are called, and what they print."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from dataclasses import dataclass

import places
from scenarios import Load, Scenario

WARM_UP_SECONDS = 0.4
POISSON_SECONDS = 4
"""bench-load runs at least for so long: fewer arrivals have no p99."""


class LoadFailed(Exception):
    """The client could not do its work."""


@dataclass(frozen=True)
class Result:
    """What a client saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: str
    """Empty if every request was answered in full and without an error status."""


def command(scenario: Scenario, port: int, seconds: float, seed: int) -> list[str]:
    """The client's command line."""
    if scenario.load is Load.POISSON:
        return [str(places.CLIENT), "open", f"127.0.0.1:{port}", "--rate", str(scenario.rate),
                "--seconds", str(math.ceil(max(seconds, POISSON_SECONDS))), "--connections", str(scenario.connections),
                "--seed", str(seed)]
    script = "upload.lua" if scenario.upload else "result.lua"
    close = ["-H", "Connection: close"] if scenario.new_connection else []
    return ["wrk", "-t1", f"-c{scenario.connections}", f"-d{math.ceil(seconds)}s", *close,
            "-s", str(places.WRK_SCRIPTS / script), f"http://127.0.0.1:{port}/"]


def warm_up(scenario: Scenario, port: int, core: int) -> None:
    """A moment of the same load, of which nothing is kept."""
    with _start(command(scenario, port, 2, seed=0), core) as client:
        try:
            time.sleep(WARM_UP_SECONDS)
            client.send_signal(signal.SIGINT)
            client.communicate(timeout=5)
        finally:
            client.kill()


def run(scenario: Scenario, port: int, core: int, seconds: float, seed: int) -> Result:
    """Loads the server once."""
    with _start(command(scenario, port, seconds, seed), core) as client:
        try:
            if scenario.load is Load.WRK and seconds % 1:
                # It counts in whole seconds, and reports what it has when it is interrupted.
                time.sleep(seconds)
                client.send_signal(signal.SIGINT)
            output, errors = client.communicate(timeout=max(seconds, POISSON_SECONDS) + 20)
        except subprocess.TimeoutExpired:
            raise LoadFailed("the client does not end") from None
        finally:
            client.kill()
    if client.returncode != 0:
        raise LoadFailed(errors.strip() or f"the client exits with {client.returncode}")
    if scenario.load is Load.POISSON:
        return _read_poisson(output, math.ceil(max(seconds, POISSON_SECONDS)))
    return _read_wrk(output, scenario)


def _start(arguments: list[str], core: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "BENCH_WRK": str(places.WRK_SCRIPTS)}
    return subprocess.Popen(
        ["taskset", "--cpu-list", str(core), *arguments], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def _read_wrk(output: str, scenario: Scenario) -> Result:
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise LoadFailed(f"wrk printed no result: {output.strip()}")
    seen = json.loads(line.removeprefix("RESULT "))
    faults = {name: seen[name] for name in ("connect", "read", "write", "status", "timeout") if seen[name]}
    if seen["bytes"] < seen["requests"] * scenario.least_bytes:
        faults["short"] = 1
    return Result(seen["requests"], seen["seconds"], seen["p50_us"] / 1e3, seen["p99_us"] / 1e3, _say(faults))


def _read_poisson(output: str, seconds: int) -> Result:
    seen = json.loads(output)
    faults = {name: seen[name] for name in ("refused", "broken", "abandoned") if seen[name]}
    return Result(seen["light"] + seen["heavy"], float(seconds), seen["p50_ms"], seen["p99_ms"], _say(faults))


def _say(faults: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in faults.items())
