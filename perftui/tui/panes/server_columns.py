"""Columns of the table of servers."""

from __future__ import annotations

from typing import Any

from perftui.format import age, count, latency, percent, rate_short
from perftui.snapshot import Absent, Maybe, PoolServer
from perftui.text import printable
from perftui.tui.lines import Span
from perftui.tui.panes.pane import missing
from perftui.tui.panes.server_rows import Listing, ServerRow, response, row_name, state_span, why
from perftui.tui.table import Column
from perftui.tui.view import View

BEAT_LATE = 3.0
"""Seconds without a heartbeat that are worth a colour; three beats."""


def server_columns(listing: Listing, view: View) -> tuple[Column[ServerRow], ...]:
    """Return the columns; the mark's only where a shown server is marked."""
    ascii_only = view.ascii_only

    def name(row: ServerRow) -> Span:
        return (printable(row_name(row, listing), ascii_only), "accent")

    def load(row: ServerRow, value: Maybe[float], kind: str) -> Span:
        if isinstance(value, Absent):
            return missing(value)
        text = rate_short(value) if kind == "requests" else percent(value)
        return (text, "warning" if _above(row, value, kind) else "text")

    def taken(row: ServerRow) -> Span:
        value, mean = response(row.server)
        if isinstance(value, Absent):
            return missing(value)
        shown = latency(value, "ms")
        return (f"m{shown}" if mean and listing.p95 else shown, "text")

    def reason(row: ServerRow) -> Span:
        return (printable(why(row.server), ascii_only), "muted")

    title = "mean ms" if listing.mean and not listing.p95 else "p95 ms"
    columns: tuple[Column[ServerRow], ...] = (
        Column("id", "server", 10, name, lambda r: row_name(r, listing), "left", flex=True,
               most=36, descending=False),
        Column("state", "state", 12 if view.width >= 70 else 10,
               lambda r: state_span(r.pool, r.server, ascii_only),
               lambda r: state_span(r.pool, r.server, ascii_only)[0], "left", descending=False),
        Column("weight", "weight", 7, lambda r: (weight_text(r.server), "text"),
               lambda r: r.server.weight, spare=5),
        Column("cpu", "cpu%", 5, lambda r: load(r, r.server.cpu_usage, "cpu"),
               lambda r: order(r.server.cpu_usage)),
        Column("mem", "mem%", 5, lambda r: load(r, r.server.memory_usage, "memory"),
               lambda r: order(r.server.memory_usage), spare=4),
        Column("rps", "req/s", 5, lambda r: load(r, r.server.requests_per_second, "requests"),
               lambda r: order(r.server.requests_per_second)),
        Column("inflight", "flight", 6, lambda r: _counted(r.server.in_flight),
               lambda r: order(r.server.in_flight), spare=3),
        Column("queue", "queue", 6, lambda r: _counted(r.server.queue, bad=True),
               lambda r: order(r.server.queue), spare=7),
        Column("response", title, 7, taken, lambda r: order(response(r.server)[0]), spare=1),
        Column("errors", "err%", 5, lambda r: _errors(r.server.error_percent),
               lambda r: order(r.server.error_percent), spare=2),
        Column("share", "picks", 8, lambda r: picks_span(r.server),
               lambda r: order(r.server.picks_percent), spare=1),
        Column("seen", "beat", 6, _beat, lambda r: r.server.last_seen, spare=6),
        Column("since", "since", 7, lambda r: _age(r.server.since),
               lambda r: order(r.server.since), spare=8),
        Column("reason", "reason", 14, reason, None, "left", flex=True, spare=9),
    )  # fmt: skip
    marked = view.marked_servers
    if not marked or not any(row.key in marked for row in listing.rows):
        return columns
    glyph = view.glyphs.bullet
    mark: Column[ServerRow] = Column(
        "mark", "", 1, lambda r: (glyph if r.key in marked else " ", "key"), None, "left"
    )
    return (mark, *columns)


def weight_text(server: PoolServer) -> str:
    """Return the weight in effect, and the one that was set where they differ."""
    asked = server.weight_set
    if isinstance(asked, Absent) or asked == server.weight:
        return str(server.weight)
    return f"{server.weight}/{asked}"


def picks_span(server: PoolServer) -> Span:
    """Return the share of the picks of the last minute against the expected one."""
    share, expected = server.picks_percent, server.picks_expected_percent
    if isinstance(share, Absent):
        return missing(share)
    if isinstance(expected, Absent):
        return (f"{share:.0f}%", "text")
    return (f"{share:.0f}/{expected:.0f}%", "text")


def order(value: Maybe[Any]) -> float:
    """Return what to sort by: what is missing comes after a zero."""
    return -1.0 if isinstance(value, Absent) else float(value)


def _above(row: ServerRow, value: float, kind: str) -> bool:
    limits = row.pool.thresholds
    if isinstance(limits, Absent):
        return False
    limit = {"cpu": limits.cpu, "memory": limits.memory, "requests": limits.requests}[kind]
    return value > limit


def _counted(value: Maybe[int], bad: bool = False) -> Span:
    if isinstance(value, Absent):
        return missing(value)
    return (count(value), "warning" if bad and value > 0 else "text")


def _errors(value: Maybe[float]) -> Span:
    if isinstance(value, Absent):
        return missing(value)
    return (percent(value), "warning" if value >= 1 else "text")


def _beat(row: ServerRow) -> Span:
    if row.pool.origin != "redis":
        return ("-", "absent")
    return (age(row.server.last_seen), "text" if row.server.last_seen <= BEAT_LATE else "stale")


def _age(value: Maybe[float]) -> Span:
    return missing(value) if isinstance(value, Absent) else (age(value), "text")
