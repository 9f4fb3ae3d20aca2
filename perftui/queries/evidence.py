"""What was observed of the queries of one shape, in bounded size and without values.

Everything here adds up: the evidence of several processes is merged by summing counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from perftui.queries.query import Query
from perftui.queries.shape import Shape

MODEL_POINTS: Final = 1_000
"""Points of an endpoint that are enough for its model."""


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One observation of a sample, for fitting; seconds, counts, bytes, Unix time.

    `list_length` is that of the longest list in a filter, `depth` the rows skipped.
    """

    time: float
    latency: float
    variant: str
    rows_returned: int
    rows_examined: int | None = None
    bytes: int | None = None
    fields: int | None = None
    page_size: int | None = None
    depth: int | None = None
    list_length: int = 0
    count_latency: float | None = None


class FieldUse(msgspec.Struct, frozen=True, array_like=True):
    """A field: in how many answers it was returned, in how many tracked ones, in how many read.

    `bytes` is the sum over the `sized` answers in which its size was known.
    """

    path: str
    returned: int
    tracked: int
    read: int
    bytes: int
    sized: int
    last_read: float | None = None


class Reads(msgspec.Struct, frozen=True, array_like=True):
    """Answers by how it is known what was read of them; `untouched` are tracked with no read.

    `first` and `last` are the Unix times of the first and last tracked answer.
    """

    tracked: int = 0
    bulk: int = 0
    opaque: int = 0
    unknown: int = 0
    untouched: int = 0
    first: float | None = None
    last: float | None = None


class Spread(msgspec.Struct, frozen=True, array_like=True):
    """How often a number came up.

    Of `count` times it may have been more `censored` times: reading ended just with the page.
    """

    value: int
    count: int
    censored: int = 0


class Repeats(msgspec.Struct, frozen=True, array_like=True):
    """Equal queries of one client, and equal answers to them.

    `asked` queries could be compared with the one before, `repeated` came within `within` seconds
    of an equal one; of `polls`, equal queries at any distance, `unchanged` had the same answer.
    """

    asked: int = 0
    repeated: int = 0
    within: float = 60.0
    polls: int = 0
    unchanged: int = 0


class Singles(msgspec.Struct, frozen=True, array_like=True):
    """Queries for one item each, by ids which a list of this shape had just given (N+1).

    `lists` were followed by at least ten of them, `singles` in all, of `shape` and `endpoint`,
    which took `seconds` together. `of` lists could have been.
    """

    of: int = 0
    lists: int = 0
    singles: int = 0
    seconds: float = 0.0
    endpoint: str = ""
    shape: str = ""


class GlanceUse(msgspec.Struct, frozen=True, array_like=True):
    """Rows whose `field` was read in tracked answers, and those of which nothing else was."""

    field: str
    answers: int
    rows: int
    dropped: int


class Plans(msgspec.Struct, frozen=True, array_like=True):
    """What the database told of the queries that it explained; sums over `plans` of them.

    `indexes` are names with the number of plans that used them, `scans` used none. `examined` and
    `returned` are rows of answers in which both are known; `answers` is their number.

    """

    plans: int = 0
    scans: int = 0
    sorted_in_memory: int = 0
    indexes: tuple[tuple[str, int], ...] = ()
    answers: int = 0
    examined: int = 0
    returned: int = 0


class ClientUse(msgspec.Struct, frozen=True, array_like=True):
    """What one client did with the answers; `consumed` is by page, `session_*` by session."""

    client: str
    calls: int
    reads: Reads = Reads()
    fields: tuple[FieldUse, ...] = ()
    consumed: tuple[Spread, ...] = ()
    session_rows: tuple[Spread, ...] = ()
    session_pages: tuple[Spread, ...] = ()
    repeats: Repeats = Repeats()
    singles: Singles = Singles()
    glances: tuple[GlanceUse, ...] = ()


class ShapeEvidence(msgspec.Struct, frozen=True, array_like=True):
    """Everything kept of one shape; `query` is the newest query of it.

    `latencies` are counts in buckets of sqrt(2), bucket i ending at 1e-5 * 2**(i / 2) seconds;
    `short` of `asked_size` answers to queries with a page size gave just the same lower number of
    rows, `size_given`, as a server does that has a maximum. `selectivity` sums, over
    `selectivity_n` answers with a known total, rows matched / rows there are. `asked` is how many
    queries the observed `calls` stand for.
    """

    shape: Shape
    query: Query
    calls: int
    errors: int
    first: float
    last: float
    seconds: float
    bytes: int
    sized: int
    rows: int
    latencies: tuple[int, ...] = ()
    clients: tuple[ClientUse, ...] = ()
    points: tuple[Point, ...] = ()
    plans: Plans = Plans()
    asked_size: int = 0
    short: int = 0
    size_given: int = 0
    selectivity: float = 0.0
    selectivity_n: int = 0
    later_pages_counted: int = 0
    count_seconds: float = 0.0
    count_timed: int = 0
    asked: int = 0

    @property
    def mean_latency(self) -> float | None:
        """Seconds per call, None before the first."""
        return self.seconds / self.calls if self.calls else None


class QueryEvidence(msgspec.Struct, frozen=True):
    """What one process, or several together, observed from `since` to `until` (Unix time).

    `other` counts observations of shapes that there was no room for.
    """

    since: float
    until: float
    shapes: tuple[ShapeEvidence, ...] = ()
    other: int = 0

    def of_endpoint(self, endpoint: str) -> tuple[ShapeEvidence, ...]:
        """Return the evidence of all shapes of one endpoint."""
        return tuple(each for each in self.shapes if each.shape.endpoint == endpoint)

    def points_of(self, endpoint: str) -> Sequence[Point]:
        """Return the points of one endpoint for its model: an even sample where there are many.

        Between once and twice as many as are enough are left.
        """
        points = [point for shape in self.of_endpoint(endpoint) for point in shape.points]
        return points[:: max(1, len(points) // MODEL_POINTS)]
