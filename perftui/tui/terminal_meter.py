"""Counts what is sent to the terminal."""

from __future__ import annotations

import threading


class TerminalMeter:
    """Bytes sent to the terminal since the program started; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total_bytes = 0

    @property
    def total_bytes(self) -> int:
        """Bytes so far; two readings and the time between them give bytes per second."""
        return self._total_bytes

    def add(self, size: int) -> None:
        """Count `size` bytes more."""
        with self._lock:
            self._total_bytes += size
