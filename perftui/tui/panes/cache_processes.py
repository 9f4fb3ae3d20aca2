"""The caches by process: which one is out of step, full, or misses more than the others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from perftui.format import duration
from perftui.snapshot import Absent, CacheNamespace, CacheProcess, Service, State
from perftui.text import printable
from perftui.tui.lines import Line, Span
from perftui.tui.panes.cache_cells import (
    counted,
    hits,
    nearness,
    order,
    per_second,
    short_size,
    whole_percent,
)
from perftui.tui.panes.cache_coherence import coherence_lines, rank, state_span
from perftui.tui.panes.cache_rows import CacheGroup, find_tier
from perftui.tui.panes.flowing import flowing
from perftui.tui.panes.pane import missing
from perftui.tui.table import Column, Table
from perftui.tui.view import View

_SILENT = 9


@dataclass(frozen=True)
class ProcessRow:
    """One process of one namespace; `place` is its number in the order of urgency."""

    process: CacheProcess
    namespace: CacheNamespace
    service: Service
    place: int = 0

    @property
    def key(self) -> Hashable:
        """What stays the same from reading to reading."""
        service = self.service
        return (service.origin, service.name, self.namespace.namespace, self.process.instance)


def process_rows(groups: Sequence[CacheGroup]) -> list[ProcessRow]:
    """Return each process of each namespace, those whose memory tier is not in step first."""
    rows = [
        ProcessRow(process, group.namespace, group.service)
        for group in groups
        for process in group.namespace.processes
    ]
    rows.sort(key=lambda row: _urgency(row.process))
    return [replace(row, place=place) for place, row in enumerate(rows)]


def _urgency(process: CacheProcess) -> int:
    return rank(process.coherence) if process.state is State.OK else _SILENT


def process_table(groups: Sequence[CacheGroup], view: View) -> Table[ProcessRow]:
    """Return the table of all processes of all namespaces."""
    text = "no service tells of its processes' caches: Reporter(..., caches=manager) in it"
    return Table(
        columns=_columns(view),
        records=process_rows(groups),
        key=lambda row: row.key,
        text=lambda row: (
            f"{row.process.instance} {row.process.host} {row.namespace.namespace} "
            f"{row.service.name}"
        ),
        empty=(((f" {view.glyphs.hollow} {text}", "absent"),),),
    )


def process_name(process: CacheProcess, view: View) -> str:
    """Return how a process is called: its id in the system where that is known."""
    if isinstance(process.pid, Absent):
        return printable(process.instance, view.ascii_only)
    return f"pid {process.pid}"


def _columns(view: View) -> tuple[Column[ProcessRow], ...]:
    ascii_only = view.ascii_only

    def tier(row: ProcessRow, name: str) -> float:
        found = find_tier(row.process.tiers, name)
        return -1.0 if found is None else order(found.hit_ratio.seconds_100)

    def ratio_of(name: str, title: str) -> Column[ProcessRow]:
        def cell(row: ProcessRow) -> Span:
            found = find_tier(row.process.tiers, name)
            if found is None:
                return ("-", "absent")
            return hits(found.hit_ratio.seconds_100, marked=name == "overall")

        return Column(name, title, len(title) + 1, cell, lambda row: tier(row, name))

    def state(row: ProcessRow) -> Span:
        if row.process.state is not State.OK:
            return (f"{view.glyphs.hollow} {row.process.state.value}", "stale")
        return state_span(row.process.coherence, view)

    def lag(row: ProcessRow) -> Span:
        coherence = row.process.coherence
        if isinstance(coherence, Absent):
            return missing(coherence)
        if isinstance(coherence.lag, Absent):
            return missing(coherence.lag)
        return (duration(coherence.lag), "text")

    def lag_order(row: ProcessRow) -> float:
        coherence = row.process.coherence
        return -1.0 if isinstance(coherence, Absent) else order(coherence.lag)

    def redis(row: ProcessRow) -> Span:
        answers = row.process.redis_answers
        if isinstance(answers, Absent):
            return missing(answers)
        return ("yes", "ok") if answers else (f"{view.glyphs.cross} no", "critical")

    def memory(row: ProcessRow) -> _Memory:
        return _Memory(row)

    return (
        Column("process", "process", 11,
               lambda r: (process_name(r.process, view), "accent"),
               lambda r: r.place, "left", flex=True, most=28, descending=False),
        Column("host", "host", 8, lambda r: (printable(r.process.host, ascii_only), "muted"),
               lambda r: r.process.host, "left", flex=True, most=20, spare=5, descending=False),
        Column("namespace", "cache", 8,
               lambda r: (printable(r.namespace.namespace, ascii_only), "text"),
               lambda r: r.namespace.namespace, "left", flex=True, most=32, descending=False),
        Column("coherence", "coherence", 9, state, lambda r: _urgency(r.process), "left",
               descending=False),
        Column("lag", "lag", 7, lag, lag_order, spare=1),
        Column("answers", "redis", 5, redis, lambda r: r.process.redis_answers is False, spare=4),
        ratio_of("memory", "memory%"),
        ratio_of("redis", "redis%"),
        ratio_of("overall", "all%"),
        Column("items", "items", 6, lambda r: counted(memory(r).items),
               lambda r: order(memory(r).items), spare=3),
        Column("bytes", "bytes", 5, lambda r: short_size(memory(r).size),
               lambda r: order(memory(r).size), spare=2),
        Column("full", "full%", 5, lambda r: whole_percent(memory(r).nearness),
               lambda r: order(memory(r).nearness), spare=6),
        Column("evictions", "evict/s", 7, lambda r: per_second(memory(r).evictions),
               lambda r: order(memory(r).evictions), spare=7),
        Column("errors", "err/s", 5, lambda r: per_second(memory(r).errors, bad=True),
               lambda r: order(memory(r).errors), spare=6),
    )  # fmt: skip


class _Memory:
    """The numbers of the memory tier of a process, and the errors of its Redis tier."""

    def __init__(self, row: ProcessRow) -> None:
        absent = row.process.coherence if isinstance(row.process.coherence, Absent) else _NO_TIER
        tier = find_tier(row.process.tiers, "memory")
        redis = find_tier(row.process.tiers, "redis")
        self.items = absent if tier is None else tier.items
        self.size = absent if tier is None else tier.size
        self.nearness = absent if tier is None else nearness(tier)
        self.evictions = absent if tier is None else tier.evictions_rate
        self.errors = absent if redis is None else redis.errors_rate


_NO_TIER = Absent(State.NOT_COLLECTED, "the process has no such tier")


def process_detail(row: ProcessRow, view: View, now: float) -> list[Line]:
    """Return what is known of one process of a namespace."""
    process, ascii_only = row.process, view.ascii_only
    where = f"{process_name(process, view)} on {printable(process.host, ascii_only)}"
    cache = f"{printable(row.service.name, ascii_only)}, "
    cache += printable(row.namespace.namespace, ascii_only)
    lines: list[Line] = [((f" {where}", "title"), (f"  {cache}", "muted"))]
    if process.state is not State.OK:
        text = f"{process.state.value}: it has been silent for too long, the numbers are its last"
        lines.append(((f" {text}", "stale"),))
    parts: list[tuple[Span, ...]] = []
    for tier in process.tiers:
        ratio = tier.hit_ratio
        spans: list[Span] = [(f"{printable(tier.tier, ascii_only)} ", "muted")]
        for value in (ratio.seconds_10, ratio.seconds_100, ratio.seconds_1000):
            text, style = hits(value)
            spans += [(text.strip(), style), (" ", "text")]
        parts.append((*spans[:-1], (" %", "muted")))
    if parts:
        lines += flowing(parts, view)
    if not isinstance(process.redis_answers, Absent) and not process.redis_answers:
        text = "Redis does not answer this process: reads fail open, writes stay in memory"
        lines.append(((f" {view.glyphs.cross} {text}", "critical"),))
    return [*lines, *coherence_lines(process.coherence, view, now)]
