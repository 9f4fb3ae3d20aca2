"""The columns of the table of cache tiers."""

from __future__ import annotations

from collections.abc import Callable

from perftui.snapshot import Absent, Maybe, State
from perftui.text import printable
from perftui.tui.lines import Span
from perftui.tui.panes.cache_cells import (
    counted,
    hits,
    nearness,
    order,
    per_second,
    short_size,
    whole_percent,
)
from perftui.tui.panes.cache_rows import SERVER, TIERS, TierRow
from perftui.tui.table import Column
from perftui.tui.view import View

NARROW = 70
"""Width below which columns are as narrow as their numbers."""
MOST_NAME = 40
"""Cells of a name, so that the numbers do not stand far away from it."""


_ELSEWHERE = Absent(State.NOT_COLLECTED, "loads are counted for all tiers together")


def _limit(value: Maybe[int], cell: Callable[[Maybe[int]], Span]) -> Span:
    text, style = cell(value)
    return (text, "muted" if style == "text" else style)


def tier_columns(rows: list[TierRow], view: View) -> tuple[Column[TierRow], ...]:
    """Return the columns; the service's name stands before a cache where there are several."""
    ascii_only = view.ascii_only
    services = {(row.service.origin, row.service.name) for row in rows if row.service}

    def name(row: TierRow) -> str:
        text = printable(row.name, ascii_only)
        if row.service is not None and len(services) > 1:
            return f"{printable(row.service.name, ascii_only)} {text}"
        return text

    def name_cell(row: TierRow) -> Span:
        if row.tier.tier == SERVER:
            return (name(row), "accent")
        return (name(row), "title" if row.tier.tier == "overall" else "muted")

    def tier(row: TierRow) -> Span:
        text = printable(row.tier.tier, ascii_only)
        return (text, "title" if row.tier.tier in ("overall", SERVER) else "text")

    def ratio(row: TierRow, value: Maybe[float]) -> Span:
        return hits(value, marked=row.tier.tier == "overall")

    def loads(row: TierRow) -> Maybe[float]:
        # Loads happen once for all tiers, so they stand in the row of all tiers.
        if row.namespace is None or row.tier.tier != "overall":
            return _ELSEWHERE
        return row.namespace.loads_rate

    narrow = view.width < NARROW
    order_of_tiers = {tier: place for place, tier in enumerate((*TIERS, SERVER))}
    return (
        Column("cache", "cache", 12, name_cell, lambda r: r.place, "left", flex=True,
               most=MOST_NAME, descending=False),
        Column("tier", "tier", 7, tier, lambda r: order_of_tiers.get(r.tier.tier, 9), "left",
               descending=False),
        Column("10", "10 s", 5, lambda r: ratio(r, r.tier.hit_ratio.seconds_10),
               lambda r: order(r.tier.hit_ratio.seconds_10)),
        Column("100", "100 s", 5 if narrow else 6, lambda r: ratio(r, r.tier.hit_ratio.seconds_100),
               lambda r: order(r.tier.hit_ratio.seconds_100)),
        Column("1000", "1000 s", 6, lambda r: ratio(r, r.tier.hit_ratio.seconds_1000),
               lambda r: order(r.tier.hit_ratio.seconds_1000), spare=3),
        Column("items", "items", 6, lambda r: counted(r.tier.items),
               lambda r: order(r.tier.items), spare=2),
        Column("items_limit", "of", 6, lambda r: _limit(r.tier.items_limit, counted),
               lambda r: order(r.tier.items_limit), spare=9),
        Column("bytes", "bytes", 5, lambda r: short_size(r.tier.size),
               lambda r: order(r.tier.size), spare=1),
        Column("size_limit", "of", 5, lambda r: _limit(r.tier.size_limit, short_size),
               lambda r: order(r.tier.size_limit), spare=9),
        Column("full", "full%", 5, lambda r: whole_percent(nearness(r.tier)),
               lambda r: order(nearness(r.tier)), spare=6),
        Column("evictions", "evict" if narrow else "evict/s", 5 if narrow else 7,
               lambda r: per_second(r.tier.evictions_rate),
               lambda r: order(r.tier.evictions_rate), spare=4),
        Column("expirations", "expir/s", 7, lambda r: per_second(r.tier.expirations_rate),
               lambda r: order(r.tier.expirations_rate), spare=8),
        Column("errors", "err/s", 5, lambda r: per_second(r.tier.errors_rate, bad=True),
               lambda r: order(r.tier.errors_rate), spare=5),
        Column("lookups", "look/s", 6, lambda r: per_second(r.tier.lookups_rate),
               lambda r: order(r.tier.lookups_rate), spare=7),
        Column("loads", "load/s", 6, lambda r: per_second(loads(r)),
               lambda r: order(loads(r)), spare=10),
    )  # fmt: skip
