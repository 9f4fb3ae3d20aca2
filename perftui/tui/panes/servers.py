"""Servers: the pools this Redis knows, and how each server in them does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perftui.format import age, count, percent, rate
from perftui.snapshot import Absent, Maybe, PoolServer, Snapshot, State
from perftui.text import printable
from perftui.tui.lines import Line, Span
from perftui.tui.panes.pane import Pane, absent_lines, joined, missing, stale_span
from perftui.tui.table import Column, Table
from perftui.tui.view import View

STATE_STYLES = {
    "ready": "ok",
    "drain": "warning",
    "maint": "muted",
    "stale": "stale",
    "down": "critical",
}


@dataclass(frozen=True)
class ServerRow:
    """A server with the pool it is in and its share of the pool's picks."""

    pool: str
    server: PoolServer
    share: Maybe[float]


class ServersPane(Pane):
    """Backends of all pools with state, load and share of the picks."""

    id = "servers"
    number = "6"
    title = "Servers"
    needs = frozenset({"pools"})

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        pools = snapshot.pools
        if isinstance(pools, Absent) or not pools:
            return ()
        parts: list[tuple[Span, ...]] = [stale_span(snapshot.status("pools"))]
        names = ", ".join(printable(pool.name, view.ascii_only) for pool in pools)
        parts.append(((f"pool {names}", "muted"),))
        servers = [server for pool in pools for server in pool.servers]
        for state, style in STATE_STYLES.items():
            number = sum(server.state == state for server in servers)
            if number:
                parts.append(((f"{number} {state}", style if state != "ready" else "muted"),))
        overloaded = sum(server.overloaded for server in servers)
        if overloaded:
            parts.append(((f"{overloaded} overloaded", "warning"),))
        return joined(parts, view.glyphs.separator)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        pools = snapshot.pools
        if isinstance(pools, Absent):
            return absent_lines(pools, view)
        return []

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        pools = snapshot.pools
        if isinstance(pools, Absent):
            return None
        rows = [row for pool in pools for row in _rows(pool.name, pool.servers)]
        text = "no pool is registered in this Redis"
        return Table(
            columns=_columns(view, several=len(pools) > 1),
            records=rows,
            key=lambda row: (row.pool, row.server.id),
            text=lambda row: f"{row.pool} {row.server.id} {row.server.address} {row.server.state}",
            empty=(((f" {view.glyphs.hollow} {text}", "absent"),),),
        )

    def mark(self, snapshot: Snapshot) -> Span:
        pools = snapshot.pools
        if isinstance(pools, Absent):
            return (" ", "muted") if pools.state is State.NOT_COLLECTED else ("!", "warning")
        troubled = any(
            server.overloaded or server.state in {"stale", "down"}
            for pool in pools
            for server in pool.servers
        )
        return ("!", "warning") if troubled else (" ", "muted")


def _rows(pool: str, servers: tuple[PoolServer, ...]) -> list[ServerRow]:
    known = [server.picks for server in servers if not isinstance(server.picks, Absent)]
    total = sum(known)
    none = Absent(State.NOT_COLLECTED, "nothing was picked yet")
    return [
        ServerRow(
            pool,
            server,
            none if isinstance(server.picks, Absent) or not total else 100 * server.picks / total,
        )
        for server in servers
    ]


def _columns(view: View, several: bool) -> tuple[Column[ServerRow], ...]:
    ascii_only = view.ascii_only

    def name(row: ServerRow) -> Span:
        text = f"{row.pool}/{row.server.id}" if several else row.server.id
        return (printable(text, ascii_only), "accent")

    def state(row: ServerRow) -> Span:
        server = row.server
        if server.overloaded and server.state == "ready":
            return ("overload", "warning")
        return (printable(server.state, ascii_only), STATE_STYLES.get(server.state, "text"))

    def load(value: Maybe[float], limit: float) -> Span:
        if isinstance(value, Absent):
            return missing(value)
        return (percent(value), "warning" if value > limit else "text")

    def shown(value: Maybe[Any], text: str) -> Span:
        return missing(value) if isinstance(value, Absent) else (text, "text")

    def order(value: Maybe[Any]) -> float:
        return -1.0 if isinstance(value, Absent) else float(value)

    return (
        Column("id", "server", 10, name, lambda r: (r.pool, r.server.id), "left", flex=True,
               descending=False),
        Column("state", "state", 8, state, lambda r: r.server.state, "left", descending=False),
        Column("cpu", "cpu%", 6, lambda r: load(r.server.cpu_usage, 80),
               lambda r: order(r.server.cpu_usage)),
        Column("mem", "mem%", 6, lambda r: load(r.server.memory_usage, 90),
               lambda r: order(r.server.memory_usage), spare=1),
        Column("rps", "requests", 8, lambda r: shown(r.server.requests_per_second,
               rate(r.server.requests_per_second)), lambda r: order(r.server.requests_per_second)),
        Column("inflight", "at work", 7, lambda r: shown(r.server.in_flight,
               count(r.server.in_flight)), lambda r: order(r.server.in_flight), spare=2),
        Column("share", "picks%", 6, lambda r: shown(r.share, percent(r.share)),
               lambda r: order(r.share), spare=1),
        Column("seen", "beat", 6, lambda r: (age(r.server.last_seen), "text" if
               r.server.last_seen <= 3 else "stale"), lambda r: r.server.last_seen, spare=3),
        Column("reason", "reason", 16, lambda r: (printable(r.server.reason, ascii_only), "muted"),
               None, "left", flex=True, spare=4),
    )  # fmt: skip
