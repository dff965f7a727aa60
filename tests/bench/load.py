"""The two clients, wrk and bench-load: how they are called, and what they print."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import time
from dataclasses import dataclass

import places
from processes import pinned
from scenarios import Group, Load, Scenario

WARM_UP_SECONDS = 0.4
RAMP_SECONDS = 1.0
"""In the fairness group all clients start at once, and the first second is a figure of its own."""
OPEN_SECONDS = 4
"""Random arrivals take at least so long: fewer have no p99."""
OTHER_HANDSHAKES = 0.01
"""The share of handshakes of another kind that does not matter."""
FOLLOW_UP_SECONDS = 20
"""How much longer than its measurement a client may take."""


class LoadFailed(Exception):
    """The client could not do its work."""


@dataclass(frozen=True)
class Times:
    """How long some requests took."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class Result:
    """What a client saw."""

    requests: int
    """All that were answered, also before and after what is measured."""
    rate: float
    """Requests a second."""
    times: dict[str, Times]
    """By kind; `all` is always there."""
    errors: str
    """Empty if every request was answered in full and without an error status."""
    client_cpu: float = 0.0
    """Processor time of the client, in seconds."""


def command(scenario: Scenario, port: int, seconds: float, seed: int) -> list[str]:
    """The client's command line."""
    match scenario.load:
        case Load.WRK:
            return _wrk(scenario, port, seconds)
        case Load.OPEN:
            return [str(places.CLIENT), "open", f"127.0.0.1:{port}", "--rate", str(scenario.rate),
                    "--seconds", str(max(seconds, OPEN_SECONDS)), "--connections", str(scenario.connections),
                    "--seed", str(seed)]
        case Load.CLOSED:
            return _closed(scenario, port, seconds, seed)


def _wrk(scenario: Scenario, port: int, seconds: float) -> list[str]:
    script = "upload.lua" if scenario.upload else "result.lua"
    close = ["-H", "Connection: close"] if scenario.new_connection else []
    header = ["-H", scenario.header] if scenario.header else []
    scheme = "https" if scenario.tls else "http"
    return ["wrk", "-t1", f"-c{scenario.connections}", f"-d{math.ceil(seconds)}s", *close, *header,
            "-s", str(places.WRK_SCRIPTS / script), f"{scheme}://127.0.0.1:{port}{scenario.path}"]


def _closed(scenario: Scenario, port: int, seconds: float, seed: int) -> list[str]:
    given = {
        "--reopen": scenario.reopen, "--new-per-second": scenario.new_per_second,
        "--heavy-every": scenario.heavy_every, "--heavy-connections": scenario.heavy_connections,
    }
    options = [word for flag, value in given.items() if value for word in (flag, str(value))]
    paths = ["--light", scenario.path]
    if scenario.heavy_every or scenario.heavy_connections:
        paths += ["--heavy", scenario.heavy]
    if scenario.tls:
        options += ["--tls", scenario.tls, *(["--resume", "yes"] if scenario.resumed else [])]
    warm_up = RAMP_SECONDS if scenario.group is Group.FAIRNESS else WARM_UP_SECONDS
    return [str(places.CLIENT), "closed", f"127.0.0.1:{port}", "--connections", str(scenario.connections),
            *options, *paths, "--warm-up", str(warm_up), "--seconds", str(max(seconds, scenario.least_seconds)),
            "--seed", str(seed)]


def warm_up(scenario: Scenario, port: int, core: int | None) -> None:
    """A moment of the same load, of which nothing is kept. The closed loop has its own."""
    if scenario.load is Load.CLOSED:
        return
    with _start(command(scenario, port, 2, seed=0), core) as client:
        try:
            time.sleep(WARM_UP_SECONDS)
            client.send_signal(signal.SIGINT)
            client.communicate(timeout=5)
        finally:
            client.kill()


def run(scenario: Scenario, port: int, core: int | None, seconds: float, seed: int) -> Result:
    """Loads the server once."""
    before = _children_cpu()
    with _start(command(scenario, port, seconds, seed), core) as client:
        try:
            if scenario.load is Load.WRK and seconds % 1:
                # It counts in whole seconds, and reports what it has when it is interrupted.
                time.sleep(seconds)
                client.send_signal(signal.SIGINT)
            longest = max(seconds, OPEN_SECONDS, scenario.least_seconds) + FOLLOW_UP_SECONDS
            output, errors = client.communicate(timeout=longest)
        except subprocess.TimeoutExpired:
            raise LoadFailed("the client does not end") from None
        finally:
            client.kill()
    if client.returncode != 0:
        raise LoadFailed(errors.strip() or f"the client exits with {client.returncode}")
    return read(output, scenario, seconds, _children_cpu() - before)


def _start(arguments: list[str], core: int | None) -> subprocess.Popen[str]:
    environment = {**os.environ, "BENCH_WRK": str(places.WRK_SCRIPTS)}
    return subprocess.Popen(
        pinned(arguments, core), env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read(output: str, scenario: Scenario, seconds: float, client_cpu: float = 0.0) -> Result:
    """What the client printed."""
    match scenario.load:
        case Load.WRK:
            return _read_wrk(output, scenario, client_cpu)
        case Load.OPEN:
            return _read_open(output, max(seconds, OPEN_SECONDS), client_cpu)
        case Load.CLOSED:
            return _read_closed(output, scenario, client_cpu)


def _read_wrk(output: str, scenario: Scenario, client_cpu: float) -> Result:
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise LoadFailed(f"wrk printed no result: {output.strip()}")
    seen = json.loads(line.removeprefix("RESULT "))
    faults = {name: seen[name] for name in ("connect", "read", "write", "status", "timeout")}
    faults["short"] = int(seen["bytes"] < seen["requests"] * scenario.least_bytes)
    times = Times(seen["requests"], seen["p50_us"] / 1e3, seen["p99_us"] / 1e3, seen["max_us"] / 1e3)
    return Result(seen["requests"], seen["requests"] / seen["seconds"], {"all": times}, _say(faults), client_cpu)


def _read_open(output: str, seconds: float, client_cpu: float) -> Result:
    """Only light requests are timed."""
    seen = json.loads(output)
    faults = {name: seen[name] for name in ("refused", "broken", "abandoned")}
    answered = seen["light"] + seen["heavy"]
    times = Times(seen["light"], seen["p50_ms"], seen["p99_ms"], seen["max_ms"])
    return Result(answered, answered / seconds, {"all": times}, _say(faults), client_cpu)


def _read_closed(output: str, scenario: Scenario, client_cpu: float) -> Result:
    seen = json.loads(output)
    faults = seen["errors"]
    if scenario.tls:
        faults = {**faults, **_other_handshakes(seen["handshakes"], scenario)}
    times = {kind: Times(one["count"], one["p50_ms"], one["p99_ms"], one["max_ms"])
             for kind in ("all", "kept", "new", "light", "heavy", "ramp") if (one := seen[kind])["count"]}
    return Result(seen["answered"], seen["rate"], times, _say(faults), client_cpu)


def _other_handshakes(seen: dict[str, int], scenario: Scenario) -> dict[str, int]:
    """Handshakes that are not of the kind that is measured. The first of each client has nothing to resume."""
    other = seen["full"] - scenario.connections if scenario.resumed else seen["resumed"]
    kind = "full handshakes" if scenario.resumed else "resumed sessions"
    return {kind: other} if other > OTHER_HANDSHAKES * (seen["full"] + seen["resumed"]) else {}


def _say(faults: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in faults.items() if count)
