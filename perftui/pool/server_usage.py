"""What a server uses of its machine, as its heartbeats tell it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from math import inf
from pathlib import Path

LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""A container's own limit, control groups version 2 and 1 (kernel documentation, cgroup-v2)."""


CPU_FILES = (
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
"""Microseconds of processor time and of the period they are for, version 2 and 1."""


@dataclasses.dataclass(frozen=True)
class ServerUsage:
    """CPU and memory in percent of what the server may use, 0 to 100; None: unknown."""

    cpu: float | None
    memory: float | None


class ProcessShare:
    """Measures the process it is called in, of `cpus` cores and `memory_limit` bytes.

    By default the memory is the limit of the container, else the machine's. The cores are those
    that the process can use: one where Python runs on one thread at a time, or the container's
    limit where that is less, so that 100 % is a process that can do no more. A server that speaks
    for several processes, or works mostly outside of Python, names its own number. Of memory it is
    the resident set.
    """

    def __init__(self, memory_limit: int | None = None, cpus: float | None = None) -> None:
        from perftui.metrics.own_use import OwnUse

        if memory_limit is not None and memory_limit <= 0:
            raise ValueError(f"memory_limit is {memory_limit!r}, it must be bytes, above 0")
        self._use = OwnUse()
        if cpus is not None and not 0 < cpus < inf:
            raise ValueError(f"cpus is {cpus!r}, it must be cores, above 0")
        self._limit = memory_limit or memory_limit_of_machine()
        self._cpus = cpus or usable_cpus()

    def __call__(self) -> ServerUsage:
        """Return the use; CPU is that since the last call, unknown at the first."""
        from psutil import Error

        try:
            use = self._use.use()
        except Error:
            return ServerUsage(None, None)
        memory = use.memory_rss
        cpu = use.cpu_percent
        return ServerUsage(
            # The clocks of the kernel are read one after the other: a little above is nothing.
            None if cpu is None else min(100.0, cpu / self._cpus),
            None if memory is None else 100.0 * memory / self._limit,
        )


def usable_cpus() -> float:
    """Return the cores that one process can use: one with a global interpreter lock, else all."""
    return cpus_of_machine() if _runs_in_parallel() else min(1.0, cpus_of_machine())


def _runs_in_parallel() -> bool:
    """Whether threads run Python at the same time (PEP 703)."""
    enabled = vars(sys).get("_is_gil_enabled")
    return enabled is not None and not enabled()


def cpus_of_machine() -> float:
    """Return the cores that this container may use in the mean, else those of this process."""
    cores = float(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    for paths in CPU_FILES:
        # Without a limit the quota is the word max, or -1.
        with contextlib.suppress(OSError, ValueError):
            quota, period = " ".join(Path(path).read_text() for path in paths).split()
            if int(quota) > 0 and int(period) > 0:
                cores = min(cores, int(quota) / int(period))
    return cores


def memory_limit_of_machine() -> int:
    """Return the bytes of memory that this container or machine has."""
    from psutil import virtual_memory

    total = int(virtual_memory().total)
    for path in LIMIT_FILES:
        with contextlib.suppress(OSError, ValueError):
            # Without a limit it is the word max, or a number larger than any memory.
            return min(total, int(Path(path).read_text()))
    return total
