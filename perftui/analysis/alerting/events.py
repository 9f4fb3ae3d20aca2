"""The intervals in which alerts fired: those that last and the newest of those that ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from heapq import nlargest
from typing import NamedTuple

from perftui.snapshot import AlertEvent

MOST_EVENTS = 200
"""Intervals that are kept; beyond, the one that ended first is forgotten."""


class Lasting(NamedTuple):
    """An interval that has not ended; `tell` makes the event, which most are never asked for."""

    begin: float
    tell: Callable[[], AlertEvent]


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

    def with_lasting(self, lasting: Iterable[Lasting]) -> tuple[AlertEvent, ...]:
        """Return at most MOST_EVENTS intervals: those that last, then those that ended last."""
        newest = nlargest(MOST_EVENTS, lasting, key=lambda interval: interval.begin)
        first = [interval.tell() for interval in newest]
        rest = MOST_EVENTS - len(first)
        return (*first, *list(reversed(self._ended))[:rest])
