"""Keeps the windows of a process for a while and everything since a begin, and makes the tables."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from perftui.profiling.call_table import RunningTally, Tally, call_table, running_table
from perftui.profiling.speedscope import ThreadKey
from perftui.profiling.stack_table import StackTable, WindowStacks
from perftui.snapshot import (
    NOT_LOOKED_AT,
    Absent,
    Maybe,
    ProfiledThread,
    ProfileRequest,
    Stacks,
    State,
    TopCalls,
)
from perftui.sources.pyspy.window import Seen, Sums, ThreadUse

LONGEST_WINDOW = 30.0
"""Seconds for which windows are kept, so that a longer sliding window has its data at once."""

LONG_GAP = 3.0
"""Seconds between two windows from which on nobody was looking, rather than py-spy starting."""

MOST_THREADS = 1000
"""Threads kept since the last reset, those with most CPU time: some services make one a request."""

MANY_ERRORS = 0.1
"""Share of samples that could not be read above which the user is told."""

LONG_QUEUE = 0.25
"""Share of its active time that a thread waits for a CPU above which the user is told.

All samples of one wait show the same stack, so the shares then scatter more than their number says
and lean to the lines that lose the CPU: those that wake another process, say by sending to it.
"""

NO_THREAD_TIMES = Absent(State.UNAVAILABLE, "the CPU time of threads is only known with /proc")


class About(NamedTuple):
    """What a table says of its process besides the samples; `note` is that of the plan.

    `quiet_children` is how many children a process without CPU time has that are not profiled.
    """

    pid: int
    command: str
    python: str
    exact: bool
    note: str
    quiet_children: int = 0


class _Kept(NamedTuple):
    """One window; its stacks are rows of the table of stacks."""

    started: float
    sums: Sums
    times: Tally
    stacks: WindowStacks
    threads: dict[ThreadKey, ThreadUse]
    processes: frozenset[int]


class KeptProfile:
    """What was sampled of one process in one way; used by one thread."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._recent: deque[_Kept] = deque()
        self._stacks = StackTable()
        self._calls = RunningTally()
        self._sums = Sums()
        self._threads: dict[ThreadKey, ThreadUse] = {}
        self._processes: frozenset[int] = frozenset()
        self._ended = 0.0
        self._behind = 0.0
        self._measured = False

    def __bool__(self) -> bool:
        """Whether there is a window at all."""
        return self._ended > 0

    def add(self, seen: Seen) -> None:
        """Take in a window."""
        gap = seen.started - self._ended
        # A look at other things in between is no time of this profile.
        spanned = seen.sums.sampled + (gap if self and 0 < gap < LONG_GAP else 0.0)
        sums = seen.sums._replace(spanned=spanned)
        stacks = self._stacks.add(seen.profile, seen.weights)
        self._recent.append(
            _Kept(seen.started, sums, seen.times, stacks, dict(seen.threads), seen.processes)
        )
        while self._recent[0].started < seen.ended - LONGEST_WINDOW - 1:
            self._recent.popleft()
        self._stacks.prune(part.stacks for part in self._recent)
        self._calls.add(seen.times)
        self._sums = self._sums.plus(sums)
        _add_threads(self._threads, seen.threads)
        if len(self._threads) > 2 * MOST_THREADS:
            self._threads = _largest(self._threads)
        if len(self._processes) < MOST_THREADS:
            self._processes |= seen.processes
        self._ended, self._behind, self._measured = seen.ended, seen.behind, seen.measured

    def has_recent(self, since: float) -> bool:
        """Whether a window began after the monotonic time `since`."""
        return bool(self._recent) and self._recent[-1].started >= since

    def table(self, about: About, request: ProfileRequest, since: float) -> TopCalls:
        """Return the calls of the windows since the monotonic time `since`, or since the reset.

        There must be one.
        """
        stacks: Maybe[Stacks] = NOT_LOOKED_AT
        if request.window <= 0:
            sums, processes = self._sums, self._processes
            threads = _largest(self._threads)
            calls = running_table(self._calls)
            if request.stacks:
                stacks = self._stacks.of_all(tuple(threads))
        else:
            parts = [part for part in self._recent if part.started >= since]
            parts = parts or [self._recent[-1]]
            sums, processes = Sums(), frozenset[int]()
            threads = {}
            for part in parts:
                sums = sums.plus(part.sums)
                processes |= part.processes
                _add_threads(threads, part.threads)
            threads = _largest(threads)
            calls = call_table(part.times for part in parts)
            if request.stacks:
                stacks = self._stacks.of_windows((part.stacks for part in parts), tuple(threads))
        return TopCalls(
            pid=about.pid,
            command=about.command,
            python=about.python,
            calls=calls,
            window=sums.spanned,
            samples=sums.samples,
            errors=sums.errors,
            cores=sums.cpu / sums.measured if self._measured else NO_THREAD_TIMES,
            mode="exact" if about.exact else "approximate",
            rate_wanted=sums.wanted / sums.sampled if sums.sampled > 0 else 0.0,
            rate_reached=_rate_reached(sums),
            coverage_percent=100 * _coverage(sums),
            pause_percent=100 * sums.paused / sums.sampled if sums.sampled > 0 else 0.0,
            note=_note(sums, about, request, self._behind),
            seconds=sums.weighted,
            threads=_profiled(threads, sums.measured, self._measured),
            processes=tuple(sorted(processes)),
            stacks=stacks,
            request=request,
            since_reset=request.window <= 0,
        )


