"""What the calling process itself uses, read without rights on anybody else."""

from __future__ import annotations

import time


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
