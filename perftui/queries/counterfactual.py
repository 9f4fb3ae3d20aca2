"""What the costs of a query would be if advice were followed, all of it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from perftui.queries.evidence import Point
from perftui.queries.suggestion import Counterfactual


def combined(changes: Iterable[Counterfactual]) -> Counterfactual:
    """Return several changes as one.

    Fields are united, so that one named twice counts once; of two page sizes the smaller holds;
    factors multiply, seconds add up.
    """
    fields: dict[str, None] = {}
    result = Counterfactual()
    for change in changes:
        fields |= dict.fromkeys(change.fields_removed)
        sizes = [each for each in (result.page_size, change.page_size) if each is not None]
        result = Counterfactual(
            fields_removed=tuple(fields),
            page_size=min(sizes, default=None),
            indexed=result.indexed or change.indexed,
            no_depth=result.no_depth or change.no_depth,
            rows_factor=result.rows_factor * change.rows_factor,
            seconds_less=result.seconds_less + change.seconds_less,
            requests_factor=result.requests_factor * change.requests_factor,
        )
    return result


def changed(point: Point, change: Counterfactual, shares: Mapping[str, float]) -> Point:
    """Return the point with its costs as they would be; `shares` are those of fields in bytes.

    A smaller page returns at most its size; a larger one returns more only where the old one came
    full. Rows that were examined in proportion to those returned follow them.
    """
    rows = float(point.rows_returned)
    if change.page_size is not None:
        full = point.page_size is not None and point.rows_returned >= point.page_size
        rows = float(change.page_size) if full else min(rows, float(change.page_size))
    rows *= change.rows_factor
    ratio = rows / point.rows_returned if point.rows_returned else 1.0
    size = point.bytes
    if size is not None:
        left = max(0.0, 1 - sum(shares.get(field, 0.0) for field in change.fields_removed))
        size = round(size * ratio * left)
    depth = 0 if change.no_depth and point.depth else point.depth
    examined = point.rows_examined
    if examined is not None:
        skipped = point.depth or 0
        if change.indexed or examined <= 2 * (point.rows_returned + skipped):
            reading = rows if change.indexed else max(0, examined - skipped) * ratio
            examined = round(min(examined, reading + (depth or 0)) if ratio <= 1 else reading)
        elif change.no_depth:
            examined = max(round(rows), examined - skipped)
    return msgspec.structs.replace(
        point,
        rows_returned=round(rows),
        rows_examined=examined,
        bytes=size,
        depth=depth,
        page_size=change.page_size if change.page_size is not None else point.page_size,
    )
