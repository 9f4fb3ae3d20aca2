"""The evidence of several processes as that of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

import msgspec

from perftui.queries.evidence import (
    ClientUse,
    FieldUse,
    GlanceUse,
    Plans,
    Point,
    QueryEvidence,
    Reads,
    Repeats,
    ShapeEvidence,
    Singles,
    Spread,
)
from perftui.queries.shape import Shape

MOST_POINTS: Final = 500


def merged(parts: Iterable[QueryEvidence]) -> QueryEvidence:
    """Return the sum of the evidence of several processes; of points 500 a shape are kept."""
    found = list(parts)
    if len(found) == 1:
        return found[0]
    by_shape: dict[Shape, list[ShapeEvidence]] = {}
    for part in found:
        for shape in part.shapes:
            by_shape.setdefault(shape.shape, []).append(shape)
    return QueryEvidence(
        since=min((part.since for part in found), default=0.0),
        until=max((part.until for part in found), default=0.0),
        shapes=tuple(_shape(each) for each in by_shape.values()),
        other=sum(part.other for part in found),
    )


def _shape(parts: Sequence[ShapeEvidence]) -> ShapeEvidence:
    if len(parts) == 1:
        return parts[0]
    newest = max(parts, key=lambda part: part.last)
    clients: dict[str, list[ClientUse]] = {}
    for part in parts:
        for client in part.clients:
            clients.setdefault(client.client, []).append(client)
    given = Counter[int]()
    for part in parts:
        given[part.size_given] += part.short
    size_given, short = given.most_common(1)[0]
    length = max(len(part.latencies) for part in parts)
    return msgspec.structs.replace(
        newest,
        calls=sum(part.calls for part in parts),
        errors=sum(part.errors for part in parts),
        first=min(part.first for part in parts),
        last=newest.last,
        seconds=sum(part.seconds for part in parts),
        bytes=sum(part.bytes for part in parts),
        sized=sum(part.sized for part in parts),
        rows=sum(part.rows for part in parts),
        latencies=tuple(
            sum(part.latencies[i] for part in parts if i < len(part.latencies))
            for i in range(length)
        ),
        clients=tuple(_client(each) for each in clients.values()),
        points=_points(parts),
        plans=_plans([part.plans for part in parts]),
        asked_size=sum(part.asked_size for part in parts),
        short=short,
        size_given=size_given,
        selectivity=sum(part.selectivity for part in parts),
        selectivity_n=sum(part.selectivity_n for part in parts),
        later_pages_counted=sum(part.later_pages_counted for part in parts),
        count_seconds=sum(part.count_seconds for part in parts),
        count_timed=sum(part.count_timed for part in parts),
        asked=sum(part.asked for part in parts),
    )


def _points(parts: Sequence[ShapeEvidence]) -> tuple[Point, ...]:
    """Return a sample of the samples, each process with the weight of its calls."""
    points = [point for part in parts for point in part.points]
    if len(points) > MOST_POINTS:
        calls = sum(part.calls for part in parts) or 1
        random = Random(len(points))
        points = [
            point
            for part in parts
            for point in random.sample(
                part.points, min(len(part.points), round(MOST_POINTS * part.calls / calls))
            )
        ]
    return tuple(sorted(points, key=lambda point: point.time))


def _plans(parts: Sequence[Plans]) -> Plans:
    indexes = Counter[str]()
    for part in parts:
        indexes.update(dict(part.indexes))
    return Plans(
        plans=sum(part.plans for part in parts),
        scans=sum(part.scans for part in parts),
        sorted_in_memory=sum(part.sorted_in_memory for part in parts),
        indexes=tuple(sorted(indexes.items())),
        answers=sum(part.answers for part in parts),
        examined=sum(part.examined for part in parts),
        returned=sum(part.returned for part in parts),
    )


def _client(parts: Sequence[ClientUse]) -> ClientUse:
    if len(parts) == 1:
        return parts[0]
    fields: dict[str, list[FieldUse]] = {}
    glances: dict[str, list[GlanceUse]] = {}
    for part in parts:
        for field in part.fields:
            fields.setdefault(field.path, []).append(field)
        for glance in part.glances:
            glances.setdefault(glance.field, []).append(glance)
    singles = max((part.singles for part in parts), key=lambda each: each.lists)
    return ClientUse(
        client=parts[0].client,
        calls=sum(part.calls for part in parts),
        reads=_reads([part.reads for part in parts]),
        fields=tuple(
            FieldUse(
                path=path,
                returned=sum(each.returned for each in uses),
                tracked=sum(each.tracked for each in uses),
                read=sum(each.read for each in uses),
                bytes=sum(each.bytes for each in uses),
                sized=sum(each.sized for each in uses),
                last_read=max(
                    (each.last_read for each in uses if each.last_read is not None), default=None
                ),
            )
            for path, uses in fields.items()
        ),
        consumed=_spread([part.consumed for part in parts]),
        session_rows=_spread([part.session_rows for part in parts]),
        session_pages=_spread([part.session_pages for part in parts]),
        repeats=Repeats(
            asked=sum(part.repeats.asked for part in parts),
            repeated=sum(part.repeats.repeated for part in parts),
            within=parts[0].repeats.within,
            polls=sum(part.repeats.polls for part in parts),
            unchanged=sum(part.repeats.unchanged for part in parts),
        ),
        singles=Singles(
            of=sum(part.singles.of for part in parts),
            lists=sum(part.singles.lists for part in parts),
            singles=sum(part.singles.singles for part in parts),
            seconds=sum(part.singles.seconds for part in parts),
            endpoint=singles.endpoint,
            shape=singles.shape,
        ),
        glances=tuple(
            GlanceUse(
                field,
                sum(each.answers for each in uses),
                sum(each.rows for each in uses),
                sum(each.dropped for each in uses),
            )
            for field, uses in glances.items()
        ),
    )


def _reads(parts: Sequence[Reads]) -> Reads:
    return Reads(
        tracked=sum(part.tracked for part in parts),
        bulk=sum(part.bulk for part in parts),
        opaque=sum(part.opaque for part in parts),
        unknown=sum(part.unknown for part in parts),
        untouched=sum(part.untouched for part in parts),
        first=min((part.first for part in parts if part.first is not None), default=None),
        last=max((part.last for part in parts if part.last is not None), default=None),
    )


def _spread(parts: Sequence[tuple[Spread, ...]]) -> tuple[Spread, ...]:
    counts: dict[int, list[int]] = {}
    for part in parts:
        for each in part:
            cell = counts.setdefault(each.value, [0, 0])
            cell[0] += each.count
            cell[1] += each.censored
    return tuple(Spread(value, *cell) for value, cell in sorted(counts.items()))
