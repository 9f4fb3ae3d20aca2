"""Dumps of stacks for the screen: each is taken on a thread of its own."""

from __future__ import annotations

from perftui.profiling.thread_dump import ThreadDump
from perftui.snapshot import Maybe
from perftui.sources.pyspy.dump import DumpReader
from perftui.tui.jobs import Job


class StackDumps:
    """Starts dumps of one process."""

    def __init__(self, pid: int) -> None:
        self._reader = DumpReader(pid)

    def take(self, exact: bool = False, variables: bool = False) -> Job[Maybe[ThreadDump]]:
        """Begin to take a dump."""
        reader = self._reader
        return Job(lambda: reader.take(exact, variables), reader.cancel)

    def close(self) -> None:
        """End what is under way."""
        self._reader.cancel()
