"""Adds the stacks of a profile up by function, line, file or module, for all threads or each."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Literal, TypeAlias

from perftui.profiling.modules import NO_FILE, module_names
from perftui.profiling.thread_labels import thread_labels
from perftui.snapshot import Absent, Call, Place, Stack, Stacks, TopCalls

By: TypeAlias = Literal["function", "line", "file", "module"]


def breakdown(calls: TopCalls, by: By = "function", per_thread: bool = False) -> tuple[Call, ...]:
    """Return one row for each function, line, file or module, most own time first.

    A row by file is called after the file without its directories, one by module by its dotted
    name; both have line 0, and a module has the file that most of its time was spent in. Something
    that recurses counts once in each stack. Percents are of all CPU time that the stacks stand for,
    those that were left out included. Without stacks there are only the functions of all threads.
    """
    if isinstance(calls.stacks, Absent):
        return calls.calls if by == "function" and not per_thread else ()
    stacks = calls.stacks
    whole = whole_seconds(stacks)
    if whole <= 0:
        return ()
    groups = _groups(stacks, by)
    if not per_thread:
        return _ranked(_rows(stacks, stacks.stacks, groups, by, whole, ""))
    labels = thread_labels(calls.threads)
    shares: dict[int, list[Stack]] = {}
    for stack in stacks.stacks:
        shares.setdefault(stack.thread, []).append(stack)
    rows: list[Call] = []
    for thread, own in shares.items():
        label = labels[thread] if 0 <= thread < len(labels) else f"thread {thread}"
        rows += _rows(stacks, own, groups, by, whole, label)
    return _ranked(rows)


def whole_seconds(stacks: Stacks) -> float:
    """Return the CPU seconds that all stacks stand for, those that were left out included."""
    return sum(stack.seconds for stack in stacks.stacks if stack.places) + stacks.left_out


def _groups(stacks: Stacks, by: By) -> list[int]:
    """Return for each place the number of the row that it belongs to."""
    key: Callable[[Place], Hashable]
    if by == "function":
        key = _function
    elif by == "line":
        key = _line
    elif by == "file":
        key = _file
    else:
        names = module_names(stacks)

        def key(place: Place) -> Hashable:
            return names[place.file]

    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key(place), len(numbers)) for place in stacks.places]


def _function(place: Place) -> Hashable:
    return place.function, place.file


def _line(place: Place) -> Hashable:
    return place


def _file(place: Place) -> Hashable:
    return place.file


def _rows(
    stacks: Stacks,
    chosen: tuple[Stack, ...] | list[Stack],
    groups: list[int],
    by: By,
    whole: float,
    thread: str,
) -> list[Call]:
    places = stacks.places
    spent = [0.0] * len(places)
    own = [0.0] * (max(groups, default=-1) + 1)
    group_of = groups.__getitem__
    for stack in chosen:
        path = stack.places
        if not path:
            continue
        seconds = stack.seconds
        own[groups[path[-1]]] += seconds
        # The innermost place of a recursion wins: the others only wait for it.
        for number in dict(zip(map(group_of, path), path, strict=True)).values():
            spent[number] += seconds
    totals: dict[int, float] = {}
    busiest: dict[int, int] = {}
    for number, seconds in enumerate(spent):
        if seconds <= 0:
            continue
        group = groups[number]
        totals[group] = totals.get(group, 0.0) + seconds
        best = busiest.get(group)
        if best is None or _before(seconds, places[number], spent[best], places[best]):
            busiest[group] = number
    names = module_names(stacks) if by == "module" else {}
    rows: list[Call] = []
    for group, total in totals.items():
        place = places[busiest[group]]
        if by == "module":
            function, line = names[place.file], 0
        elif by == "file":
            function, line = place.file.replace("\\", "/").rpartition("/")[2] or NO_FILE, 0
        else:
            function, line = place.function, place.line
        # Sums of many floats may miss each other by the last digit.
        total = max(total, own[group])
        rows.append(
            Call(
                function=function,
                file=place.file,
                line=line,
                own_percent=min(100.0, 100.0 * own[group] / whole),
                total_percent=min(100.0, 100.0 * total / whole),
                own=own[group],
                total=total,
                thread=thread,
            )
        )
    return rows


def _before(seconds: float, place: Place, best: float, best_place: Place) -> bool:
    """Whether a place stands for its row: most time, then the lowest line, so that it is stable."""
    if seconds != best:
        return seconds > best
    return (place.file, place.line) < (best_place.file, best_place.line)


def _ranked(rows: list[Call]) -> tuple[Call, ...]:
    return tuple(
        sorted(
            rows,
            key=lambda row: (-row.own, -row.total, row.function, row.file, row.line, row.thread),
        )
    )
