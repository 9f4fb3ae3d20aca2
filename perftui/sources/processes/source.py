"""The process table of the machine."""

from __future__ import annotations

import sys
from typing import Protocol

from perftui.snapshot import ProcessTable
from perftui.sources.processes.fallback import PsutilScan
from perftui.sources.processes.scan import LinuxScan


class ProcessScan(Protocol):
    """One way to read the process table."""

    def scan(self) -> ProcessTable: ...


class ProcessSource:
    """All processes, at most `scan_budget` CPU seconds per sample once the first one is taken.

    On Linux it reads `proc` itself, elsewhere through psutil. CPU percent is of one core, over the
    time between two reads of that process, and FIRST_SAMPLE when it is seen for the first time.
    """

    name = "processes"
    deadline = 2.0

    def __init__(
        self, interval: float = 1.0, scan_budget: float = 0.04, proc: str = "/proc"
    ) -> None:
        self.interval = interval
        self._scan: ProcessScan
        if sys.platform == "linux":
            self._scan = LinuxScan(proc, scan_budget)
        else:
            self._scan = PsutilScan(scan_budget)

    def sample(self) -> ProcessTable:
        """Return the table; raises SourceError when no process can be read."""
        return self._scan.scan()

    def close(self) -> None:
        """Nothing is held open between two samples."""
