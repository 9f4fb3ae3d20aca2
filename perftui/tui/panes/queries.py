"""Queries: what services are asked for, and what a change of it would save."""

from __future__ import annotations

from typing import Any

from perftui.format import count, moment
from perftui.snapshot import Absent, Queries, QueryShape, Snapshot, State
from perftui.text import printable
from perftui.tui.lines import Line, Span
from perftui.tui.panes.flowing import flowing
from perftui.tui.panes.pane import Pane, absent_lines, joined, stale_span
from perftui.tui.panes.query_chart import LEAST_HEIGHT, latency_chart
from perftui.tui.panes.query_columns import query_columns, what
from perftui.tui.panes.query_detail import query_detail
from perftui.tui.table import Table
from perftui.tui.view import View

LEAST_TABLE = 5
MOST_CHART = 14


class QueriesPane(Pane):
    """Shapes of queries by what advice would save; zoomed with the evidence for the selected."""

    id = "queries"
    number = "7"
    title = "Queries"
    tab = "Query"
    needs = frozenset({"queries"})
    follows_cursor = True

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        queries = snapshot.queries
        if isinstance(queries, Absent):
            return ()
        advised = sum(bool(shape.steps) for shape in queries.shapes)
        parts: list[tuple[Span, ...]] = [
            stale_span(snapshot.status("queries")),
            ((f"{advised} of {len(queries.shapes)} with advice", "title"),),
            ((f"{count(queries.observations).strip()} observed", "muted"),),
            ((f"since {moment(queries.since, snapshot.time)}", "muted"),),
        ]
        return joined(parts, view.glyphs.separator)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        queries = snapshot.queries
        if isinstance(queries, Absent):
            return absent_lines(queries, view)
        notes: list[Line] = [
            ((f" {printable(note, view.ascii_only)}", "warning"),) for note in queries.notes
        ]
        if not view.zoomed:
            return notes
        summary = _summary(queries, view)
        shape = view.selected
        if not isinstance(shape, QueryShape):
            return [*notes, *summary]
        below = min(len(queries.shapes) + 1, max(LEAST_TABLE, view.height // 4))
        room = view.height - below - len(notes) - len(summary)
        detail = query_detail(shape, view)
        chart_room = min(MOST_CHART, max(room - len(detail), room // 3))
        chart = latency_chart(shape, view, min(view.width, 100), chart_room)
        if chart_room < LEAST_HEIGHT:
            chart = []
        kept = detail[: max(0, room - len(chart))]
        if len(kept) < len(detail) and kept:
            more = len(detail) - len(kept) + 1
            told = f"      {more} more lines: perftui queries explain {shape.id}"
            kept[-1] = ((told, "accent"),)
        shown = [*kept, *chart]
        # The table must not move when the cursor goes to a shape that has less to tell.
        shown += [()] * (room - len(shown))
        return [*notes, *summary, *shown]

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        queries = snapshot.queries
        if isinstance(queries, Absent):
            return None
        return Table(
            columns=query_columns(view, len(queries.services) > 1),
            records=queries.shapes,
            key=lambda shape: (shape.service, shape.id),
            text=_searched,
            empty=(((f" {view.glyphs.hollow} no query was observed yet", "absent"),),),
            copied=lambda shape: shape.suggested,
        )

    def mark(self, snapshot: Snapshot) -> Span:
        queries = snapshot.queries
        if isinstance(queries, Absent):
            failed = queries.state is not State.NOT_COLLECTED
            return ("!", "warning") if failed else (" ", "muted")
        return (" ", "muted")


def _searched(shape: QueryShape) -> str:
    rules = " ".join(step.rule for step in shape.steps)
    return f"{shape.service} {shape.endpoint} {what(shape)} {rules} {shape.id}"


def _summary(queries: Queries, view: View) -> list[Line]:
    parts: list[tuple[Span, ...]] = [
        (("services ", "muted"), (printable(", ".join(queries.services), view.ascii_only), "text")),
        (("processes ", "muted"), (f"{queries.processes}", "text")),
    ]
    if queries.other:
        parts.append((("without room for their shape ", "muted"), (f"{queries.other:,}", "text")))
    parts += [
        (
            (f"{record.rule} ", "key"),
            (f"{record.hits} of {record.verified} predictions held", "text"),
            (f", off by {record.error_percent:+.0f} %", "muted"),
        )
        for record in queries.records
    ]
    return flowing(parts, view)
