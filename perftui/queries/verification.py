"""What came of a change that was made: predicted from before it, measured after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import hypot, sqrt
from statistics import fmean, stdev
from typing import Final, NamedTuple

import msgspec

from perftui.queries.estimate import Fitted
from perftui.queries.evidence import Point, QueryEvidence, ShapeEvidence
from perftui.queries.suggestion import Counterfactual

LEAST: Final = 30
"""Answers before a change, and after it, that are needed to say what it did."""

ABANDONED: Final = 0.2
"""Share of the answers of the old way that may still come after the new one began."""

_INDEXED: Final = 0.2
"""What is left of the rows examined where a new index is what must have happened."""

_LEAST_IN_VAIN: Final = 20
"""Rows examined in vain below which no index is behind a fall."""

_ASTRAY: Final = 0.05
"""Share of the answers that may not fit to a fall of the rows examined."""

_TRIMMED: Final = 0.05

_WITHIN: Final = 1.2816
"""Standard errors that 80 % of a normal distribution lie within."""


class VerifiedChange(msgspec.Struct, frozen=True):
    """A change that was seen to be made to the queries of a shape at a Unix time.

    Shares of the latency before it that it saves: as the model told from what came before, with
    its interval, and as it was measured over `calls` sampled answers after it. `margin` is how far
    off that measurement may be by chance, with the same 80 %.
    """

    shape: str
    time: float
    rules: tuple[str, ...]
    title: str
    predicted: float
    low: float
    high: float
    actual: float
    calls: int
    margin: float = 0.0

    @property
    def hit(self) -> bool:
        """Whether what was measured lies in the interval that was told, chance allowed for."""
        return self.low - self.margin <= self.actual <= self.high + self.margin


class RuleRecord(NamedTuple):
    """How the predictions of a rule have fared; `error` is the mean of actual less predicted."""

    rule: str
    verified: int
    hits: int
    error: float


class _Way(NamedTuple):
    """One way in which a list is asked for: a shape, a variant of it, its sampled answers."""

    shape: ShapeEvidence
    points: tuple[Point, ...]

    @property
    def first(self) -> float:
        return self.points[0].time

    @property
    def page_size(self) -> int | None:
        return self.points[-1].page_size

    @property
    def fields(self) -> frozenset[str]:
        """The fields that answers of this shape had, by the tables of its clients."""
        return frozenset(use.path for client in self.shape.clients for use in client.fields)


class _Step(NamedTuple):
    rule: str
    title: str
    change: Counterfactual


def verified_changes(evidence: QueryEvidence) -> tuple[VerifiedChange, ...]:
    """Return every change that shows in the evidence and whose saving was foretold, oldest first.

    A change is a way of asking for a list that was taken up while another was given up, or a fall
    of the rows examined by four fifths. Only points before it go into the prediction.
    """
    found: list[VerifiedChange] = []
    for endpoint in {shape.shape.endpoint for shape in evidence.shapes}:
        shapes = evidence.of_endpoint(endpoint)
        points = evidence.points_of(endpoint)
        for ways in _lists(shapes):
            for old, new in _taken_up(ways):
                steps = tuple(_differences(old, new))
                shares = _shares(old.shape, steps)
                found += _judged(
                    points, new.first, old.points, new.points, new.shape, steps, shares
                )
            for way in ways:
                found += _indexed(points, way)
    return tuple(sorted(found, key=lambda change: change.time))


def records(changes: Iterable[VerifiedChange]) -> tuple[RuleRecord, ...]:
    """Return how each rule's predictions have fared; a change by several counts for each."""
    by_rule: dict[str, list[VerifiedChange]] = {}
    for change in changes:
        for rule in change.rules:
            by_rule.setdefault(rule, []).append(change)
    return tuple(
        RuleRecord(
            rule,
            len(of),
            sum(change.hit for change in of),
            fmean(change.actual - change.predicted for change in of),
        )
        for rule, of in sorted(by_rule.items())
    )


def _lists(shapes: Sequence[ShapeEvidence]) -> Iterator[list[_Way]]:
    """Yield the ways in which each list of an endpoint is asked for: same filters, same sort."""
    lists: dict[object, list[_Way]] = {}
    for shape in shapes:
        by_variant: dict[str, list[Point]] = {}
        for point in shape.points:
            by_variant.setdefault(point.variant, []).append(point)
        ways = lists.setdefault((shape.shape.conditions, shape.shape.sort[:1]), [])
        ways += [
            _Way(shape, tuple(sorted(of, key=lambda point: point.time)))
            for of in by_variant.values()
            if len(of) >= LEAST
        ]
    yield from lists.values()


