"""The programs that measuring needs: wrk, taskset, strace, and our small ones, which are compiled first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import places

PACKAGES = {"wrk": "wrk", "taskset": "util-linux", "strace": "strace", "cargo": "cargo", "openssl": "openssl"}


class Missing(Exception):
    """A program is not there, and how to get it."""


def require(*programs: str) -> None:
    """Raises Missing, naming every program that is not on PATH."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        packages = " ".join(PACKAGES[program] for program in missing)
        raise Missing(f"not found on PATH: {', '.join(missing)}; on Debian: sudo apt-get install {packages}")


def build() -> None:
    """Compiles the floor, the client and the database."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(places.RUST)}
    for crate in ("floor", "load", "database"):
        manifest = places.BENCH / crate / "Cargo.toml"
        command = ["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", str(manifest)]
        result = subprocess.run(command, env=environment)
        if result.returncode != 0:
            raise Missing(f"cannot compile tests/bench/{crate}: cargo exits with {result.returncode}")


def cores(server: int | None, load: int | None) -> tuple[int, int]:
    """The core of the server and that of the load: as asked for, else the first two that we may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        print("only one core: load and server share it, and every figure suffers", file=sys.stderr)
    chosen = (usable[0] if server is None else server, usable[-1] if load is None else load)
    for core in chosen:
        if core not in usable:
            raise Missing(f"core {core} cannot be used; these can: {', '.join(map(str, usable))}")
    return chosen
