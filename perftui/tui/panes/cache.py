"""Cache: hit ratios of every tier, coherence, and the Redis server behind them."""

from __future__ import annotations

from typing import Any

from perftui.format import rate_short
from perftui.snapshot import Absent, Service, SlowCommand, Snapshot, State
from perftui.text import printable
from perftui.tui.cache_view import CACHE_VIEWS, FIRST_SORT
from perftui.tui.lines import Line, Span
from perftui.tui.panes.cache_charts import courses
from perftui.tui.panes.cache_coherence import heading_part, rank, summarise, tiers_word
from perftui.tui.panes.cache_columns import tier_columns
from perftui.tui.panes.cache_detail import tier_detail
from perftui.tui.panes.cache_prefixes import prefix_lines, prefix_table
from perftui.tui.panes.cache_processes import ProcessRow, process_detail, process_table
from perftui.tui.panes.cache_redis import (
    command_table,
    error_table,
    slow_detail,
    slow_note,
    slow_table,
)
from perftui.tui.panes.cache_rows import (
    CacheGroup,
    TierRow,
    all_tiers,
    cache_groups,
    find_tier,
    server_row,
    urgent_tiers,
)
from perftui.tui.panes.cache_server import load_line, memory_line, server_detail
from perftui.tui.panes.course_charts import LEAST_CHART, CourseCharts
from perftui.tui.panes.operation_columns import SteadyValues
from perftui.tui.panes.pane import Pane, absent_lines, joined, stale_span
from perftui.tui.table import Table
from perftui.tui.view import View

LEAST_TABLE = 6
"""Lines that the table keeps in a zoom, its heading included."""
MOST_DETAIL = 8
NO_CACHES = "no cache is reported: Reporter(..., caches=manager)"


