"""Merges the stacks of a profile into a tree: the flame graph and the call tree."""

from __future__ import annotations

import msgspec

from perftui.profiling.thread_labels import thread_labels
from perftui.snapshot import Absent, Place, TopCalls

LEFT_OUT = Place("(rare stacks that were not kept)", "", 0)
"""Stands for the CPU time of stacks that were too many to keep."""


class FlameNode(msgspec.Struct, frozen=True, gc=False):
    """A function as it was called on one path from the root; CPU seconds and samples.

    `place` has the busiest line of it there, None for the root, which is everything. `own` is what
    no child explains. The children come by total time falling, each function once.
    """

    place: Place | None
    own: float
    total: float
    samples: int
    children: tuple[FlameNode, ...] = ()


EMPTY_FLAME = FlameNode(None, 0.0, 0.0, 0)


def flame(calls: TopCalls, per_thread: bool = False) -> FlameNode:
    """Return the tree of all stacks; recursion makes it deeper, as it made the stack.

    With `per_thread` each thread has a branch of its own, whose place is the thread's label without
    a file. Without stacks the tree is empty.
    """
    if isinstance(calls.stacks, Absent):
        return EMPTY_FLAME
    places = list(calls.stacks.places)
    labels = thread_labels(calls.threads) if per_thread else ()
    first_label = len(places)
    places += [Place(label, "", 0) for label in labels]
    trie = _Trie(len(places))
    for stack in calls.stacks.stacks:
        if stack.places:
            path = (first_label + stack.thread, *stack.places) if per_thread else stack.places
            trie.add(path, stack.seconds, stack.samples)
    grown = trie.tree(places)
    left_out = calls.stacks.left_out
    if left_out <= 0:
        return grown
    children = (*grown.children, FlameNode(LEFT_OUT, left_out, left_out, 0))
    return FlameNode(
        None,
        grown.own,
        grown.total + left_out,
        grown.samples,
        tuple(sorted(children, key=_rank)),
    )


class _Trie:
    """All paths of places, as numbered nodes in flat lists: a parent has a lower number.

    Objects for the nodes would take the collector of garbage longer than all the rest takes.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._numbers: dict[int, int] = {}
        self._place = [-1]
        self._parent = [-1]
        self._own = [0.0]
        self._samples = [0]

    def add(self, path: tuple[int, ...], seconds: float, samples: int) -> None:
        """Add a stack, outermost place first."""
        numbers = self._numbers
        width = self._places
        node = 0
        for place in path:
            key = node * width + place
            child = numbers.get(key)
            if child is None:
                child = numbers[key] = len(self._place)
                self._place.append(place)
                self._parent.append(node)
                self._own.append(0.0)
                self._samples.append(0)
            node = child
        self._own[node] += seconds
        self._samples[node] += samples

    def tree(self, places: list[Place]) -> FlameNode:
        """Return the nodes with all places of a function under one parent made one."""
        parents, place_of = self._parent, self._place
        totals = self._own.copy()
        for node in range(len(parents) - 1, 0, -1):
            totals[parents[node]] += totals[node]
        known: dict[tuple[str, str], int] = {}
        functions = [known.setdefault((p.function, p.file), len(known)) for p in places]
        width = len(known)
        merged = [0]
        above = [-1]
        own = [self._own[0]]
        samples = [self._samples[0]]
        chosen: list[Place | None] = [None]
        numbers: dict[int, int] = {}
        lines: dict[int, dict[int, float]] = {}
        first = [0]
        for node in range(1, len(parents)):
            place = place_of[node]
            parent = merged[parents[node]]
            key = parent * width + functions[place]
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(above)
                above.append(parent)
                own.append(self._own[node])
                samples.append(self._samples[node])
                chosen.append(places[place])
                first.append(node)
            else:
                own[number] += self._own[node]
                samples[number] += self._samples[node]
                begun = first[number]
                spent = lines.setdefault(number, {place_of[begun]: totals[begun]})
                spent[place] = spent.get(place, 0.0) + totals[node]
            merged.append(number)
        for number, spent in lines.items():
            # The lower line of two equal ones, so that the choice does not jump.
            chosen[number] = places[max(spent, key=lambda p: (spent[p], -places[p].line))]
        return _nodes(above, own, samples, chosen)


def _nodes(
    above: list[int], own: list[float], samples: list[int], places: list[Place | None]
) -> FlameNode:
    """Return the root, built from the leaves up and without recursion: stacks may be very deep."""
    below: list[list[FlameNode] | None] = [None] * len(above)
    totals = own.copy()
    counts = samples.copy()
    for number in range(len(above) - 1, 0, -1):
        children = below[number]
        if children is None:
            node = FlameNode(places[number], own[number], totals[number], counts[number])
        else:
            below[number] = None
            if len(children) > 1:
                children.sort(key=_rank)
            node = FlameNode(
                places[number], own[number], totals[number], counts[number], tuple(children)
            )
        parent = above[number]
        totals[parent] += totals[number]
        counts[parent] += counts[number]
        family = below[parent]
        if family is None:
            below[parent] = [node]
        else:
            family.append(node)
    top = sorted(below[0] or (), key=_rank)
    return FlameNode(None, own[0], totals[0], counts[0], tuple(top))


def _rank(node: FlameNode) -> tuple[float, str, str]:
    place = node.place
    return (-node.total, "", "") if place is None else (-node.total, place.function, place.file)
