"""P4 to P9: how many rows are asked for, how deep, and whether they are counted each time."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from perftui.queries.evidence import ShapeEvidence
from perftui.queries.page_size import SIZES, Line, best_page_size, theil_sen
from perftui.queries.rules.rule import (
    LEAST_ANSWERS,
    Rule,
    clients,
    plural,
    quantile,
    siblings,
    total,
    united,
)
from perftui.queries.suggestion import Counterfactual, Saving, Subject, Suggestion

LEAST_SESSIONS: Final = 30
LEAST_POINTS: Final = 30
DEEP: Final = 10
"""Pages of an offset from which on skipping is looked at."""

DEFAULT_SIZE: Final = 100
"""What is proposed where nothing is known of what clients read."""

MANY_PAGES: Final = 3
BASE_SHARE: Final = 0.5


def line_of(shapes: Sequence[ShapeEvidence]) -> Line | None:
    """Return latency against rows of first pages; deep ones cost more for what they skip."""
    points = [
        (float(point.rows_returned), point.latency)
        for shape in shapes
        for point in shape.points
        if not point.depth
    ]
    return theil_sen(points)


def page_too_large(subject: Subject) -> Suggestion | None:
    """P4: nearly all clients look at less than half a page."""
    shape, size = subject.shape, subject.query.page_size
    if shape is None or not size:
        return None
    consumed = united(client.consumed for client in shape.clients)
    answers = total(consumed)
    looked = quantile(consumed, 0.95)
    if answers < LEAST_ANSWERS or looked is None or looked >= 0.5 * size:
        return None
    to = next((each for each in SIZES if each >= max(1, looked)), SIZES[-1])
    if to >= size:
        return None
    factor = to / size
    return Suggestion(
        rule="P4",
        action={"type": "adjust_page_size", "from": size, "to": to},
        title=f"ask for {to} rows a page instead of {size}",
        evidence=f"95 % of {answers:,} answers were read to row {looked} at most, of {size}",
        risk="the few clients that read further need one more request",
        verify="compare rows consumed and requests per session before and after",
        confidence="modelled",
        facts={"answers": answers, "consumed_p95": looked, "from": size, "to": to},
        change=Counterfactual(page_size=to),
        saving=Saving(
            rows=size - to,
            bytes=shape.bytes / shape.sized * (1 - factor) if shape.sized else None,
        ),
    )


def page_too_small(subject: Subject) -> Suggestion | None:
    """P5: sessions read many pages, and most of the time goes into asking."""
    size = subject.query.page_size
    if not size:
        return None
    related = siblings(subject)
    pages = united(client.session_pages for client in clients(related))
    rows = united(client.session_rows for client in clients(related))
    sessions = total(pages)
    line = line_of(related)
    if sessions < LEAST_SESSIONS or line is None or line.per_row < 0 or line.base <= 0:
        return None
    mean = sum(each.value * each.count for each in pages) / sessions
    base_share = line.base / line.latency(size)
    if mean <= MANY_PAGES or base_share <= BASE_SHARE:
        return None
    best = best_page_size(
        line, rows, size, subject.facts.first_page_budget, subject.facts.max_page_size
    )
    if best is None or best.size <= size or not best.worthwhile:
        return None
    needed = max(1.0, mean * size / best.size)
    return Suggestion(
        rule="P5",
        action={"type": "adjust_page_size", "from": size, "to": best.size},
        title=f"ask for {best.size} rows a page instead of {size}",
        evidence=(
            f"{sessions:,} sessions read {mean:.1f} pages each; a page costs "
            f"{line.base * 1e3:.3g} ms + {line.per_row * 1e3:.3g} ms a row, "
            f"{base_share:.0%} of it whatever its size"
        ),
        risk=f"the first page takes {line.latency(best.size) * 1e3:.3g} ms instead of "
        f"{line.latency(size) * 1e3:.3g} ms",
        verify="compare the time of whole sessions before and after, and the first page's p95",
        confidence="modelled",
        facts={"sessions": sessions, "pages": round(mean, 2), "from": size, "to": best.size},
        change=Counterfactual(page_size=best.size, requests_factor=needed / mean),
        saving=Saving(latency=best.saved, requests=mean - needed),
    )


def no_page_size(subject: Subject) -> Suggestion | None:
    """P6: a list is asked for without any limit."""
    query, shape = subject.query, subject.shape
    if query.page_size is not None or query.paging == "cursor":
        return None
    if shape is None:
        if not _is_list_text(subject):
            return None
        rows = None
    else:
        if shape.calls < 1 or shape.rows / shape.calls <= 1.5:
            return None
        rows = shape.rows / shape.calls
    to = subject.facts.default_page_size or DEFAULT_SIZE
    if shape is not None:
        consumed = united(client.consumed for client in shape.clients)
        looked = quantile(consumed, 0.95)
        if total(consumed) >= LEAST_ANSWERS and looked:
            to = next((each for each in SIZES if each >= looked), SIZES[-1])
    if subject.facts.max_page_size:
        to = min(to, subject.facts.max_page_size)
    if rows is not None and rows <= to:
        # Whether the list will grow nobody knows; the limit costs nothing, but saves nothing now.
        change = None
    else:
        change = None if rows is None else Counterfactual(page_size=to)
    return Suggestion(
        rule="P6",
        action={"type": "adjust_page_size", "from": None, "to": to},
        title=f"set a page size, {to} for a start",
        evidence=(
            "the query has no limit: its answer grows with the data"
            if rows is None or shape is None
            else f"no limit in {plural(shape.calls, 'call')}; {rows:,.0f} rows an answer on average"
        ),
        risk="a client that needs all rows must ask for the further pages",
        verify="look at rows returned and at the size of the answers before and after",
        confidence="modelled" if change is not None else "heuristic",
        facts={"to": to} if rows is None else {"rows": round(rows, 1), "to": to},
        change=change,
        saving=Saving() if rows is None or change is None else Saving(rows=rows - to),
    )


def beyond_maximum(subject: Subject) -> Suggestion | None:
    """P7: more rows are asked for than the server ever gives."""
    size, shape = subject.query.page_size, subject.shape
    if not size:
        return None
    most = subject.facts.max_page_size
    evidence = f"the endpoint gives at most {most} rows"
    if most is None:
        # The same lower number again and again is a limit, not the end of a list.
        if shape is None or shape.asked_size < LEAST_ANSWERS or shape.size_given < 2:
            return None
        if shape.short < 0.9 * shape.asked_size or shape.size_given >= size:
            return None
        most = shape.size_given
        evidence = f"{shape.short:,} of {shape.asked_size:,} answers had just {most} rows"
    if size <= most:
        return None
    return Suggestion(
        rule="P7",
        action={"type": "adjust_page_size", "from": size, "to": most},
        title=f"ask for {most} rows, which is all that the server gives",
        evidence=f"{evidence}, asked were {size}",
        risk="a client that takes a short page for the last one misses rows: use the next token",
        verify="compare the rows that a whole session reads with the number there are",
        confidence="measured",
        facts={"from": size, "to": most},
    )


def deep_offset(subject: Subject) -> Suggestion | None:
    """P8: rows are skipped by the page, and the time grows with them."""
    query = subject.query
    if query.paging not in ("offset", "page"):
        return None
    related = siblings(subject)
    points = [
        point
        for shape in related
        for point in shape.points
        if point.depth is not None and point.page_size
    ]
    size = query.page_size or DEFAULT_SIZE
    deep = [point for point in points if (point.depth or 0) > DEEP * (point.page_size or size)]
    if not deep or len(points) < LEAST_POINTS:
        return None
    line = theil_sen([(float(point.depth or 0), point.latency) for point in points])
    if line is None or line.per_row_low <= 0:
        return None
    typical = median(point.depth or 0 for point in deep)
    last = query.sort[-1].field if query.sort else subject.facts.unique[0]
    saved = line.per_row * typical
    return Suggestion(
        rule="P8",
        action={"type": "use_cursor", "key": [key.field for key in query.sort] or [last]},
        title="go on from the last row (cursor, keyset) instead of skipping",
        evidence=(
            f"{len(deep)} of {len(points)} sampled answers skip more than {DEEP} pages, "
            f"{typical:,.0f} rows in the middle; every 1,000 rows skipped cost "
            f"{line.per_row * 1e6:.3g} ms (at least {line.per_row_low * 1e6:.3g})"
        ),
        risk="pages can no longer be jumped to; the sort must end with a unique field",
        verify="the time of a late page is that of the first",
        confidence="modelled",
        facts={"depth": round(typical), "deep": len(deep), "sampled": len(points)},
        change=Counterfactual(no_depth=True),
        saving=Saving(latency=saved),
    )


def counted_again(subject: Subject) -> Suggestion | None:
    """P9: the total is counted on later pages too."""
    query, shape = subject.query, subject.shape
    if not query.count or not query.later_page:
        return None
    timed = shape is not None and shape.count_timed >= LEAST_POINTS
    seconds = shape.count_seconds / shape.count_timed if shape is not None and timed else 0.0
    mean = None if shape is None else shape.mean_latency
    share = f", {seconds / mean:.0%} of the answer's" if mean and seconds else ""
    calls = shape.later_pages_counted if shape is not None else 0
    return Suggestion(
        rule="P9",
        action={"type": "drop_count", "keep": "first page"},
        title="count the total on the first page only",
        evidence=(
            (
                f"{plural(calls, 'later page')} counted again"
                if calls
                else "a later page counts again"
            )
            + (f"; counting takes {seconds * 1e3:.3g} ms{share}" if seconds else "")
        ),
        risk="the total shown may be that of some moments ago",
        verify="compare the time of second pages before and after",
        confidence="measured" if seconds else "heuristic",
        facts={"counted": calls, "count_ms": round(seconds * 1e3, 3)},
        change=Counterfactual(seconds_less=seconds) if seconds else None,
        saving=Saving(latency=seconds) if seconds else Saving(),
    )


def _is_list_text(subject: Subject) -> bool:
    """Whether a query is one for a list, by its text alone: filters, a sort, no single id."""
    query = subject.query
    path = query.endpoint.rstrip("/")
    if path.endswith("}") or path.rpartition("/")[2].startswith((":", "<")):
        return False
    unique = set(subject.facts.unique)
    one = any(each.field in unique and each.op == "eq" for each in query.filters)
    return not one


RULES: Final = (
    Rule("P4", "pages larger than what is read", page_too_large),
    Rule("P5", "pages so small that asking costs most", page_too_small),
    Rule("P6", "a list without a limit", no_page_size, static=True),
    Rule("P7", "more rows asked for than the server gives", beyond_maximum, static=True),
    Rule("P8", "deep pages by offset", deep_offset),
    Rule("P9", "the total counted on every page", counted_again, static=True),
)
