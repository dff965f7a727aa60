"""A server's processes: started together, read from /proc, and ended by their ids whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import places

TICKS = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Process:
    """One process at one moment; the start time tells a reused id from the same process."""

    pid: int
    parent: int
    started: int
    cpu_seconds: float
    """User and system time of the process and of the children it has reaped."""


@dataclass(frozen=True)
class Memory:
    """Proportional set sizes, in kB; a server of a single process has no master."""

    master: int | None
    workers: tuple[int, ...]


def pinned(command: list[str], core: int | None) -> list[str]:
    """The command line that runs it on this core; on all for None."""
    return command if core is None else ["taskset", "--cpu-list", str(core), *command]


@contextmanager
def started(command: list[str], core: int | None, environment: dict[str, str], log: Path) -> Iterator[Tree]:
    """Starts a server, on one core or on all, and ends all of its processes with the block."""
    arguments = pinned(command, core)
    with log.open("wb") as output:
        # A session of its own, so that Ctrl-C reaches us alone and the server is ended in good order.
        root = subprocess.Popen(
            arguments, cwd=places.APPS, env=environment, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, start_new_session=True)
        tree = Tree(root, log)
        try:
            yield tree
        finally:
            tree.end()


class Tree:
    """A started server and all its descendants."""

    def __init__(self, root: subprocess.Popen[bytes], log: Path) -> None:
        self.log = log
        self._root = root

    def end(self) -> None:
        """Asks the root to end, then kills whatever is left of the tree."""
        members = self.processes()
        try:
            self._root.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._root.wait(STOP_SECONDS)
        finally:
            _kill(members + self.processes())
            self._root.wait()

    @property
    def pid(self) -> int:
        """The root's."""
        return self._root.pid

    @property
    def exit_code(self) -> int | None:
        """None while the root runs."""
        return self._root.poll()

    def last_words(self) -> str:
        """The last line that the server wrote."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing"

    def processes(self) -> list[Process]:
        """The root and its descendants, parents first."""
        everything = _all_processes()
        found = [process for process in everything if process.pid == self._root.pid]
        for process in found:
            found.extend(child for child in everything if child.parent == process.pid)
        return found

    def cpu_seconds(self) -> float:
        """Processor time that the tree has used so far, of the living and of the reaped."""
        return sum(process.cpu_seconds for process in self.processes())

    def switches(self) -> int:
        """Context switches of all threads that live, of their own will and against it."""
        return sum(_switches(process.pid) for process in self.processes())

    def memory(self) -> Memory:
        """What the tree holds now; the root is the master if it has children."""
        sizes = [pss(process.pid) for process in self.processes()]
        if len(sizes) == 1:
            return Memory(None, tuple(sizes))
        return Memory(sizes[0], tuple(sizes[1:]))


def _all_processes() -> list[Process]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (process := _read(int(entry.name))) is not None:
            found.append(process)
    return found


def _read(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # proc(5): the name in parentheses may hold anything; fields are counted from after it, from number 3.
    fields = stat.rpartition(")")[2].split()
    parent, started = int(fields[1]), int(fields[19])
    ticks = sum(int(field) for field in fields[11:15])
    return Process(pid, parent, started, ticks / TICKS)


def _switches(pid: int) -> int:
    found = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end meanwhile.
        with suppress(OSError):
            lines = (task / "status").read_text().splitlines()
            found += sum(int(line.split()[1]) for line in lines if "voluntary_ctxt_switches:" in line)
    return found


def pss(pid: int) -> int:
    """Proportional set size of a process, in kB; its resident set size if it has keys in memory, and we are not root
    (PR_SET_DUMPABLE)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except PermissionError:
        return status_kb(pid, "VmRSS")
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def status_kb(pid: int, name: str) -> int:
    """A size in /proc/PID/status, in kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def _kill(members: list[Process]) -> None:
    """Ends what is left of the tree and waits until it is gone."""
    deadline = time.monotonic() + STOP_SECONDS
    left = {process.pid: process.started for process in members}
    while left and time.monotonic() < deadline:
        for pid, started in list(left.items()):
            now = _read(pid)
            if now is None or now.started != started or _is_zombie(pid):
                del left[pid]
                continue
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"
