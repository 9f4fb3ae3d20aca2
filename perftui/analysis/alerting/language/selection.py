"""Walks from a snapshot along a path of the document to values, one per selected element."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from perftui.analysis.alerting.language.names import Record, WindowedOperation
from perftui.snapshot import Absent, Operation, OperationWindow, Quantile, Service, Snapshot

Value: TypeAlias = float | bool | str
Key: TypeAlias = tuple[str, ...]
Values: TypeAlias = dict[Key, Value | None] | None
"""Values by element, one part of the key per list on the way; None where the list is missing."""

Evaluate: TypeAlias = Callable[[Snapshot], Values]

Pair: TypeAlias = tuple[Key, Any]
Pairs: TypeAlias = list[Pair] | None
Walk: TypeAlias = Callable[[Pairs], Pairs]
Test: TypeAlias = Callable[[Any], bool]

WINDOWS = {"10s": 10.0, "1min": 60.0, "5min": 300.0}
"""Windows of operations as the settings name them."""


def start(snapshot: Snapshot) -> Pairs:
    """Return where every walk begins."""
    return [((), snapshot)]


def field(get: Callable[[Any], Any]) -> Walk:
    """Return a walk to a field of each element; a missing value is None from there on."""

    def walk(pairs: Pairs) -> Pairs:
        if pairs is None:
            return None
        found: list[Pair] = []
        for key, part in pairs:
            value = None if part is None else get(part)
            found.append((key, None if isinstance(value, Absent) else value))
        return found

    return walk


def elements(record: Record, tests: tuple[Test, ...]) -> Walk:
    """Return a walk to the elements of a list that pass all tests."""
    getters = [record.fields[name].get for name in record.labels]
    first = getters[0]

    def key_of(element: Any) -> str:
        if len(getters) == 1:
            return str(first(element))
        return "/".join([str(get(element)) for get in getters])

    def chosen(part: Iterable[Any]) -> Iterable[tuple[str, Any]]:
        for item in part:
            for test in tests:
                if not test(item):
                    break
            else:
                yield key_of(item), item

    return _expand(chosen)


def numbers() -> Walk:
    """Return a walk to the items of a list of numbers, which are told apart by their index."""
    return _expand(lambda part: ((str(index), item) for index, item in enumerate(part)))


def item(index: int) -> Walk:
    """Return a walk to one item of a list; None where the list is shorter."""
    return field(lambda part: part[index] if index < len(part) else None)


def operations(seconds: float, tests: tuple[Test, ...]) -> Walk:
    """Return a walk from services to their operations in the window nearest to `seconds`."""

    def rows(services: Iterable[Service]) -> Iterable[tuple[str, WindowedOperation]]:
        for service in services:
            window = nearest(service.windows, seconds)
            if window is None:
                continue
            for operation in window.operations:
                row = WindowedOperation(service, window.seconds, window.covered, operation)
                if all(test(row) for test in tests):
                    yield f"{service.name}/{operation.name}", row

    return _expand(rows)


def nearest(windows: tuple[OperationWindow, ...], seconds: float) -> OperationWindow | None:
    """Return the window nearest to the wanted one by ratio, None where there is none."""
    return min(
        windows,
        key=lambda window: (abs(math.log(max(window.seconds, 1e-9) / seconds)), window.seconds),
        default=None,
    )


def _expand(items: Callable[[Any], Iterable[tuple[str, Any]]]) -> Walk:
    def walk(pairs: Pairs) -> Pairs:
        if pairs is None or (pairs and all(part is None for _, part in pairs)):
            return None
        return [
            ((*key, name), value)
            for key, part in pairs
            if part is not None
            for name, value in items(part)
        ]

    return walk


def values(walks: tuple[Walk, ...]) -> Evaluate:
    """Return what goes along all walks and gives a plain value per element.

    Of elements with the same labels the first counts: a service that reports and is read from its
    page as well is there twice.
    """

    def evaluate(snapshot: Snapshot) -> Values:
        pairs = start(snapshot)
        for walk in walks:
            pairs = walk(pairs)
        if pairs is None:
            return None
        found: dict[Key, Value | None] = {}
        for key, value in pairs:
            if key not in found:
                found[key] = plain(value)
        return found

    return evaluate


def plain(value: object) -> Value | None:
    """Return a finite number, a text or a truth; None for what is missing or not finite.

    A part counts as true: it is there.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Quantile):
        value = value.value
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return True


def measured(value: object) -> Value | None:
    """Return a plain value, None for one that is absent."""
    return None if isinstance(value, Absent) else plain(value)


def wildcard(pattern: str) -> Callable[[str], bool]:
    """Return a test of a whole text against a pattern with `*` and `?`.

    Takes at most length times length steps: it goes back to the last star only.
    """

    def fits(text: str) -> bool:
        at = place = 0
        star, marked = -1, 0
        while at < len(text):
            if place < len(pattern) and pattern[place] == "*":
                star, marked = place, at
                place += 1
            elif place < len(pattern) and pattern[place] in ("?", text[at]):
                place += 1
                at += 1
            elif star >= 0:
                marked += 1
                place, at = star + 1, marked
            else:
                return False
        return all(char == "*" for char in pattern[place:])

    return fits


def has_count(record: Record) -> bool:
    """Return whether elements tell how many calls they are made of."""
    return record.name in (Operation.__name__, "operation")