class CachePane(Pane):
    """Hit ratios over 10, 100 and 1000 seconds by tier; the server's counts all clients."""

    id = "cache"
    number = "4"
    title = "Cache"
    needs = frozenset({"redis", "services"})
    zoom_needs = frozenset({"redis_detail"})
    default_sort = FIRST_SORT["namespaces"]
    follows_cursor = True

    def __init__(self) -> None:
        self._charts = CourseCharts()
        self._values = SteadyValues()
        self._grouped: tuple[object, ...] = ()
        self._groups: tuple[CacheGroup, ...] = ()

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        groups = self._group(snapshot)
        redis = snapshot.redis
        parts: list[tuple[Span, ...]] = [stale_span(snapshot.status("redis"))]
        if groups:
            parts += _caches(groups, view)
        if not isinstance(redis, Absent) and (view.zoomed or not groups):
            who = f"{redis.flavour} {redis.version} {redis.role}"
            parts.append(((printable(redis.address, view.ascii_only), "muted"),))
            parts.append(((printable(who, view.ascii_only), "muted"),))
        return joined(parts, view.glyphs.separator)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        groups = self._group(snapshot)
        lines = self._server(snapshot, view, bool(groups))
        if not view.zoomed:
            return lines
        detail = self._detail(snapshot, view)
        strip = [_strip(snapshot, view)]
        records = self._table(snapshot, view)
        rows = len(records.records) or len(records.empty)
        below = min(rows + 1, max(LEAST_TABLE, view.height * 2 // 5))
        room = view.height - len(lines) - len(strip) - below
        most = min(MOST_DETAIL, room - 1)
        # Where there is no room for both, what the cursor is on tells more than the courses.
        if room - most < LEAST_CHART <= room - 5:
            most = room - LEAST_CHART
        detail = detail[: max(0, most)]
        if detail and view.selected is not None:
            # The table must not move when the cursor goes to a row that has less to tell.
            detail += [()] * (most - len(detail))
        shown = self._courses(groups, snapshot, view)
        charts = self._charts.lines(shown, view, room - len(detail))
        return [*lines, *charts, *detail, *strip]

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        if not view.zoomed and not self._group(snapshot) and isinstance(snapshot.redis, Absent):
            return None
        return self._table(snapshot, view)

    def mark(self, snapshot: Snapshot) -> Span:
        redis = snapshot.redis
        groups = self._group(snapshot)
        summary = summarise(groups)
        if summary is not None and rank(summary.worst) == 0:
            return ("!", "critical")
        if isinstance(redis, Absent):
            return (" ", "muted") if redis.state is State.NOT_COLLECTED else ("!", "critical")
        if summary is not None and not isinstance(summary.worst, Absent) and summary.worst.fix:
            return ("!", "warning")
        return (" ", "muted")

    def _group(self, snapshot: Snapshot) -> tuple[CacheGroup, ...]:
        """Return the namespaces; the same ones until a source has read anew."""
        cause = (snapshot.services, snapshot.scrape, snapshot.prometheus)
        if len(cause) != len(self._grouped) or any(
            new is not old for new, old in zip(cause, self._grouped, strict=True)
        ):
            self._grouped = cause
            self._groups = cache_groups(snapshot, self._values)
        return self._groups

    def _server(self, snapshot: Snapshot, view: View, caches: bool) -> list[Line]:
        redis = snapshot.redis
        if isinstance(redis, Absent):
            lines = absent_lines(redis, view)
            return lines[: max(2, view.height // 4)] if caches else lines
        lines = [memory_line(redis, view), load_line(redis, view)]
        if not caches and view.height >= 6:
            lines.append(((f" {view.glyphs.hollow} {NO_CACHES}", "absent"),))
        return lines

    def _table(self, snapshot: Snapshot, view: View) -> Table[Any]:
        groups = self._group(snapshot)
        by = view.cache.by if view.zoomed else "namespaces"
        if by == "processes":
            return process_table(groups, view)
        if by == "commands":
            return command_table(snapshot, view)
        if by == "slow":
            return slow_table(snapshot, view)
        if by == "errors":
            return error_table(snapshot, view)
        if by == "prefixes":
            return prefix_table(view)
        server = server_row(snapshot.redis)
        if view.zoomed:
            rows = all_tiers(groups, server)
        else:
            head = len(self._server(snapshot, view, bool(groups)))
            rows = urgent_tiers(groups, server, view.height - head - 1)
        return Table(
            columns=tier_columns(rows, view),
            records=rows,
            key=lambda row: row.key,
            text=lambda row: (
                f"{row.service.name if row.service else ''} {row.name} {row.tier.tier}"
            ),
        )

    def _detail(self, snapshot: Snapshot, view: View) -> list[Line]:
        row = view.selected
        if isinstance(row, TierRow):
            if row.namespace is None:
                redis = snapshot.redis
                return [] if isinstance(redis, Absent) else server_detail(redis, view)
            return tier_detail(row, view, snapshot.time)
        if isinstance(row, ProcessRow):
            return process_detail(row, view, snapshot.time)
        if isinstance(row, SlowCommand):
            return slow_detail(row, view, snapshot.time)
        if view.cache.by == "prefixes":
            return prefix_lines(snapshot, view)
        return []

    def _courses(
        self, groups: tuple[CacheGroup, ...], snapshot: Snapshot, view: View
    ) -> tuple[Any, ...]:
        row = view.selected
        chosen: TierRow | None = row if isinstance(row, TierRow) else None
        if isinstance(row, ProcessRow):
            group = CacheGroup(row.service, row.namespace)
            chosen = next((r for r in group.rows if r.tier.tier == "overall"), None)
        elif chosen is None and groups:
            chosen = next((r for r in groups[0].rows if r.tier.tier == "overall"), None)
        return courses(chosen, view.cache.by, view)


def _caches(groups: tuple[CacheGroup, ...], view: View) -> list[tuple[Span, ...]]:
    """Return whose caches these are, their tiers and coherence; what is wrong comes first."""
    services: dict[tuple[str, str], Service] = {}
    for group in groups:
        services[group.service.origin, group.service.name] = group.service
    names = [printable(service.name, view.ascii_only) for service in services.values()]
    who = ", ".join(names) if len(names) <= 2 else f"{len(names)} services"
    named: list[tuple[Span, ...]] = [((who, "muted"),)]
    if word := tiers_word(groups):
        named.append(((word, "muted"),))
    summary = summarise(groups)
    coherence = [heading_part(summary, view)] if summary is not None else []
    urgent = summary is not None and rank(summary.worst) < 2
    parts = [*coherence, *named] if urgent else [*named, *coherence]
    errors = 0.0
    for group in groups:
        tiers = group.namespace.tiers
        tier = find_tier(tiers, "overall")
        if tier is None or isinstance(tier.errors_rate, Absent):
            tier = find_tier(tiers, "redis")
        if tier is not None and not isinstance(tier.errors_rate, Absent):
            errors += tier.errors_rate
    if errors > 0:
        text = f"{view.glyphs.warning} {rate_short(errors).strip()} errors/s"
        parts.insert(1 if urgent else 0, ((text, "warning"),))
    return parts


def _strip(snapshot: Snapshot, view: View) -> Line:
    """Return the views with the one that is shown, and what is to be known about it."""
    spans: list[Span] = [(" ", "text")]
    for by, title in CACHE_VIEWS.items():
        spans.append((f" {title} ", "badge" if by == view.cache.by else "muted"))
    note = ""
    if view.cache.by == "slow":
        note = slow_note(snapshot.redis_detail)
    if note:
        spans.append((f"  {note}", "text"))
    return tuple(spans)
