"""What was observed of queries, kept in bounded memory and without their values."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import Final

from perftui.queries.evidence import QueryEvidence
from perftui.queries.observation import Observation
from perftui.queries.point_sample import PointBudget
from perftui.queries.sessions import WITHIN, Sessions
from perftui.queries.shape import Shape, shape_of
from perftui.queries.shape_tally import ShapeTally

MOST_POINTS: Final = 20_000
_FORGET_AFTER: Final = 600.0
"""Seconds without a query after which a shape makes room for a new one."""


class ObservationLog:
    """Counts observations by shape and client; safe to use from any thread.

    It holds at most `most_shapes` shapes, `most_clients` clients of each, `points` sampled
    observations of each and 20,000 in all. When there is no room, a shape that nobody asked for
    in ten minutes is forgotten; without such a one the new shape is only counted, as `other`.
    `clock` gives Unix seconds.
    """

    def __init__(
        self,
        most_shapes: int = 2_000,
        most_clients: int = 8,
        points: int = 500,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if min(most_shapes, most_clients, points) < 1:
            raise ValueError("log: most_shapes, most_clients and points must be at least 1")
        self._most_shapes = most_shapes
        self._most_clients = most_clients
        self._points = points
        self._clock = clock
        self._lock = threading.Lock()
        self._random = Random()
        self._begin()

    def _begin(self) -> None:
        self._shapes: OrderedDict[Shape, ShapeTally] = OrderedDict()
        self._sessions = Sessions()
        self._budget = PointBudget(MOST_POINTS)
        self._other = 0
        self._since = self._clock()

    def add(self, observation: Observation) -> None:
        """Count an observation."""
        with self._lock:
            tally = self._tally(observation)
            if tally is not None:
                self._sessions.add(observation, tally.add(observation))

    def add_reads(self, observation: Observation) -> None:
        """Count only what was read of an answer; its query is observed apart."""
        with self._lock:
            tally = self._tally(observation)
            if tally is not None:
                tally.add_reads(observation)

    def _tally(self, observation: Observation) -> ShapeTally | None:
        shape = shape_of(observation.query)
        tally = self._shapes.get(shape)
        if tally is None:
            if not self._room(observation.time):
                self._other += 1
                return None
            tally = self._shapes[shape] = ShapeTally(
                shape, self._most_clients, self._points, self._budget, self._random
            )
        self._shapes.move_to_end(shape)
        self._since = min(self._since, observation.time)
        return tally

    def evidence(self) -> QueryEvidence:
        """Return everything observed so far; sessions that are idle are counted as ended."""
        now = self._clock()
        with self._lock:
            self._sessions.close_idle(now)
            tallies = list(self._shapes.values())
            since, other = self._since, self._other
        shapes = []
        for tally in tallies:
            # Shape by shape, so that nobody who observes waits for all of them.
            with self._lock:
                shapes.append(tally.evidence(WITHIN))
        until = max((shape.last for shape in shapes), default=now)
        return QueryEvidence(
            since=since, until=max(since, until), shapes=tuple(shapes), other=other
        )

    def end_sessions(self) -> None:
        """Count all sessions as ended, as at the end of a file."""
        with self._lock:
            self._sessions.close()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._begin()

    def after_fork(self) -> None:
        """Begin anew in a forked child, whatever the parent's threads held at that moment."""
        self._lock = threading.Lock()
        self._begin()

    def _room(self, now: float) -> bool:
        if len(self._shapes) < self._most_shapes:
            return True
        oldest = next(iter(self._shapes.values()))
        if now - oldest.last < _FORGET_AFTER:
            return False
        self._shapes.popitem(last=False)
        oldest.sample.release()
        return True
