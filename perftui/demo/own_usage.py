"""What the calling process itself uses, read without rights on anybody else."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


class OwnCpu:
    """CPU use of this process between two calls."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._busy = time.process_time()

    def percent(self) -> float:
        """Return percent of one core since the last call."""
        wall, busy = time.monotonic(), time.process_time()
        elapsed = wall - self._wall
        used = busy - self._busy
        self._wall, self._busy = wall, busy
        return 100.0 * used / elapsed if elapsed > 0 else 0.0


def own_memory() -> int:
    """Return the resident set of this process in bytes; /proc/self/statm of proc(5) on Linux."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    import psutil

    memory: int = psutil.Process().memory_info().rss
    return memory
