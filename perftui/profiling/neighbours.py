"""Tells who calls a function and whom it calls, from the stacks of a profile."""

from __future__ import annotations

import msgspec

from perftui.snapshot import Absent, Place, Stacks, TopCalls


class Edge(msgspec.Struct, frozen=True, gc=False):
    """A caller or callee: CPU seconds over this edge, percent of the function's total.

    `line` is where a caller calls, or where a callee spends most of its time.
    """

    function: str
    file: str
    line: int
    seconds: float
    percent: float


class Neighbours(msgspec.Struct, frozen=True):
    """Callers and callees of a function, most time first, and its own and total CPU seconds.

    The callees and the own time add up to the total. The callers do so, too, apart from stacks
    that begin with the function.
    """

    callers: tuple[Edge, ...]
    callees: tuple[Edge, ...]
    own: float
    total: float


NO_NEIGHBOURS = Neighbours((), (), 0.0, 0.0)


def neighbours(calls: TopCalls, function: str, file: str) -> Neighbours:
    """Return the neighbours of a function, empty where it is not on any stack.

    A stack in which the function recurses counts once: with the caller of the outermost of its
    frames and the callee of the innermost one.
    """
    if isinstance(calls.stacks, Absent):
        return NO_NEIGHBOURS
    stacks = calls.stacks
    places = stacks.places
    wanted = {
        number
        for number, place in enumerate(places)
        if place.function == function and place.file == file
    }
    if not wanted:
        return NO_NEIGHBOURS
    callers: dict[int, float] = {}
    callees: dict[int, float] = {}
    own = total = 0.0
    for stack in stacks.stacks:
        path = stack.places
        if wanted.isdisjoint(path):
            continue
        seconds = stack.seconds
        total += seconds
        first = next(depth for depth, place in enumerate(path) if place in wanted)
        last = next(depth for depth in range(len(path) - 1, -1, -1) if path[depth] in wanted)
        if first:
            callers[path[first - 1]] = callers.get(path[first - 1], 0.0) + seconds
        if last + 1 < len(path):
            callees[path[last + 1]] = callees.get(path[last + 1], 0.0) + seconds
        else:
            own += seconds
    return Neighbours(_edges(stacks, callers, total), _edges(stacks, callees, total), own, total)


def _edges(stacks: Stacks, spent: dict[int, float], total: float) -> tuple[Edge, ...]:
    """Return one edge a function; `spent` are the seconds of each place."""
    merged: dict[tuple[str, str], dict[int, float]] = {}
    for number, seconds in spent.items():
        place: Place = stacks.places[number]
        lines = merged.setdefault((place.function, place.file), {})
        lines[place.line] = lines.get(place.line, 0.0) + seconds
    edges: list[Edge] = []
    for (function, file), lines in merged.items():
        seconds = sum(lines.values())
        line = max(lines, key=lambda line: (lines[line], -line))
        percent = min(100.0, 100.0 * seconds / total) if total > 0 else 0.0
        edges.append(Edge(function, file, line, seconds, percent))
    return tuple(sorted(edges, key=lambda edge: (-edge.seconds, edge.function, edge.file)))
