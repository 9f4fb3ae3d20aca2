"""What the whole machine uses, or the container, as HAProxy is to be told of it."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from perftui.pool.server_usage import (
    LIMIT_FILES,
    ServerUsage,
    cpus_of_machine,
    memory_limit_of_machine,
)

CPU_LIMIT_FILES = ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
CPU_TIME_FILES = (
    ("/sys/fs/cgroup/cpu.stat", 1e-6),
    ("/sys/fs/cgroup/cpuacct/cpuacct.usage", 1e-9),
    ("/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", 1e-9),
)
"""Where a container's processor time is, and the seconds of one of its units."""
MEMORY_FILES = (
    ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"),
    (
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)
"""A container's memory, and where it says how much of that is cache that the kernel gives back."""


class MachineShare:
    """Measures the container where it has a limit of its own, else the machine.

    CPU is percent of all it may use since the last call, unknown at the first; memory is what
    cannot be had without swapping, as kernel documentation of control groups and proc(5) have it.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._mark: tuple[float, float] | None = None

    def __call__(self) -> ServerUsage:
        """Return the use now."""
        return ServerUsage(self._cpu(), self._memory())

    def _cpu(self) -> float | None:
        used = self._container_seconds() if self._has_quota() else None
        cores = cpus_of_machine()
        moment = time.monotonic()
        if used is None:
            used, moment = _machine_seconds()
            cores = 1.0
        before, self._mark = self._mark, (moment, used)
        if before is None or moment <= before[0]:
            return None
        percent = 100.0 * (used - before[1]) / (moment - before[0]) / cores
        return min(100.0, max(0.0, percent))

    def _memory(self) -> float | None:
        from psutil import virtual_memory

        machine = virtual_memory()
        limit = memory_limit_of_machine()
        if limit < machine.total and self._limited(LIMIT_FILES):
            for used, statistics, cache in MEMORY_FILES:
                with contextlib.suppress(OSError, ValueError):
                    held = int(self._text(used))
                    words = self._text(statistics).split()
                    held -= int(words[words.index(cache) + 1]) if cache in words else 0
                    return min(100.0, 100.0 * max(0, held) / limit)
        return float(machine.percent)

    def _has_quota(self) -> bool:
        return self._limited(CPU_LIMIT_FILES)

    def _limited(self, files: tuple[str, ...]) -> bool:
        for path in files:
            with contextlib.suppress(OSError, ValueError, IndexError):
                # Without a limit it is the word max, or -1.
                return int(self._text(path).split()[0]) > 0
        return False

    def _container_seconds(self) -> float | None:
        for path, unit in CPU_TIME_FILES:
            with contextlib.suppress(OSError, ValueError):
                words = self._text(path).split()
                at = words.index("usage_usec") + 1 if "usage_usec" in words else 0
                return int(words[at]) * unit
        return None

    def _text(self, path: str) -> str:
        return (self._root / path.lstrip("/")).read_text()


def _machine_seconds() -> tuple[float, float]:
    """Return the busy and all seconds of all cores since the start of the machine."""
    from psutil import cpu_times

    times = cpu_times()
    # Guests are in user and nice already; steal is time that nobody here can have.
    total = sum(times[:8])
    idle = times.idle + (times.iowait if sys.platform == "linux" else 0.0)
    return total - idle, total
