"""The process table of Linux, read from /proc in tiers by cost.

The stat file of a process is read each tick, its details once and again when it has changed. Idle
kernel threads, which are most of the processes of many a machine, take turns. When reading all
this would cost more than the budget, each tick reads the processes that were active lately,
newcomers, and a slice of the rest, the longest unread first.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable

from perftui.snapshot import FIRST_SAMPLE, Maybe, Process, ProcessTable, State
from perftui.sources.processes.details import Details, DetailsReader, read_guarded
from perftui.sources.processes.scan_plan import NEWCOMER_COST, ScanPlan
from perftui.sources.processes.stat import ProcessStat, parse_stat
from perftui.sources.source import SourceError

MIN_SPAN = 0.1
"""Seconds below which CPU use is noise: the kernel counts in hundredths of a second."""

DETAILS_AGE = 10.0
"""Seconds after which the details of a process that has run are read again: titles change."""

QUIET_TICKS = 1
QUIET_PERCENT = 1.5
QUIET_SPAN = 4.0
"""A process that uses a clock tick now and then is measured over this many seconds: over one it
would jump between 0 and 1 percent, and up and down the table, without having changed."""
ACTIVE_READS = 4
"""How many reads without CPU use make a process inactive."""

KERNEL_THREAD_TURNS = 3
"""An idle kernel thread is read in one of so many ticks."""

NO_DETAILS = Details("", "", False)


class Entry:
    """What is remembered of one process between two reads."""

    __slots__ = (
        "base_ticks",
        "base_time",
        "details",
        "details_time",
        "kernel_thread",
        "pid",
        "queued",
        "quiet",
        "raw",
        "row",
        "start_stack",
        "start_ticks",
        "started",
    )

    def __init__(self, pid: str, start_ticks: int, started: float) -> None:
        self.pid = pid
        self.start_ticks = start_ticks
        self.started = started
        self.kernel_thread = False
        self.raw = b""
        self.row: Process | None = None
        self.base_ticks = 0
        self.base_time = 0.0
        self.details = NO_DETAILS
        self.details_time = 0.0
        self.start_stack = 0
        self.quiet = 0
        self.queued = 0.0


class LinuxScan:
    """Process tables of the processes under `proc`, at most `budget` CPU seconds each.

    The first table is complete whatever it costs. A process that the kernel hides (hidepid) is not
    in the table. `read` opens a stat file and `cpu_clock` is the CPU time of the calling thread.
    """

    def __init__(
        self,
        proc: str,
        budget: float,
        read: Callable[[str], bytes | None] = read_guarded,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._proc = proc
        self._read_stat = read
        self._cpu_clock = cpu_clock
        self._plan = ScanPlan(budget)
        self._details = DetailsReader(proc)
        self._entries: dict[str, Entry] = {}
        self._active: dict[str, Entry] = {}
        self._round: deque[Entry] = deque()
        self._previous: float | None = None
        self._begun: deque[float] = deque(maxlen=KERNEL_THREAD_TURNS)
        self._turn = 0
        self._oldest = 0.0
        self._boot_to_monotonic = 0.0
        self._tick_seconds = 1 / os.sysconf("SC_CLK_TCK")
        self._page_size = os.sysconf("SC_PAGE_SIZE")

    def scan(self) -> ProcessTable:
        """Return the table; raises SourceError when `proc` shows no process at all."""
        begun, cpu_begun = time.monotonic(), self._cpu_clock()
        self._boot_to_monotonic = _boot_time() - begun
        self._begun.append(begun)
        self._turn = (self._turn + 1) % KERNEL_THREAD_TURNS
        pids = self._list()
        newcomers = self._forget_gone(pids)
        cpu_listed = self._cpu_clock()
        chosen, fresh = self._choose(newcomers)
        for pid in fresh:
            self._update(pid, None)
        for entry in chosen:
            self._update(entry.pid, entry)
        cpu_read = self._cpu_clock()
        table = self._table(pids, len(newcomers) - len(fresh))
        self._plan.learn(
            units=len(chosen) + NEWCOMER_COST * len(fresh),
            reading=cpu_read - cpu_listed,
            rest=cpu_listed - cpu_begun + self._cpu_clock() - cpu_read,
        )
        if not table.rows:
            raise SourceError(
                State.DENIED,
                f"{self._proc} hides all processes",
                f"mount -o remount,hidepid=0 {self._proc}",
            )
        self._previous = begun
        return table

    def _list(self) -> list[str]:
        try:
            pids = [name for name in os.listdir(self._proc) if name.isdecimal()]
        except OSError as error:
            raise SourceError(
                State.UNAVAILABLE,
                f"{self._proc} cannot be read: {error.strerror}",
                f"mount -t proc proc {self._proc}",
            ) from error
        if not pids:
            raise SourceError(
                State.UNAVAILABLE,
                f"{self._proc} holds no processes",
                f"mount -t proc proc {self._proc}",
            )
        return pids

    def _forget_gone(self, pids: list[str]) -> list[str]:
        """Drop the processes that are not listed any more and return those that are new."""
        entries = self._entries
        for pid in entries.keys() - set(pids):
            del entries[pid]
            self._active.pop(pid, None)
        return [pid for pid in pids if pid not in entries]

    def _choose(self, newcomers: list[str]) -> tuple[list[Entry], list[str]]:
        """Return the known processes and the newcomers to read in this tick."""
        due = [
            entry
            for entry in self._entries.values()
            if not entry.kernel_thread
            or entry.quiet < ACTIVE_READS
            or int(entry.pid) % KERNEL_THREAD_TURNS == self._turn
        ]
        if self._previous is None or self._plan.allows_all(len(due), len(newcomers)):
            self._round.clear()
            # Idle kernel threads that were not due still show what their last turn has found.
            self._oldest = self._begun[-1 if len(due) == len(self._entries) else 0]
            return due, newcomers
        if not self._round:
            self._begin_round()
        share = self._plan.share(len(self._active), len(newcomers))
        chosen = self._most_patient_active(share.active)
        chosen += self._slice(share.rest, {entry.pid for entry in chosen})
        return chosen, newcomers[: share.newcomers]

    def _begin_round(self) -> None:
        for entry in self._entries.values():
            entry.queued = self._oldest
            self._round.append(entry)

    def _most_patient_active(self, count: int) -> list[Entry]:
        pids = list(self._active)[:count]
        chosen = []
        for pid in pids:
            # Taken out and put back: the order of the dictionary is the order of the last read.
            entry = self._active[pid] = self._active.pop(pid)
            chosen.append(entry)
        return chosen

    def _slice(self, count: int, already: set[str]) -> list[Entry]:
        """Return the next entries of the round, and move them to its end."""
        chosen: list[Entry] = []
        now = time.monotonic()
        for _ in range(len(self._round)):
            if len(chosen) >= count:
                break
            entry = self._round.popleft()
            if self._entries.get(entry.pid) is not entry:
                continue
            entry.queued = now
            self._round.append(entry)
            if entry.pid not in already:
                chosen.append(entry)
        return chosen

    def _update(self, pid: str, entry: Entry | None) -> None:
        """Read one process and remember its new row."""
        try:
            raw = self._read_stat(f"{self._proc}/{pid}/stat")
        except PermissionError:
            self._hide(pid)
            return
        now = time.monotonic()
        try:
            stat = None if entry is not None and raw == entry.raw else parse_stat(raw or b"")
        except ValueError:
            self._drop(pid)
            return
        if entry is None or (stat is not None and stat.start_ticks != entry.start_ticks):
            if stat is not None and raw is not None:
                self._meet(pid, raw, stat, now)
        elif stat is None:
            self._unchanged(entry, now)
        elif raw is not None:
            self._changed(entry, raw, stat, now)

    def _meet(self, pid: str, raw: bytes, stat: ProcessStat, now: float) -> None:
        """Remember a process that is seen for the first time."""
        age = now + self._boot_to_monotonic - stat.start_ticks * self._tick_seconds
        entry = Entry(pid, stat.start_ticks, time.time() - age)
        entry.raw = raw
        entry.kernel_thread = stat.kernel_thread
        entry.base_ticks, entry.base_time = stat.cpu_ticks, now
        entry.queued = now
        # Until it was read twice, a newcomer has no CPU use to show: it counts as active.
        entry.quiet = ACTIVE_READS - 1
        self._entries[pid] = entry
        self._active[pid] = entry
        if self._round:
            self._round.append(entry)
        self._read_details(entry, stat, now)
        percent: Maybe[float] = FIRST_SAMPLE
        # One that was born since the last tick was never anything but in this tick: all of its
        # life is the measured time.
        # The kernel rounds the start down to a tick.
        if (
            self._previous is not None
            and MIN_SPAN <= age <= now - self._previous + self._tick_seconds
        ):
            percent = 100 * stat.cpu_ticks * self._tick_seconds / age
        entry.row = self._row(entry, stat, percent)

    def _unchanged(self, entry: Entry, now: float) -> None:
        """The stat file is the same to the byte: the process has used no CPU time."""
        if entry.row is None or now - entry.base_time < MIN_SPAN:
            return
        if entry.row.cpu_percent and _waits_for_quiet_span(entry.row, now - entry.base_time):
            self._note_activity(entry, 0)
            return
        entry.base_time = now
        self._note_activity(entry, 0)
        if entry.row.cpu_percent != 0.0:
            row = entry.row
            entry.row = Process(
                row.pid, row.ppid, row.name, row.command, row.user, row.state, 0.0,
                row.memory_rss, row.threads, row.started, row.python,
            )  # fmt: skip

    def _changed(self, entry: Entry, raw: bytes, stat: ProcessStat, now: float) -> None:
        before = entry.row
        entry.raw = raw
        executed = stat.start_stack != entry.start_stack
        renamed = before is None or before.name != stat.name
        # A zombie has no command line any more: it keeps the one it had.
        if stat.state != "Z" and (executed or renamed or now - entry.details_time >= DETAILS_AGE):
            self._read_details(entry, stat, now)
        percent: Maybe[float] = FIRST_SAMPLE if before is None else before.cpu_percent
        span = now - entry.base_time
        if span >= MIN_SPAN:
            used = max(0, stat.cpu_ticks - entry.base_ticks)
            if used > QUIET_TICKS or not _waits_for_quiet_span(before, span):
                percent = 100 * used * self._tick_seconds / span
                entry.base_ticks, entry.base_time = stat.cpu_ticks, now
            self._note_activity(entry, used)
        entry.row = self._row(entry, stat, percent)

    def _note_activity(self, entry: Entry, used: int) -> None:
        if used:
            entry.quiet = 0
            self._active.setdefault(entry.pid, entry)
        elif entry.quiet < ACTIVE_READS:
            entry.quiet += 1
            if entry.quiet == ACTIVE_READS:
                self._active.pop(entry.pid, None)

    def _read_details(self, entry: Entry, stat: ProcessStat, now: float) -> None:
        entry.details = self._details.read(entry.pid, stat.name, stat.kernel_thread)
        entry.details_time = now
        entry.start_stack = stat.start_stack

    def _row(self, entry: Entry, stat: ProcessStat, percent: Maybe[float]) -> Process:
        details = entry.details
        return Process(
            int(entry.pid),
            stat.ppid,
            stat.name,
            details.command,
            details.user,
            stat.state,
            percent,
            stat.rss_pages * self._page_size,
            stat.threads,
            entry.started,
            details.python,
        )

    def _drop(self, pid: str) -> None:
        self._entries.pop(pid, None)
        self._active.pop(pid, None)

    def _hide(self, pid: str) -> None:
        """Remember a process that may not be read, so that it is not new in every tick."""
        self._drop(pid)
        entry = self._entries[pid] = Entry(pid, -1, 0.0)
        entry.queued = time.monotonic()
        if self._round:
            self._round.append(entry)

    def _table(self, pids: list[str], waiting: int) -> ProcessTable:
        entries = self._entries
        rows = [
            entry.row
            for pid in pids
            if (entry := entries.get(pid)) is not None and entry.row is not None
        ]
        threads = running = 0
        for row in rows:
            threads += row.threads
            if row.state == "R":
                running += 1
        oldest = self._round[0].queued if self._round else self._oldest
        return ProcessTable(
            tuple(rows), len(rows) + waiting, threads, running, time.monotonic() - oldest
        )


def _boot_time() -> float:
    """Return seconds since boot, time asleep included: the clock of the kernel's start times."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _waits_for_quiet_span(row: Process | None, span: float) -> bool:
    """Return whether a process that was quiet shall be measured over a longer time yet."""
    percent = None if row is None else row.cpu_percent
    return isinstance(percent, float) and percent <= QUIET_PERCENT and span < QUIET_SPAN