def _taken_up(ways: Sequence[_Way]) -> Iterator[tuple[_Way, _Way]]:
    for new in ways:
        left = []
        for old in ways:
            after = sum(point.time >= new.first for point in old.points)
            before = len(old.points) - after
            if old is not new and before >= LEAST and after <= ABANDONED * len(old.points):
                left.append(old)
        if left:
            # What was given up last is what the new one took the place of.
            yield max(left, key=lambda old: old.points[-1].time), new


def _differences(old: _Way, new: _Way) -> Iterator[_Step]:
    was, now = old.shape.query, new.shape.query
    size = new.page_size
    if size is not None and size != old.page_size:
        rule = "P6" if old.page_size is None else "P4" if size < old.page_size else "P5"
        told = "none" if old.page_size is None else f"{old.page_size}"
        yield _Step(rule, f"page size {told} to {size}", Counterfactual(page_size=size))
    deep = any(point.depth for point in old.points)
    if deep and was.paging in ("offset", "page") and now.paging == "cursor":
        yield _Step("P8", "a cursor for the offset", Counterfactual(no_depth=True))
    removed = old.fields - new.fields
    if removed and new.fields:
        rule = "P3" if was.fields is None else "P1"
        title = f"{len(removed)} fields less"
        yield _Step(rule, title, Counterfactual(fields_removed=tuple(sorted(removed))))
    if was.count and not now.count:
        timed = [point.count_latency for point in old.points if point.count_latency is not None]
        if timed:
            yield _Step("P9", "no count", Counterfactual(seconds_less=fmean(timed)))


def _indexed(points: Sequence[Point], way: _Way) -> Iterator[VerifiedChange]:
    known = [point for point in way.points if point.rows_examined is not None]
    place = _fall([_in_vain(point) for point in known])
    if place is None:
        return
    before, after = known[:place], known[place:]
    step = _Step("F1", "fewer rows examined (an index)", Counterfactual(indexed=True))
    yield from _judged(points, after[0].time, before, after, way.shape, (step,), {})


def _in_vain(point: Point) -> int:
    """Return the rows that were examined and neither returned nor skipped."""
    return max(0, (point.rows_examined or 0) - point.rows_returned - (point.depth or 0))


def _fall(values: Sequence[int]) -> int | None:
    """Return the place from which on nearly all values are a fifth of those before, or less."""
    if len(values) < 2 * LEAST:
        return None
    limit = _INDEXED * sorted(values)[-LEAST // 2]
    if limit < _LEAST_IN_VAIN:
        return None
    # Each place errs by the low values before it and the high ones from it on.
    errors = high = sum(value > limit for value in values)
    best, place = high, 0
    for index, value in enumerate(values, 1):
        errors += 1 if value <= limit else -1
        if errors < best:
            best, place = errors, index
    if not LEAST <= place <= len(values) - LEAST or best > _ASTRAY * len(values):
        return None
    return place


def _judged(
    points: Sequence[Point],
    moment: float,
    before: Sequence[Point],
    after: Sequence[Point],
    shape: ShapeEvidence,
    steps: Sequence[_Step],
    shares: Mapping[str, float],
) -> Iterator[VerifiedChange]:
    earlier = [point for point in before if point.time < moment]
    if not steps or len(earlier) < LEAST or len(after) < LEAST:
        return
    told = Fitted([point for point in points if point.time < moment]).estimate(
        earlier, [step.change for step in steps], shares
    )
    was = _typical(earlier)
    if told.confidence == "none" or was <= 0:
        return
    now = _typical(after)
    yield VerifiedChange(
        shape=shape.shape.fingerprint,
        time=moment,
        rules=tuple(step.rule for step in steps),
        title=", ".join(step.title for step in steps),
        predicted=told.share,
        low=told.low,
        high=told.high,
        actual=1 - now / was,
        calls=len(after),
        margin=_WITHIN * now / was * hypot(_spread(earlier) / was, _spread(after) / now),
    )


def _typical(points: Sequence[Point]) -> float:
    """Return the mean latency without the twentieth that was slowest and that was fastest."""
    ordered = sorted(point.latency for point in points)
    cut = int(_TRIMMED * len(ordered))
    return fmean(ordered[cut : len(ordered) - cut])


def _spread(points: Sequence[Point]) -> float:
    """Return the standard error of the mean latency."""
    return stdev(point.latency for point in points) / sqrt(len(points))


def _shares(shape: ShapeEvidence, steps: Sequence[_Step]) -> Mapping[str, float]:
    """Return the shares of the bytes of fields, where any was left out."""
    if not any(step.change.fields_removed for step in steps):
        return {}
    sizes = {
        use.path: use.bytes / use.sized
        for client in shape.clients
        for use in client.fields
        if use.sized
    }
    whole = sum(sizes.values())
    return {path: size / whole for path, size in sizes.items()} if whole else {}
