"""The intervals in which alerts fired: those that last and the newest of those that ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from perftui.snapshot import AlertEvent

MOST_EVENTS = 200
"""Intervals that are kept; beyond, the one that ended first is forgotten."""


class EventLog:
    """The newest intervals that ended."""

    def __init__(self) -> None:
        self._ended: deque[AlertEvent] = deque(maxlen=MOST_EVENTS)

    def end(self, event: AlertEvent) -> None:
        """Keep an interval that has ended."""
        self._ended.append(event)

    @property
    def ended(self) -> Iterable[AlertEvent]:
        """The intervals that ended, the newest last."""
        return self._ended

    def with_lasting(self, lasting: Iterable[AlertEvent]) -> tuple[AlertEvent, ...]:
        """Return at most MOST_EVENTS intervals: those that last, then those that ended last."""
        first = sorted(lasting, key=lambda event: -event.begin)[:MOST_EVENTS]
        rest = MOST_EVENTS - len(first)
        return (*first, *list(reversed(self._ended))[:rest])
