"""Columns of the table of queries."""

from __future__ import annotations

from perftui.format import count, latency, rate_short
from perftui.snapshot import Absent, Maybe, QueryShape
from perftui.text import printable
from perftui.tui.lines import Span
from perftui.tui.panes.pane import missing
from perftui.tui.table import Column
from perftui.tui.view import View

ROOM_FOR_BOTH = 92
"""Cells from which on filters have a column of their own."""
MUCH_EXAMINED = 100.0
"""Rows examined for each one returned that are worth a colour; MongoDB Atlas warns at 1,000."""


def query_columns(view: View, name_service: bool) -> tuple[Column[QueryShape], ...]:
    """Return the columns; that of the service only where there are several."""
    ascii_only = view.ascii_only

    def text(value: str, style: str) -> Span:
        return (printable(value, ascii_only), style)

    def name(shape: QueryShape) -> str:
        named = f"{shape.service} {shape.endpoint}" if name_service else shape.endpoint
        # Where their column has no room, only this tells shapes of one endpoint apart.
        return named if view.width >= ROOM_FOR_BOTH else f"{named} {what(shape)}".rstrip()

    return (
        Column("query", "query", 14, lambda s: text(name(s), "accent"), name, "left", flex=True,
               most=44, descending=False),
        Column("what", "filters, sort, paging", 10, lambda s: text(what(s), "muted"), what, "left",
               flex=True, most=44, spare=6, descending=False),
        Column("calls", "calls/m", 7, lambda s: (rate_short(s.calls_per_minute), "text"),
               lambda s: s.calls_per_minute),
        Column("mean", "mean ms", 7, lambda s: (latency(s.latency, "ms"), "text"),
               lambda s: s.latency),
        Column("p95", "p95 ms", 7, lambda s: _seconds(s.latency_p95),
               lambda s: _order(s.latency_p95), spare=4),
        Column("rows", "rows", 6, lambda s: (rate_short(s.rows), "text"), lambda s: s.rows,
               spare=5),
        Column("examined", "exam/row", 8, _examined, lambda s: _order(s.examined_per_row), spare=3),
        Column("saves", "saves", 7, saves, lambda s: _saved(s), spare=1),
        Column("score", "ms/min", 7, _score, lambda s: s.score),
        Column("rules", "advice", 9, lambda s: _rules(s), lambda s: len(s.steps), "left",
               flex=True, most=24, spare=2),
    )  # fmt: skip


def what(shape: QueryShape) -> str:
    """Return filters, sort and paging of a shape in words."""
    parts = [shape.conditions] if shape.conditions else []
    if shape.sort:
        parts.append(f"by {shape.sort}")
    if shape.paging != "none":
        parts.append(f"({shape.paging})")
    return " ".join(parts)


def saves(shape: QueryShape) -> Span:
    """Return the share of the latency that all advice together saves."""
    saving = shape.saving
    if isinstance(saving, Absent):
        return ("-" if shape.steps else "", "absent")
    if not shape.steps:
        return ("", "muted")
    return (f"-{saving.percent:.0f} %", "ok" if saving.percent >= 10 else "text")


def _rules(shape: QueryShape) -> Span:
    if not shape.steps:
        return ("nothing", "muted")
    return (" ".join(step.rule for step in shape.steps), "warning")


def _score(shape: QueryShape) -> Span:
    return (count(round(shape.score)), "text") if shape.score else ("-", "absent")


def _examined(shape: QueryShape) -> Span:
    value = shape.examined_per_row
    if isinstance(value, Absent):
        return missing(value)
    return (rate_short(value), "warning" if value > MUCH_EXAMINED else "text")


def _seconds(value: Maybe[float]) -> Span:
    return missing(value) if isinstance(value, Absent) else (latency(value, "ms"), "text")


def _order(value: Maybe[float]) -> float:
    return -1.0 if isinstance(value, Absent) else value


def _saved(shape: QueryShape) -> float:
    return -1.0 if isinstance(shape.saving, Absent) or not shape.steps else shape.saving.percent
