"""The lines around the panes: header, gauges, alert lines, tabs and footer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perftui.format import byte_rate, clock, duration, percent, ratio, size_short
from perftui.snapshot import Absent, Snapshot, State
from perftui.text import cell_width, printable
from perftui.tui.actions import ActionSpec, shown_key
from perftui.tui.charts import bar, level_style
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span, columns_of, width_of
from perftui.tui.panes.alerts import alert_line
from perftui.tui.panes.pane import Pane, joined
from perftui.tui.panes.resources import CPU_LIMITS, MEMORY_LIMITS

COMPACT_ALERTS = 3
TAB_FRAME = 5
"""Cells of a tab beside its title: number, mark and the blanks between them."""


@dataclass(frozen=True)
class Notice:
    """A short message to the person, shown in the footer for a while."""

    text: str
    style: str
    until: float


def header_line(
    snapshot: Snapshot, width: int, glyphs: Glyphs, paused_at: float | None, extra: Line
) -> Line:
    """Return program, host, load, Redis, services and time; while paused a banner instead."""
    ascii_only = glyphs.chart == "ascii"
    separator = glyphs.separator
    right: Line = ((f" {clock(snapshot.time)} ", "text"),)
    if paused_at is not None:
        text = (
            f" PAUSED at {clock(paused_at)} {separator} sampling goes on {separator} space resumes "
        )
        return columns_of(((" perftui ", "badge"), (" ", "text"), (text, "paused")), (), width, "")
    host: list[tuple[Span, ...]] = []
    if not isinstance(snapshot.host, Absent):
        host.append(((printable(snapshot.host.name, ascii_only), "title"),))
        host.append(((f"up {duration(snapshot.host.uptime).strip()}", "muted"),))
    cpu = snapshot.resources.cpu
    if not isinstance(cpu, Absent) and not isinstance(cpu.load, Absent):
        host.append((("load ", "muted"), (" ".join(f"{v:.2f}" for v in cpu.load), "text")))
    left: list[Span] = [(" perftui ", "badge"), (" ", "text"), *joined(host, separator)]
    parts = [
        part for part in (_redis(snapshot, glyphs), _services(snapshot, glyphs), extra) if part
    ]
    if parts:
        middle = joined(parts, " ")
        if width_of(left) + width_of(middle) + width_of(right) + 2 <= width:
            right = (*middle, ("  ", "text"), *right)
    return columns_of(tuple(left), right, width, glyphs.ellipsis)


def _redis(snapshot: Snapshot, glyphs: Glyphs) -> tuple[Span, ...]:
    redis = snapshot.redis
    if isinstance(redis, Absent):
        if redis.state is State.NOT_COLLECTED:
            return ()
        return (("redis ", "muted"), (f"{glyphs.cross} {redis.state.value}", "critical"))
    status = snapshot.status("redis")
    if status is not None and status.state is State.STALE:
        return (("redis ", "muted"), (f"{glyphs.hollow} stale", "stale"))
    return (
        ("redis ", "muted"),
        (glyphs.bullet, "ok"),
        (f" {duration(redis.latency).strip()}", "text"),
    )


def _services(snapshot: Snapshot, glyphs: Glyphs) -> tuple[Span, ...]:
    services = snapshot.services
    if isinstance(services, Absent):
        return ()
    spans: list[Span] = []
    for service in services[:3]:
        fresh = service.processes > 0
        mark = (glyphs.bullet, "ok") if fresh else (glyphs.hollow, "stale")
        name = printable(service.name, glyphs.chart == "ascii")
        noun = "process" if service.processes == 1 else "processes"
        spans += [(f"{name} ", "muted"), mark, (f" {service.processes} {noun} ", "text")]
    return tuple(spans)


def gauges_line(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Line:
    """Return CPU, memory and hit ratio in one line, for small terminals."""
    cpu, memory, redis = snapshot.resources.cpu, snapshot.resources.memory, snapshot.redis
    cpu_value = None if isinstance(cpu, Absent) or isinstance(cpu.percent, Absent) else cpu.percent
    memory_value = None if isinstance(memory, Absent) else memory.percent
    gauge = max(6, (width - 50) // 2)
    spans: list[Span] = []
    for label, value, limits in (
        (" CPU ", cpu_value, CPU_LIMITS),
        (" MEM ", memory_value, MEMORY_LIMITS),
    ):
        style = "bar" if value is None else level_style(value, *limits)
        spans += [(label, "title"), *bar(value, gauge, glyphs, style)]
        spans += [(f" {percent(value)} ", "text"), ("%", "muted")]
    if not isinstance(redis, Absent):
        hits = redis.hit_ratio.seconds_10
        shown = "-" if isinstance(hits, Absent) else f"{ratio(hits).strip()} %"
        spans += [("  hit ", "muted"), (shown, "text")]
    elif redis.state is not State.NOT_COLLECTED:
        spans += [("  redis ", "muted"), (redis.state.value, "critical")]
    return tuple(spans)


def compact_alerts(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Line]:
    """Return at most three lines, one for each firing alert."""
    alerts = snapshot.alerts
    lines = [alert_line(alert, width, glyphs) for alert in alerts[:COMPACT_ALERTS]]
    hidden = len(alerts) - COMPACT_ALERTS
    if hidden > 0:
        more: Line = ((f" +{hidden} more, 2 shows all", "muted"),)
        lines[-1] = columns_of(lines[-1], more, width, glyphs.ellipsis)
    return lines


def tabs_line(panes: Sequence[Pane], active: str, snapshot: Snapshot, width: int) -> Line:
    """Return the tab strip: each pane with a mark of its state, titles cut where it is narrow."""
    whole = sum(cell_width(pane.title) + TAB_FRAME for pane in panes) + 1 <= width
    room = 1000 if whole else max(3, (width - 1) // len(panes) - TAB_FRAME)
    spans: list[Span] = [(" ", "text")]
    for pane in panes:
        mark, mark_style = pane.mark(snapshot)
        title = pane.title[:room]
        if pane.id == active:
            spans.append((f" {pane.number} {title}{mark} ", "selected"))
        else:
            spans += [(f" {pane.number} ", "key"), (title, "key-label"), (f"{mark} ", mark_style)]
    return tuple(spans)


def footer_line(
    actions: Sequence[ActionSpec],
    remapped: Mapping[str, str],
    snapshot: Snapshot,
    width: int,
    glyphs: Glyphs,
    notice: Notice | None,
) -> Line:
    """Return the keys that work now and, at the right, what the monitor itself costs."""
    cost = snapshot.monitor
    own: list[Span] = []
    if not isinstance(cost.cpu_percent, Absent):
        own.append((f"{cost.cpu_percent:.1f}%", "own"))
    if not isinstance(cost.terminal_rate, Absent):
        own.append((f" {byte_rate(cost.terminal_rate).strip()}", "muted"))
    if not isinstance(cost.memory_rss, Absent):
        own.append((f" {size_short(cost.memory_rss).strip()}", "muted"))
    if cost.late_samples:
        own.append((f" {cost.late_samples} late", "warning"))
    own.append((" ", "text"))
    if notice is not None:
        left: Line = ((f" {printable(notice.text, glyphs.chart == 'ascii')}", notice.style),)
        return columns_of(left, tuple(own), width, glyphs.ellipsis)
    room = width - width_of(own) - 1
    spans: list[Span] = [(" ", "text")]
    taken = 1
    for action in (a for a in actions if a.label):
        key, label = shown_key(action, remapped), action.label
        needed = len(key) + len(label) + 3
        if taken + needed > room:
            continue
        spans += [(key, "key"), (f" {label}  ", "key-label")]
        taken += needed
    return columns_of(tuple(spans), tuple(own), width, glyphs.ellipsis)
