"""Adds sampled stacks up to a table of functions, weighted with real CPU time.

What a sample weighs is decided in thread_weights.py. All functions here are pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from perftui.profiling.speedscope import Profile
from perftui.snapshot import Call

ROWS = 200
"""Most functions in a table: enough to scroll, small enough to be recorded every second."""

MOST_FUNCTIONS = 20_000
"""Functions kept since the last reset: more than large programs have, yet some make new ones."""


class FunctionTime:
    """CPU seconds of one function: its own, with callees, and with callees by line."""

    __slots__ = ("lines", "own", "total")

    def __init__(self) -> None:
        self.own = 0.0
        self.total = 0.0
        self.lines: dict[int, float] = {}

    def add(self, other: FunctionTime) -> None:
        """Add the times of another stretch."""
        self.own += other.own
        self.total += other.total
        for line, seconds in other.lines.items():
            self.lines[line] = self.lines.get(line, 0.0) + seconds


Tally: TypeAlias = dict[tuple[str, str], FunctionTime]
"""Times by (function, file)."""


def tally(profile: Profile, weights: Sequence[float]) -> Tally:
    """Return the times of all functions; a function that recurses counts once in each stack."""
    times: Tally = {}
    frames = profile.frames
    functions = [times.setdefault((frame.name, frame.file), FunctionTime()) for frame in frames]
    for thread, weight in zip(profile.threads, weights, strict=True):
        if weight <= 0:
            continue
        for stack, count in thread.stacks:
            if not stack:
                continue
            seconds = weight * count
            functions[stack[-1]].own += seconds
            # The innermost line of a recursion wins: the others only wait for it.
            innermost = {functions[place]: place for place in stack}
            for function, place in innermost.items():
                function.total += seconds
                line = frames[place].line
                function.lines[line] = function.lines.get(line, 0.0) + seconds
    return {key: function for key, function in times.items() if function.total > 0}


def whole(times: Tally) -> float:
    """Return the CPU seconds of all functions together."""
    return sum(function.own for function in times.values())


def add_tally(into: Tally, times: Tally) -> None:
    """Add the times of another stretch to those in `into`."""
    for key, function in times.items():
        known = into.get(key)
        if known is None:
            known = into[key] = FunctionTime()
        known.add(function)


class RunningTally:
    """Times of the functions since a begin, of at most `most` functions; used by one thread.

    `left_out` are the CPU seconds of functions that were dropped for want of room: those with the
    least time, of which a later one begins at zero again.
    """

    def __init__(self, most: int = MOST_FUNCTIONS) -> None:
        self.times: Tally = {}
        self.left_out = 0.0
        self._most = most

    def add(self, times: Tally) -> None:
        """Add the times of a stretch."""
        add_tally(self.times, times)
        if len(self.times) > self._most:
            ranked = sorted(self.times.items(), key=lambda item: -item[1].total)
            # Room for a while, or the next stretch would have all of it sorted again.
            kept = ranked[: self._most * 3 // 4]
            self.left_out += sum(function.own for _, function in ranked[len(kept) :])
            self.times = dict(kept)


def call_table(
    tallies: Iterable[Tally], rows: int = ROWS, left_out: float = 0.0
) -> tuple[Call, ...]:
    """Return the functions of all tallies, most own time first, at most `rows` of them.

    Percent of all weighted time and of the seconds `left_out`, so that without those the own
    percent of all functions add up to 100; the line is the one on which the function, callees
    included, spent most.
    """
    merged: Tally = {}
    for times in tallies:
        add_tally(merged, times)
    return _rows(merged, rows, left_out)


def running_table(running: RunningTally, rows: int = ROWS) -> tuple[Call, ...]:
    """Return the same of everything since a begin."""
    return _rows(running.times, rows, running.left_out)


def _rows(merged: Tally, rows: int, left_out: float) -> tuple[Call, ...]:
    all_seconds = whole(merged) + left_out
    if all_seconds <= 0:
        return ()
    ranked = sorted(merged.items(), key=lambda item: (-item[1].own, -item[1].total, item[0]))
    if len(ranked) > rows:
        ranked = _keep(ranked, rows)
    return tuple(
        Call(
            function=name,
            file=file,
            line=max(function.lines, key=lambda line: (function.lines[line], -line)),
            own_percent=100.0 * function.own / all_seconds,
            total_percent=min(100.0, 100.0 * function.total / all_seconds),
            own=function.own,
            total=function.total,
        )
        for (name, file), function in ranked
    )


def _keep(
    ranked: list[tuple[tuple[str, str], FunctionTime]], rows: int
) -> list[tuple[tuple[str, str], FunctionTime]]:
    """Keep half by own time and the rest by total time, so that either order has its top."""
    kept = ranked[: rows // 2]
    rest = sorted(ranked[rows // 2 :], key=lambda item: -item[1].total)[: rows - len(kept)]
    chosen = {key for key, _ in kept} | {key for key, _ in rest}
    return [item for item in ranked if item[0] in chosen]
