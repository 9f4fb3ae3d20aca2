"""Open file descriptors of the machine and of processes, against their limits."""

from __future__ import annotations

import heapq
import os
import re
import sys
import time
from typing import NamedTuple

from perftui.snapshot import Absent, Descriptors, Maybe, ProcessDescriptors, State
from perftui.sources.proc_file import read_proc_file
from perftui.sources.source import SourceError

MOST_ROWS = 20
"""Processes in a reading: those nearest to their limit, and more of them when they are near."""
NEAR, MOST_NEAR = 0.5, 200
"""Part of its limit from which on a process is near, and how many of those a reading has."""
BUDGET = 0.05
"""CPU seconds of one sample; what is left over is looked at in the next ones."""
LIMIT_AGE = 60.0
"""Seconds after which the limit of a process is read again: prlimit(2) may change it."""
UNLIMITED = 1 << 62

NO_FILE_TABLE = Absent(State.UNAVAILABLE, "this system does not tell how many files are open")
_SOFT_LIMIT = re.compile(rb"^Max open files\s+(\d+|unlimited)", re.MULTILINE)


class _Known(NamedTuple):
    """What changes rarely about a process; `inode` tells a new process of the same id apart."""

    inode: int
    name: str
    limit: int
    read: float


class DescriptorsSource:
    """Descriptors of all processes whose files this user may see; Linux only.

    One sample costs `budget` CPU seconds at most: on a machine with very many processes they take
    turns, and those nearest to their limit are looked at each time.
    """

    name = "descriptors"
    deadline = 3.0

    def __init__(self, interval: float = 10.0, proc: str = "/proc", budget: float = BUDGET) -> None:
        self.interval = interval
        self._proc = proc
        self._budget = budget
        self._known: dict[int, _Known] = {}
        self._rows: dict[int, ProcessDescriptors] = {}
        self._after = 0
        self._sized: bool | None = None

    def sample(self) -> Descriptors:
        """Return the figures of machine and processes; raises SourceError where there are none."""
        if sys.platform != "linux":
            raise SourceError(State.UNAVAILABLE, "descriptors are counted on Linux only")
        try:
            pids = [int(name) for name in os.listdir(self._proc) if name.isdecimal()]
        except OSError as error:
            raise SourceError(
                State.UNAVAILABLE,
                f"{self._proc} cannot be read: {error.strerror}",
                f"mount -t proc proc {self._proc}",
            ) from error
        if self._sized is None:
            self._sized = self._sizes_count()
        alive = set(pids)
        self._known = {pid: known for pid, known in self._known.items() if pid in alive}
        self._rows = {pid: row for pid, row in self._rows.items() if pid in alive}
        self._look(pids)
        nearest = heapq.nlargest(MOST_NEAR, self._rows.values(), key=_share)
        near = sum(_share(row) >= NEAR for row in nearest)
        nearest = nearest[: max(MOST_ROWS, near)]
        opened, limit = self._machine()
        return Descriptors(opened, limit, tuple(nearest), len(self._rows))

    def close(self) -> None:
        """Nothing is held between two samples."""

    def _look(self, pids: list[int]) -> None:
        """Look at the nearest to their limit, then at the others from where the last turn ended."""
        first = [row.pid for row in heapq.nlargest(MOST_ROWS, self._rows.values(), key=_share)]
        ordered = sorted(set(pids).difference(first))
        turn = [pid for pid in ordered if pid > self._after]
        turn += [pid for pid in ordered if pid <= self._after]
        begun, now = time.thread_time(), time.monotonic()
        for pid in first:
            self._read(pid, now)
        for pid in turn:
            self._after = pid
            self._read(pid, now)
            if time.thread_time() - begun > self._budget:
                break

    def _read(self, pid: int, now: float) -> None:
        directory = f"{self._proc}/{pid}"
        try:
            status = os.stat(f"{directory}/fd")
            count = status.st_size if self._sized else 0
            count = count or len(os.listdir(f"{directory}/fd"))
            known = self._known.get(pid)
            if known is None or known.inode != status.st_ino or now - known.read > LIMIT_AGE:
                known = self._meet(pid, status.st_ino, now)
        except OSError:
            # Gone, or of another user.
            self._rows.pop(pid, None)
            return
        if known.limit < UNLIMITED:
            self._rows[pid] = ProcessDescriptors(pid, known.name, count, known.limit)

    def _sizes_count(self) -> bool:
        """Return whether the size of the directory is the number of its entries, as since 6.2."""
        own = f"{self._proc}/self/fd"
        try:
            # Reading the directory opens it, and other threads may open files meanwhile.
            return abs(os.stat(own).st_size - len(os.listdir(own))) <= 3
        except OSError:
            return False

    def _meet(self, pid: int, inode: int, now: float) -> _Known:
        directory = f"{self._proc}/{pid}"
        limit = soft_limit(read_proc_file(f"{directory}/limits"))
        name = read_proc_file(f"{directory}/comm").rstrip(b"\n")
        known = _Known(inode, name.decode("utf-8", "surrogateescape"), limit, now)
        self._known[pid] = known
        return known

    def _machine(self) -> tuple[Maybe[int], Maybe[int]]:
        """Return open files of the machine and their limit; file-nr of proc_sys_fs(5)."""
        try:
            fields = read_proc_file(f"{self._proc}/sys/fs/file-nr").split()
            return int(fields[0]) - int(fields[1]), int(fields[2])
        except (OSError, ValueError, IndexError):
            return NO_FILE_TABLE, NO_FILE_TABLE


def soft_limit(content: bytes) -> int:
    """Return the soft limit of open files in a limits file of proc_pid_limits(5)."""
    match = _SOFT_LIMIT.search(content)
    if match is None or match.group(1) == b"unlimited":
        return UNLIMITED
    return int(match.group(1))


def _share(row: ProcessDescriptors) -> float:
    return row.open / row.limit if row.limit else 1.0