def _add_threads(into: dict[ThreadKey, ThreadUse], threads: Mapping[ThreadKey, ThreadUse]) -> None:
    for key, use in threads.items():
        known = into.get(key)
        if known is None:
            into[key] = use
        else:
            # Before its first reading and after its end the time of a thread is not known.
            cpu = (
                None if known.cpu is None and use.cpu is None else (known.cpu or 0) + (use.cpu or 0)
            )
            into[key] = ThreadUse(use.name, cpu, known.samples + use.samples)


def _largest(threads: dict[ThreadKey, ThreadUse]) -> dict[ThreadKey, ThreadUse]:
    """Return the threads with most CPU time first, no more than are kept."""
    ranked = sorted(threads.items(), key=lambda item: (-(item[1].cpu or 0.0), -item[1].samples))
    return dict(ranked[:MOST_THREADS])


def _profiled(
    threads: dict[ThreadKey, ThreadUse], seconds: float, measured: bool
) -> tuple[ProfiledThread, ...]:
    return tuple(
        ProfiledThread(
            pid=process or 0,
            tid=tid,
            name=use.name,
            cores=NO_THREAD_TIMES
            if use.cpu is None or not measured or seconds <= 0
            else use.cpu / seconds,
            samples=use.samples,
        )
        for (process, tid), use in threads.items()
    )


def _coverage(sums: Sums) -> float:
    return min(1.0, sums.sampled / sums.spanned) if sums.spanned > 0 else 0.0


def _rate_reached(sums: Sums) -> float:
    """Return the samples a second that arrived of a thread that always runs.

    Measured on the busiest thread where one ran enough, else what coverage and errors left over.
    """
    if sums.busiest_active > 0:
        return sums.busiest_samples / sums.busiest_active
    if sums.sampled <= 0:
        return 0.0
    good = sums.samples / (sums.samples + sums.errors) if sums.samples + sums.errors else 1.0
    return sums.wanted / sums.sampled * _coverage(sums) * good


def _note(sums: Sums, about: About, request: ProfileRequest, behind: float) -> str:
    notes = [about.note] if about.note else []
    if request.gil:
        notes.append("counted is the time for which a thread held the GIL")
    elif request.idle:
        notes.append("waiting threads count: the times are those of the clock")
    if behind > 0:
        notes.append(f"py-spy is {behind:.1f} s behind: the machine is too busy for this rate")
    if sums.errors > MANY_ERRORS * (sums.samples + sums.errors):
        share = 100 * sums.errors / (sums.samples + sums.errors)
        notes.append(f"{share:.0f} % of the samples failed")
    if sums.busiest_waiting > LONG_QUEUE * sums.busiest_active:
        share = 100 * sums.busiest_waiting / sums.busiest_active
        slow = f"it waits {share:.0f} % of its time for a CPU: shares lean to where it waits"
        # A sampler that waits for a CPU, too, holds its target meanwhile.
        notes.append(f"{slow}, pauses are longer than expected" if about.exact else slow)
    if sums.samples == 0 and not sums.errors:
        who = "no process of the tree used" if request.subprocesses else "the process used next to"
        rest = "CPU time worth a sample" if request.subprocesses else "no CPU time"
        notes.append(f"{who} {rest}")
        if about.quiet_children:
            count = about.quiet_children
            of_it = "1 child process of it is" if count == 1 else f"{count} child processes are"
            notes.append(f"{of_it} not looked at: take the whole tree in")
    return "; ".join(notes)
