"""Evidence on queries as the screen shows it, with advice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from perftui.queries.advice import Adviser, QueryAdvice
from perftui.queries.catalogue import Catalogue
from perftui.queries.estimate import Estimate
from perftui.queries.evidence import QueryEvidence, ShapeEvidence
from perftui.queries.page_size import theil_sen
from perftui.queries.rules.field_evidence import field_reads
from perftui.queries.shape import Shape
from perftui.queries.shape_tally import FIRST_BUCKET
from perftui.queries.suggested_query import query_of, suggested_query
from perftui.queries.suggestion import Subject, Suggestion
from perftui.queries.verification import VerifiedChange, verified_changes
from perftui.snapshot import (
    Absent,
    Maybe,
    QueryChange,
    QueryLine,
    QueryPoint,
    QuerySaving,
    QueryShape,
    QueryStep,
    State,
)

MOST_SHAPES: Final = 100
"""Shapes of a service for which advice is made: those whose queries take most time."""

MOST_POINTS: Final = 200

_NO_SAVING: Final = Absent(State.NOT_COLLECTED, "this advice saves none of it, or nobody measured")
_NO_SIZE: Final = Absent(State.NOT_COLLECTED, "the sizes of answers were not observed")
_NO_PLANS: Final = Absent(
    State.NOT_COLLECTED,
    "rows examined were not observed",
    "observe_engine(engine) of perftui.queries.sqlalchemy_hook, or rows_examined= of observe",
)
_NO_LINE: Final = Absent(
    State.NOT_COLLECTED, "answers of fewer than three lengths: no line can be fitted"
)


def query_shapes(
    service: str, evidence: QueryEvidence, catalogue: Catalogue, window: float
) -> tuple[tuple[QueryShape, ...], tuple[VerifiedChange, ...]]:
    """Return the shapes of one service with advice, the worst first, and its verified changes."""
    adviser = Adviser(evidence, catalogue, window)
    changes = verified_changes(evidence)
    by_shape: dict[str, list[VerifiedChange]] = {}
    for change in changes:
        by_shape.setdefault(change.shape, []).append(change)
    heaviest = sorted(evidence.shapes, key=lambda shape: -shape.seconds)[:MOST_SHAPES]
    advice = sorted(map(adviser.of_shape, heaviest), key=rank)
    return tuple(
        _shape(service, each, by_shape.get(each.id, ()), evidence, catalogue, window)
        for each in advice
    ), changes


def rank(advice: QueryAdvice) -> tuple[float, bool, float, str]:
    """Return by what advice is ordered: what it saves in a minute, then what the queries take."""
    return (
        -advice.score,
        not advice.suggestions,
        -advice.calls_per_minute * (advice.latency or 0.0),
        advice.id,
    )


def _shape(
    service: str,
    advice: QueryAdvice,
    changes: Sequence[VerifiedChange],
    evidence: QueryEvidence,
    catalogue: Catalogue,
    window: float,
) -> QueryShape:
    found = advice.shape
    query = query_of(found.query)
    actions = [suggestion.action for suggestion in advice.suggestions]
    plans = found.plans
    return QueryShape(
        id=advice.id,
        service=service,
        endpoint=found.shape.endpoint,
        conditions=conditions(found.shape),
        sort=", ".join(f"{'-' if key.descending else ''}{key.field}" for key in found.shape.sort),
        paging=found.shape.paging,
        calls=found.calls,
        errors=found.errors,
        calls_per_minute=advice.calls_per_minute,
        latency=advice.latency or 0.0,
        latency_p95=percentile(found, 0.95),
        rows=found.rows / found.calls if found.calls else 0.0,
        bytes=found.bytes / found.sized if found.sized else _NO_SIZE,
        examined_per_row=(plans.examined / max(1, plans.returned) if plans.answers else _NO_PLANS),
        clients=tuple(client.client for client in found.clients),
        score=advice.score,
        saving=_saving(advice.estimate, advice.latency),
        unquantified=sum(each.saving.latency is None for each in advice.suggestions),
        steps=tuple(
            _step(each, advice.latency)
            for each in sorted(advice.suggestions, key=lambda each: -(each.saving.latency or 0.0))
        ),
        query=json.dumps(query, ensure_ascii=False),
        suggested=json.dumps(suggested_query(query, actions), ensure_ascii=False),
        reads=_reads(found, evidence, catalogue, window),
        points=_points(found),
        line=_line(found),
        changes=tuple(query_change(change) for change in changes),
    )


def conditions(shape: Shape) -> str:
    """Return the conditions of a shape in words."""
    parts = [
        f"{f'{each.function}({each.field})' if each.function else each.field} {each.op}"
        for each in shape.conditions
    ]
    return (" or " if any(each.alternative for each in shape.conditions) else ", ").join(parts)


def percentile(shape: ShapeEvidence, share: float) -> Maybe[float]:
    """Return the seconds that so many calls do not exceed: the end of the bucket it falls into."""
    whole = sum(shape.latencies)
    seen = 0
    for place, count in enumerate(shape.latencies):
        seen += count
        if seen >= share * whole > 0:
            return float(FIRST_BUCKET * 2 ** (place / 2))
    return Absent(State.NOT_COLLECTED, "no answer was timed")


def query_change(change: VerifiedChange) -> QueryChange:
    """Return a verified change with its shares in percent."""
    return QueryChange(
        time=change.time,
        rules=change.rules,
        title=change.title,
        predicted=100 * change.predicted,
        low=100 * change.low,
        high=100 * change.high,
        actual=100 * change.actual,
        calls=change.calls,
        hit=change.hit,
    )


def _saving(estimate: Estimate, latency: float | None) -> Maybe[QuerySaving]:
    if estimate.confidence not in ("measured", "modelled"):
        return Absent(State.NOT_COLLECTED, estimate.reason or "nothing was measured")
    return QuerySaving(
        seconds=estimate.seconds,
        low=estimate.seconds_low,
        high=estimate.seconds_high,
        percent=100 * min(1.0, max(0.0, estimate.share)),
        confidence=estimate.confidence,
    )


def _step(suggestion: Suggestion, latency: float | None) -> QueryStep:
    saving = suggestion.saving
    told: Maybe[QuerySaving]
    if saving.latency is None:
        reason = suggestion.facts.get("no_number")
        told = Absent(State.NOT_COLLECTED, str(reason)) if reason else _NO_SAVING
    else:
        told = QuerySaving(
            seconds=saving.latency,
            low=saving.latency if saving.low is None else saving.low,
            high=saving.latency if saving.high is None else saving.high,
            percent=min(100.0, 100 * saving.latency / latency) if latency else 0.0,
            confidence=suggestion.confidence,
        )
    return QueryStep(
        rule=suggestion.rule,
        title=suggestion.title,
        evidence=suggestion.evidence,
        risk=suggestion.risk,
        verify=suggestion.verify,
        confidence=suggestion.confidence,
        action=json.dumps(_plain(suggestion.action), ensure_ascii=False),
        saving=told,
        bytes=_NO_SAVING if saving.bytes is None else saving.bytes,
        rows=_NO_SAVING if saving.rows is None else saving.rows,
        requests=_NO_SAVING if saving.requests is None else saving.requests,
    )


def _plain(action: Mapping[str, object]) -> dict[str, object]:
    return dict(action)


def _reads(
    shape: ShapeEvidence, evidence: QueryEvidence, catalogue: Catalogue, window: float
) -> str:
    subject = Subject(shape.query, shape, evidence, catalogue.of(shape.shape.endpoint), window)
    known = field_reads(subject)
    if known.blocked:
        return f"no field is called unused: {known.blocked}"
    read = sum(field.read > 0 for field in known.fields)
    return f"{read} of {len(known.fields)} fields are read, by {known.answers:,} tracked answers"


def _points(shape: ShapeEvidence) -> tuple[QueryPoint, ...]:
    unknown = Absent(State.NOT_COLLECTED, "a cursor hides how many rows were skipped")
    step = max(1, -(-len(shape.points) // MOST_POINTS))
    return tuple(
        QueryPoint(
            point.rows_returned, point.latency, unknown if point.depth is None else point.depth
        )
        for point in shape.points[::step]
    )


def _line(shape: ShapeEvidence) -> Maybe[QueryLine]:
    line = theil_sen([(point.rows_returned, point.latency) for point in shape.points])
    return _NO_LINE if line is None else QueryLine(line.base, line.per_row)
