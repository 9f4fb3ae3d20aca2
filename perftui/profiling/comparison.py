"""Compares two tables of the same profile: what grew and what shrank."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

import msgspec

from perftui.profiling.breakdown import By
from perftui.snapshot import Call

_Key: TypeAlias = Callable[[Call], Hashable]


class Change(msgspec.Struct, frozen=True, gc=False):
    """A row now, all zeros when it is gone, its percents before, and the change in points."""

    call: Call
    own_before: float
    total_before: float
    own_change: float
    total_change: float


def compare(now: Sequence[Call], before: Sequence[Call], by: By = "function") -> tuple[Change, ...]:
    """Return all rows of both tables, the largest change of own time first, then of total time.

    Both tables are of one kind, and `by` tells which. A function is the same when another of its
    lines is the busiest one now; a table with several lines of one function is taken for one by
    line in any case.
    """
    key: _Key = _line if by == "line" or _repeats(now) or _repeats(before) else _row
    old = {key(call): call for call in before}
    changes: list[Change] = []
    for call in now:
        was = old.pop(key(call), None)
        own = 0.0 if was is None else was.own_percent
        total = 0.0 if was is None else was.total_percent
        changes.append(Change(call, own, total, call.own_percent - own, call.total_percent - total))
    for was in old.values():
        gone = Call(was.function, was.file, was.line, 0.0, 0.0, thread=was.thread)
        changes.append(
            Change(gone, was.own_percent, was.total_percent, -was.own_percent, -was.total_percent)
        )
    return tuple(
        sorted(
            changes,
            key=lambda change: (
                -abs(change.own_change),
                -abs(change.total_change),
                -change.call.own_percent,
                change.call.function,
                change.call.file,
                change.call.line,
                change.call.thread,
            ),
        )
    )


def _row(call: Call) -> Hashable:
    return call.function, call.file, call.thread


def _line(call: Call) -> Hashable:
    return call.function, call.file, call.line, call.thread


def _repeats(calls: Sequence[Call]) -> bool:
    return len({_row(call) for call in calls}) < len(calls)
