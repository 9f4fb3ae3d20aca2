"""What a server uses of its machine, as its heartbeats tell it."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""A container's own limit, control groups version 2 and 1 (kernel documentation, cgroup-v2)."""


@dataclasses.dataclass(frozen=True)
class ServerUsage:
    """CPU in percent of one core, memory in percent of what the server may use; None: unknown."""

    cpu: float | None
    memory: float | None


class ProcessShare:
    """Measures the process it is called in; of memory, its resident set of `memory_limit` bytes.

    By default that is the limit of the container, else the memory of the machine.
    """

    def __init__(self, memory_limit: int | None = None) -> None:
        from perftui.metrics.own_use import OwnUse

        if memory_limit is not None and memory_limit <= 0:
            raise ValueError(f"memory_limit is {memory_limit!r}, it must be bytes, above 0")
        self._use = OwnUse()
        self._limit = memory_limit or memory_limit_of_machine()

    def __call__(self) -> ServerUsage:
        """Return the use; CPU is that since the last call, unknown at the first."""
        from psutil import Error

        try:
            use = self._use.use()
        except Error:
            return ServerUsage(None, None)
        memory = use.memory_rss
        return ServerUsage(
            use.cpu_percent, None if memory is None else 100.0 * memory / self._limit
        )


def memory_limit_of_machine() -> int:
    """Return the bytes of memory that this container or machine has."""
    from psutil import virtual_memory

    total = int(virtual_memory().total)
    for path in LIMIT_FILES:
        with contextlib.suppress(OSError, ValueError):
            # Without a limit it is the word max, or a number larger than any memory.
            return min(total, int(Path(path).read_text()))
    return total
