"""What a CodeProfiler tells of a capture."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypedDict

from perftui.profiling.cprofile_capture import Capture
from perftui.profiling.cprofile_tally import Place, Tally, Times, hide

Row: TypeAlias = tuple[Place, Times]

_RUNNING = "functions that still run do not show"
_RESUMES = "coroutines and generators count each time they go on"


class CallerTimes(TypedDict):
    """A function that called another, how often, and the seconds that the other took for it."""

    function: str
    file: str
    line: int
    calls: int
    time: float


class CallTimes(TypedDict):
    """One function. `calls` are those that are not recursive, `total_calls` all of them.

    Wall seconds: `time` with callees, `own_time` without. `file` is empty and `line` 0 for what is
    written in C; `line` is that of the `def`. `callers` took most time first.
    """

    function: str
    calls: int
    time: float
    own_time: float
    total_calls: int
    file: str
    line: int
    callers: list[CallerTimes]


class CodeProfile(TypedDict):
    """What a CodeProfiler found.

    `total_calls` and `primitive_calls`, those that are not recursive, are of all functions, and
    `total_time` are the wall seconds spent in them. `calls` are those with most time, falling.
    `seconds` is how long it was recorded, of how many `threads`; `note` says what is not in it.
    """

    total_calls: int
    total_time: float
    calls: list[CallTimes]
    primitive_calls: int
    functions: int
    seconds: float
    threads: int
    note: str


class Heaviest(NamedTuple):
    """A profile for the screen: functions in no order, of `functions` in all; wall seconds."""

    rows: list[Row]
    functions: int
    calls: int
    total_time: float
    seconds: float
    note: str


def code_profile(capture: Capture, limit: int, *, running: bool) -> CodeProfile:
    """Return what was captured so far, with `limit` functions and callers of each at most."""
    tally = Tally()
    capture.add_to(tally)
    rows = tally.rows()
    shown = _most(rows, limit, _total)
    return CodeProfile(
        total_calls=sum([times.calls for _, times in rows]),
        total_time=sum([times.own for _, times in rows]),
        calls=[
            CallTimes(
                function=place[0],
                calls=times.primitive,
                time=times.total,
                own_time=times.own,
                total_calls=times.calls,
                file=place[1],
                line=place[2],
                callers=_callers(tally, place, limit),
            )
            for place, times in shown
        ],
        primitive_calls=sum([times.primitive for _, times in rows]),
        functions=len(rows),
        seconds=capture.seconds,
        threads=capture.threads,
        note=_note(capture, shown, running),
    )


def heaviest(capture: Capture, most: int, *, running: bool) -> Heaviest:
    """Return the functions that took most own time, and most in all, `most` of each at most."""
    tally = Tally(edges=False)
    capture.add_to(tally)
    rows = tally.rows()
    chosen = list(dict([*_most(rows, most, _own), *_most(rows, most, _total)]).items())
    return Heaviest(
        rows=chosen,
        functions=len(rows),
        calls=sum([times.calls for _, times in rows]),
        total_time=sum([times.own for _, times in rows]),
        seconds=capture.seconds,
        note=_note(capture, chosen, running),
    )


def _own(row: Row) -> float:
    return row[1].own


def _total(row: Row) -> float:
    return row[1].total


def _most(rows: list[Row], most: int, key: Callable[[Row], float]) -> list[Row]:
    # heapq is Python: from 3.12 on what it calls would be recorded in whatever is profiled.
    return sorted(rows, key=key, reverse=True)[:most]


def _callers(tally: Tally, place: Place, limit: int) -> list[CallerTimes]:
    # A caller that still runs counts as none.
    callers = [row for row in tally.callers.get(place, {}).items() if row[1].calls > 0]
    return [
        CallerTimes(
            function=caller[0], file=caller[1], line=caller[2], calls=times.calls, time=times.total
        )
        for caller, times in _most(callers, limit, _total)
    ]


def _note(capture: Capture, shown: list[Row], running: bool) -> str:
    limits = [_RUNNING] if running else []
    limits += capture.limits()
    if any(times.resumes for _, times in shown):
        limits.append(_RESUMES)
    return "; ".join(limits)


hide(code_profile.__code__.co_filename)
