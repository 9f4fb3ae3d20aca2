"""Cache: hit ratios of every tier, and the Redis server behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perftui.format import count, duration, percent, rate, ratio, size_short
from perftui.snapshot import Absent, HitRatio, Maybe, RedisServer, Snapshot, State
from perftui.text import printable
from perftui.tui.charts import HistoryChart, bar, level_style
from perftui.tui.lines import Line, Span
from perftui.tui.panes.pane import Pane, absent_lines, joined, missing, stale_span
from perftui.tui.table import Column, Table
from perftui.tui.view import View

POOR_RATIO = 0.5


@dataclass(frozen=True)
class TierRow:
    """One line of the table: a tier of a namespace, or the whole server."""

    group: str
    tier: str
    hit_ratio: HitRatio
    items: Maybe[int]
    size: Maybe[int]
    evictions_rate: Maybe[float]
    service: str = ""

    @property
    def name(self) -> str:
        """What the line is called."""
        return f"{self.group} {self.tier}".strip()


class CachePane(Pane):
    """Hit ratios over 10, 100 and 1000 seconds by tier; the server's counts all clients."""

    id = "cache"
    number = "4"
    title = "Cache"
    needs = frozenset({"redis", "services"})

    def __init__(self) -> None:
        self._chart = HistoryChart("hit ratio of the server, %")

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        redis = snapshot.redis
        if isinstance(redis, Absent):
            return ()
        parts: list[tuple[Span, ...]] = [
            stale_span(snapshot.status("redis")),
            ((printable(redis.address, view.ascii_only), "muted"),),
            ((f"{redis.flavour} {printable(redis.version)} {printable(redis.role)}", "muted"),),
        ]
        return joined(parts, view.glyphs.separator)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        redis = snapshot.redis
        if isinstance(redis, Absent):
            return absent_lines(redis, view)
        lines = [_memory_line(redis, view), _load_line(redis, view)]
        if view.zoomed and view.height >= 20:
            lines.append(((f" {self._chart.title}", "title"),))
            lines += self._chart.lines(
                view.history,
                "redis.hit_percent",
                view.interval,
                (view.width, min(16, view.height // 2)),
                (0.0, 100.0),
                view.glyphs,
            )
        return lines

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        rows = tier_rows(snapshot)
        if not rows:
            return None
        return Table(
            columns=_columns(view),
            records=rows,
            key=lambda row: (row.service, row.group, row.tier),
            text=lambda row: row.name,
        )

    def mark(self, snapshot: Snapshot) -> Span:
        redis = snapshot.redis
        if isinstance(redis, Absent):
            return (" ", "muted") if redis.state is State.NOT_COLLECTED else ("!", "critical")
        return (" ", "muted")


def tier_rows(snapshot: Snapshot) -> list[TierRow]:
    """Return the server first, then the tiers of every namespace as the services counted them."""
    rows: list[TierRow] = []
    redis = snapshot.redis
    if not isinstance(redis, Absent):
        rows.append(
            TierRow(
                "", "server", redis.hit_ratio, redis.keys, redis.memory_used, redis.evictions_rate
            )
        )
    rows += [
        TierRow(
            cache.namespace,
            tier.tier,
            tier.hit_ratio,
            tier.items,
            tier.size,
            tier.evictions_rate,
            service.name,
        )
        for service in snapshot.all_services
        for cache in service.caches
        for tier in cache.tiers
    ]
    return rows


def _columns(view: View) -> tuple[Column[TierRow], ...]:
    ascii_only = view.ascii_only

    def hits(value: Maybe[float]) -> Span:
        if isinstance(value, Absent):
            return missing(value)
        return (ratio(value), "warning" if value < POOR_RATIO else "text")

    def counted(value: Maybe[Any], text: str) -> Span:
        return missing(value) if isinstance(value, Absent) else (text, "text")

    return (
        Column(
            "name", "hit ratio %", 14,
            lambda r: (printable(r.name, ascii_only), "title" if r.tier == "overall" else "text"),
            lambda r: r.name, align="left", flex=True, descending=False,
        ),
        Column("10", "10 s", 6, lambda r: hits(r.hit_ratio.seconds_10),
               lambda r: _order(r.hit_ratio.seconds_10)),
        Column("100", "100 s", 6, lambda r: hits(r.hit_ratio.seconds_100),
               lambda r: _order(r.hit_ratio.seconds_100)),
        Column("1000", "1000 s", 6, lambda r: hits(r.hit_ratio.seconds_1000),
               lambda r: _order(r.hit_ratio.seconds_1000), spare=2),
        Column("items", "items", 7, lambda r: counted(r.items, count(r.items)),
               lambda r: _order(r.items)),
        Column("size", "bytes", 6, lambda r: counted(r.size, size_short(r.size)),
               lambda r: _order(r.size), spare=1),
        Column("evict", "evicted", 9, lambda r: counted(r.evictions_rate, rate(r.evictions_rate)),
               lambda r: _order(r.evictions_rate), spare=3),
    )  # fmt: skip


def _order(value: Maybe[float] | Maybe[int]) -> float:
    return -1.0 if isinstance(value, Absent) else float(value)


def _memory_line(redis: RedisServer, view: View) -> Line:
    used = size_short(redis.memory_used).strip()
    if redis.memory_limit is None:
        return (
            (" memory ", "muted"),
            (used, "text"),
            (" used, no maxmemory set", "muted"),
        )
    share = 100 * redis.memory_used / redis.memory_limit
    limit = size_short(redis.memory_limit).strip()
    gauge = bar(share, max(4, min(20, view.width - 48)), view.glyphs, level_style(share, 85, 97))
    return (
        (" memory ", "muted"),
        *gauge,
        (f" {percent(share)} ", "text"),
        ("% of ", "muted"),
        (f"{used}/{limit} ", "text"),
        (printable(redis.memory_policy), "muted"),
    )


def _load_line(redis: RedisServer, view: View) -> Line:
    parts: list[tuple[Span, ...]] = [
        ((" ping ", "muted"), (duration(redis.latency).strip(), "text")),
        ((_rate(redis.commands_rate), ("commands", "muted"))),
        ((_rate(redis.expirations_rate), ("expired", "muted"))),
        ((f"{redis.clients}", "text"), (" clients", "muted")),
    ]
    if redis.blocked_clients:
        parts.append(((f"{redis.blocked_clients} blocked", "warning"),))
    return joined(parts, view.glyphs.separator)


def _rate(value: Maybe[float]) -> Span:
    if isinstance(value, Absent):
        return ("- ", "absent")
    return (f"{rate(value).strip()} ", "text")
