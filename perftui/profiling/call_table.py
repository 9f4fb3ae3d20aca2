"""Adds sampled stacks up to a table of functions, weighted with real CPU time.

What a sample weighs is decided in thread_weights.py. All functions here are pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from perftui.profiling.speedscope import Frame, Profile
from perftui.snapshot import Call

ROWS = 200
"""Most functions in a table: enough to scroll, small enough to be recorded every second."""


class ProfileWindow(msgspec.Struct, frozen=True):
    """Samples of one stretch of time; seconds of the monotonic clock.

    `weights` holds for each thread of the profile the CPU seconds that one of its samples stands
    for, 0 for threads that were idle and samples that only waited. `seconds` is the time over which
    that CPU time was used.
    """

    started: float
    ended: float
    seconds: float
    profile: Profile
    weights: tuple[float, ...]
    errors: int = 0

    @property
    def samples(self) -> int:
        """Number of samples that stand for CPU time."""
        threads = zip(self.profile.threads, self.weights, strict=True)
        return sum(thread.samples for thread, weight in threads if weight > 0)

    @property
    def cpu_seconds(self) -> float:
        """CPU time that the samples stand for."""
        threads = zip(self.profile.threads, self.weights, strict=True)
        return sum(thread.samples * weight for thread, weight in threads)


class WeightedStack(NamedTuple):
    """One distinct stack of one thread, outermost caller first, and its CPU seconds."""

    thread: str
    tid: int
    frames: tuple[Frame, ...]
    seconds: float


class FunctionTime:
    """CPU seconds of one function: its own, with callees, and with callees by line."""

    __slots__ = ("lines", "own", "total")

    def __init__(self) -> None:
        self.own = 0.0
        self.total = 0.0
        self.lines: dict[int, float] = {}


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


def call_table(tallies: Iterable[Tally], rows: int = ROWS) -> tuple[Call, ...]:
    """Return the functions of all tallies, most own time first, at most `rows` of them.

    Percent of all weighted time, so that the own percent of all functions add up to 100; the line
    is the one on which the function, callees included, spent most.
    """
    merged: Tally = {}
    for times in tallies:
        for key, function in times.items():
            into = merged.get(key)
            if into is None:
                into = merged[key] = FunctionTime()
            into.own += function.own
            into.total += function.total
            for line, seconds in function.lines.items():
                into.lines[line] = into.lines.get(line, 0.0) + seconds
    whole = sum(function.own for function in merged.values())
    if whole <= 0:
        return ()
    ranked = sorted(merged.items(), key=lambda item: (-item[1].own, -item[1].total, item[0]))
    if len(ranked) > rows:
        ranked = _keep(ranked, rows)
    return tuple(
        Call(
            function=name,
            file=file,
            line=max(function.lines, key=lambda line: (function.lines[line], -line)),
            own_percent=100.0 * function.own / whole,
            total_percent=min(100.0, 100.0 * function.total / whole),
        )
        for (name, file), function in ranked
    )


def stacks(windows: Iterable[ProfileWindow]) -> Iterator[WeightedStack]:
    """Yield every busy stack of the windows: the base of caller, callee and flame views."""
    for window in windows:
        frames = window.profile.frames
        for thread, weight in zip(window.profile.threads, window.weights, strict=True):
            if weight <= 0:
                continue
            for stack, count in thread.stacks:
                if stack:
                    places = tuple(frames[place] for place in stack)
                    yield WeightedStack(thread.name, thread.tid, places, weight * count)


def _keep(
    ranked: list[tuple[tuple[str, str], FunctionTime]], rows: int
) -> list[tuple[tuple[str, str], FunctionTime]]:
    """Keep half by own time and the rest by total time, so that either order has its top."""
    kept = ranked[: rows // 2]
    rest = sorted(ranked[rows // 2 :], key=lambda item: -item[1].total)[: rows - len(kept)]
    chosen = {key for key, _ in kept} | {key for key, _ in rest}
    return [item for item in ranked if item[0] in chosen]
