"""Counts of the queries of one shape."""

from __future__ import annotations

from math import ceil, log2
from random import Random
from typing import Final

from perftui.queries.client_tally import ClientTally
from perftui.queries.evidence import Plans, Point, ShapeEvidence
from perftui.queries.observation import Observation
from perftui.queries.point_sample import PointBudget, PointSample
from perftui.queries.query import Query
from perftui.queries.shape import Shape, variant_of

BUCKETS: Final = 48
FIRST_BUCKET: Final = 1e-5
OTHER_CLIENTS: Final = "_other"
MOST_INDEXES: Final = 20


def bucket(latency: float) -> int:
    """Return the bucket of a latency in seconds; bucket i ends at 1e-5 * 2**(i / 2)."""
    if latency <= FIRST_BUCKET:
        return 0
    return min(BUCKETS - 1, ceil(2 * log2(latency / FIRST_BUCKET) - 1e-9))


class ShapeTally:
    """What `ShapeEvidence` is made of; not thread-safe."""

    def __init__(
        self, shape: Shape, most_clients: int, points: int, budget: PointBudget, random: Random
    ) -> None:
        self.shape = shape
        self.clients: dict[str, ClientTally] = {}
        self.last = float("-inf")
        self.sample = PointSample(points, budget, random)
        self._most_clients = most_clients
        self._query = Query(shape.endpoint)
        self._calls = self._errors = self._bytes = self._sized = self._rows = 0
        self._first = float("inf")
        self._seconds = 0.0
        self._latencies = [0] * BUCKETS
        self._plans = self._scans = self._sorts = 0
        self._indexes: dict[str, int] = {}
        self._answers = self._examined = self._returned = 0
        self._asked_size = 0
        self._given: dict[int, int] = {}
        self._selectivity = 0.0
        self._asked = 0
        self._selectivity_n = 0
        self._later_counted = self._count_timed = 0
        self._count_seconds = 0.0

    def client(self, name: str) -> ClientTally:
        """Return the counts of a client; those there is no room for share one."""
        tally = self.clients.get(name)
        if tally is None:
            if len(self.clients) >= self._most_clients:
                name = OTHER_CLIENTS
            tally = self.clients.setdefault(name, ClientTally())
        return tally

    def add(self, seen: Observation) -> ClientTally:
        """Count an observation and return the counts of its client."""
        self._query = seen.query
        self._calls += 1
        self._asked += seen.weight
        self._errors += seen.status is not None and seen.status >= 400
        self._first = min(self._first, seen.time)
        self.last = max(self.last, seen.time)
        self._seconds += seen.latency
        self._rows += seen.rows_returned
        self._latencies[bucket(seen.latency)] += 1
        if seen.bytes is not None:
            self._bytes += seen.bytes
            self._sized += 1
        self._add_plan(seen)
        self._add_page(seen)
        client = self.client(seen.client)
        client.calls += 1
        client.add_reads(seen)
        place = self.sample.wants()
        if place is not None and (seen.status is None or seen.status < 400):
            self.sample.put(place, _point(seen))
        return client

    def add_reads(self, seen: Observation) -> None:
        """Count what was read of an answer whose query is counted apart."""
        if not self._calls:
            self._query = seen.query
        self._first = min(self._first, seen.time)
        self.last = max(self.last, seen.time)
        self.client(seen.client).add_reads(seen)

    def _add_plan(self, seen: Observation) -> None:
        if seen.index_used is not None or seen.sorted_in_memory is not None:
            self._plans += 1
            self._sorts += bool(seen.sorted_in_memory)
            if seen.index_used:
                if seen.index_used in self._indexes or len(self._indexes) < MOST_INDEXES:
                    self._indexes[seen.index_used] = self._indexes.get(seen.index_used, 0) + 1
            else:
                self._scans += 1
        if seen.rows_examined is not None:
            self._answers += 1
            self._examined += seen.rows_examined
            self._returned += seen.rows_returned
            # A page that is full says nothing of how many rows match.
            whole = not seen.query.page_size or seen.rows_returned < seen.query.page_size
            if seen.total_rows and whole:
                self._selectivity += min(1.0, seen.rows_returned / seen.total_rows)
                self._selectivity_n += 1

    def _add_page(self, seen: Observation) -> None:
        query = seen.query
        if query.page_size:
            self._asked_size += 1
            if seen.rows_returned < query.page_size:
                given = seen.rows_returned
                if given in self._given or len(self._given) < 50:
                    self._given[given] = self._given.get(given, 0) + 1
        if query.count:
            if query.later_page:
                self._later_counted += 1
            if seen.count_latency is not None:
                self._count_seconds += seen.count_latency
                self._count_timed += 1

    def evidence(self, within: float) -> ShapeEvidence:
        """Return the counts as evidence."""
        given, short = max(self._given.items(), key=lambda item: item[1], default=(0, 0))
        last = max((i for i, count in enumerate(self._latencies) if count), default=-1)
        return ShapeEvidence(
            shape=self.shape,
            query=self._query,
            calls=self._calls,
            errors=self._errors,
            first=self._first,
            last=self.last,
            seconds=self._seconds,
            bytes=self._bytes,
            sized=self._sized,
            rows=self._rows,
            latencies=tuple(self._latencies[: last + 1]),
            clients=tuple(tally.use(name, within) for name, tally in self.clients.items()),
            points=self.sample.points(),
            plans=Plans(
                self._plans,
                self._scans,
                self._sorts,
                tuple(sorted(self._indexes.items())),
                self._answers,
                self._examined,
                self._returned,
            ),
            asked_size=self._asked_size,
            short=short,
            size_given=given,
            selectivity=self._selectivity,
            selectivity_n=self._selectivity_n,
            later_pages_counted=self._later_counted,
            count_seconds=self._count_seconds,
            count_timed=self._count_timed,
            asked=self._asked,
        )


def _point(seen: Observation) -> Point:
    query = seen.query
    return Point(
        time=seen.time,
        latency=seen.latency,
        variant=variant_of(query),
        rows_returned=seen.rows_returned,
        rows_examined=seen.rows_examined,
        bytes=seen.bytes,
        fields=len(seen.fields_returned) or None,
        page_size=query.page_size,
        depth=query.depth,
        list_length=query.longest_list,
        count_latency=seen.count_latency,
    )
