"""Facts about the machine that a reader of the figures needs, and how busy others keep it."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Cores:
    """Some cores from now on."""

    def __init__(self, numbers: Collection[int]) -> None:
        self.numbers = numbers
        self._busy, self._all = self._read()

    def foreign(self, ours: float) -> float:
        """The share of the time since the start in which they worked, but not the seconds that are `ours`."""
        busy, everything = self._read()
        elapsed = everything - self._all
        return max(0.0, busy - self._busy - ours) / elapsed if elapsed else 0.0

    def _read(self) -> tuple[float, float]:
        """Seconds busy, stolen by the hypervisor included, and seconds altogether."""
        names = {f"cpu{number}" for number in self.numbers}
        busy = everything = 0.0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *values = line.split()
            if name in names:
                # proc(5): user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user already.
                fields = [int(value) / TICKS for value in values[:8]]
                busy += sum(fields) - fields[3] - fields[4]
                everything += sum(fields)
        return busy, everything


def facts() -> dict[str, str]:
    """What is shown, by label."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores{_virtual()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _virtual() -> str:
    flags = Path("/proc/cpuinfo").read_text()
    return ", virtual machine" if " hypervisor" in flags else ""


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return "unknown"
