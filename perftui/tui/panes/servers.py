"""Servers: the pools of Redis and HAProxy, and how each server in them does."""

from __future__ import annotations

from typing import Any

from perftui.snapshot import Absent, Snapshot, State
from perftui.tui.lines import Line, Span
from perftui.tui.panes.course_charts import MOST_CHART, CourseCharts
from perftui.tui.panes.pane import Pane, absent_lines, joined, stale_span
from perftui.tui.panes.server_advice import pool_lines, pool_parts
from perftui.tui.panes.server_charts import server_courses
from perftui.tui.panes.server_columns import server_columns
from perftui.tui.panes.server_detail import server_detail
from perftui.tui.panes.server_events import event_lines
from perftui.tui.panes.server_rows import Listing, ServerRow, list_servers
from perftui.tui.table import Table
from perftui.tui.view import View

SOURCES = ("pools", "haproxy")
LEAST_TABLE = 6
"""Lines that the table keeps in a zoom, its heading included."""
MOST_DETAIL = 16
MOST_POOLS = 3
"""Pools other than the selected server's that have a line in a zoom."""


class ServersPane(Pane):
    """Servers of all pools; zoomed with their pool and why the selected one is picked or not."""

    id = "servers"
    number = "6"
    title = "Servers"
    needs = frozenset(SOURCES)
    follows_cursor = True

    def __init__(self) -> None:
        self._listed: tuple[object, object] | None = None
        self._listing = Listing()
        self._charts = CourseCharts()

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        pools = self._list(snapshot).pools
        if not pools:
            return ()
        parts: list[tuple[Span, ...]] = [stale_span(snapshot.status(name)) for name in SOURCES]
        return joined([*parts, *pool_parts(pools, view)], view.glyphs.separator)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        lines = _missing(snapshot, view)
        pools = self._list(snapshot).pools
        if not view.zoomed or not pools:
            return lines
        row = view.selected if isinstance(view.selected, ServerRow) else None
        below = min(
            len(self._listing.rows) + 1,
            max(LEAST_TABLE, view.height * 2 // 5),
        )
        room = view.height - below - len(lines)
        chosen = row.pool if row is not None else pools[0]
        summary = pool_lines(chosen, view, snapshot.time, full=True)
        summary = summary[: max(1, room // 2)]
        for pool in [pool for pool in pools if pool is not chosen][:MOST_POOLS]:
            if len(summary) < room // 2:
                summary += pool_lines(pool, view, snapshot.time, full=False)
        room -= len(summary)
        if row is None:
            events = event_lines(chosen.events, view, snapshot.time, room, named=True)
            return [*lines, *summary, *events]
        most = max(0, min(MOST_DETAIL + MOST_CHART, room))
        detail = server_detail(row, view, snapshot.time, min(most, MOST_DETAIL))
        detail += self._charts.lines(server_courses(row), view, most - len(detail))
        # The table must not move when the cursor goes to a server that has less to tell.
        detail += [()] * (most - len(detail))
        return [*lines, *summary, *detail]

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        listing = self._list(snapshot)
        if all(isinstance(value, Absent) for value in (snapshot.pools, snapshot.haproxy)):
            return None
        text = "no pool is registered: ServerAgent registers a server in it"
        return Table(
            columns=server_columns(listing, view),
            records=listing.rows,
            key=lambda row: row.key,
            text=_searched,
            empty=(((f" {view.glyphs.hollow} {text}", "absent"),),),
        )

    def mark(self, snapshot: Snapshot) -> Span:
        pools = self._list(snapshot).pools
        if any(pool.panic is True for pool in pools):
            return ("!", "critical")
        for value in (snapshot.pools, snapshot.haproxy):
            if isinstance(value, Absent) and value.state is not State.NOT_COLLECTED:
                return ("!", "warning")
        troubled = any(
            server.overloaded or server.state in {"stale", "down"}
            for pool in pools
            for server in pool.servers
        )
        return ("!", "warning") if troubled else (" ", "muted")

    def _list(self, snapshot: Snapshot) -> Listing:
        """Return the rows; the same ones until a source has read anew."""
        cause = (snapshot.pools, snapshot.haproxy)
        if self._listed is None or any(
            new is not old for new, old in zip(cause, self._listed, strict=True)
        ):
            self._listed = cause
            self._listing = list_servers(snapshot.all_pools)
        return self._listing


def _searched(row: ServerRow) -> str:
    pool, server = row.pool, row.server
    return (
        f"{pool.name}/{server.id} {pool.endpoint} {server.address} {server.state} {server.reason}"
    )


def _missing(snapshot: Snapshot, view: View) -> list[Line]:
    """Return what cannot be shown: both where there is nothing, else only what has failed."""
    absent = [value for value in (snapshot.pools, snapshot.haproxy) if isinstance(value, Absent)]
    if len(absent) < len(SOURCES):
        absent = [value for value in absent if value.state is not State.NOT_COLLECTED]
    seen: list[Absent] = []
    for value in absent:
        if value not in seen:
            seen.append(value)
    return [line for value in seen for line in absent_lines(value, view)]
