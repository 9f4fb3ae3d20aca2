"""What people have found out about alerts: lines that stay with the interval they are about."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from perftui.snapshot import Alert, AlertEvent

MOST_INTERVALS = 200
"""Intervals that something is attached to; beyond, the one that was first is forgotten."""
MOST_LINES = 12
"""Lines of one interval; beyond, the oldest are dropped."""

T = TypeVar("T", Alert, AlertEvent)


class Attachments:
    """Lines by alert and the Unix time its interval began; may be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[tuple[str, float], tuple[str, ...]] = {}

    def add(self, fingerprint: str, since: float, lines: tuple[str, ...]) -> None:
        """Put lines before those that are there already."""
        key = (fingerprint, since)
        with self._lock:
            self._lines[key] = (*lines, *self._lines.pop(key, ()))[:MOST_LINES]
            while len(self._lines) > MOST_INTERVALS:
                del self._lines[next(iter(self._lines))]

    def with_lines(
        self, alerts: tuple[Alert, ...], events: tuple[AlertEvent, ...]
    ) -> tuple[tuple[Alert, ...], tuple[AlertEvent, ...]]:
        """Return alerts and intervals with their lines first in the evidence."""
        with self._lock:
            known = dict(self._lines)
        if not known:
            return alerts, events
        return (
            _each(alerts, known, lambda alert: alert.since),
            _each(events, known, lambda event: event.begin),
        )


def _each(
    records: Iterable[T],
    known: dict[tuple[str, float], tuple[str, ...]],
    since: Callable[[T], float],
) -> tuple[T, ...]:
    def with_lines(record: T) -> T:
        lines: tuple[str, ...] = known.get((record.fingerprint, since(record)), ())
        if not lines:
            return record
        return msgspec.structs.replace(record, evidence=(*lines, *record.evidence))

    return tuple(with_lines(record) for record in records)
