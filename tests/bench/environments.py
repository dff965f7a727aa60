"""Virtual environments, one a server, with the server from PyPI and the frameworks under test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import places
from servers import Server

FRAMEWORKS = ("django~=5.2", "flask~=3.1")
"""The same versions for every server: what differs between two rows must be the server."""


class Unavailable(Exception):
    """This server cannot be measured here, and why."""


def programs(server: Server) -> Path:
    """The directory of programs of the server's virtual environment."""
    return places.VENVS / server.environment / "bin"


def prepare(server: Server, python: str) -> None:
    """Makes the server's virtual environment unless it is there already; raises Unavailable with the reason."""
    directory = places.VENVS / server.environment
    contents = "\n".join([python, *FRAMEWORKS, *server.packages])
    stamp = directory / "contents"
    if stamp.is_file() and stamp.read_text() == contents:
        return
    print(f"installing {', '.join(server.packages) or 'the frameworks'} in {places.shown(str(directory))}",
          file=sys.stderr, flush=True)
    _run([python, "-m", "venv", "--clear", str(directory)], "is python3-venv installed?")
    pip = [str(directory / "bin" / "pip"), "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    _run([*pip, *server.packages, *FRAMEWORKS], server.hint)
    stamp.write_text(contents)


def version(server: Server) -> str:
    """The installed version of the server; empty where it comes from no package."""
    if not server.packages:
        return ""
    code = f"from importlib.metadata import version; print(version({server.packages[0]!r}))"
    result = subprocess.run([str(programs(server) / "python"), "-c", code], capture_output=True, text=True)
    return result.stdout.strip()


def framework_versions(server: Server) -> str:
    """Django and Flask as installed beside the server."""
    code = "from importlib.metadata import version as v; print(f\"Django {v('django')}, Flask {v('flask')}\")"
    result = subprocess.run([str(programs(server) / "python"), "-c", code], capture_output=True, text=True)
    return result.stdout.strip()


def _run(command: list[str], hint: str) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"cannot run {command[0]}: {error}") from error
    if result.returncode != 0:
        lines = [line.strip() for line in result.stderr.splitlines() if "error" in line.lower()]
        reason = lines[-1] if lines else f"{command[0]} exits with {result.returncode}"
        raise Unavailable(f"does not install: {reason}" + (f" ({hint})" if hint else ""))
