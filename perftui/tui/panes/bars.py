"""The lines around the panes: header, gauges, alert lines, tabs and footer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perftui.format import byte_rate, clock, duration, percent, ratio, size_short
from perftui.snapshot import Absent, Severity, Snapshot, State
from perftui.text import cell_width, fit, printable
from perftui.tui.actions import ActionSpec, shown_key
from perftui.tui.charts import bar, level_style
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span, columns_of, width_of
from perftui.tui.panes.alert_lines import alert_line
from perftui.tui.panes.alert_marks import SEVERITY_WORDS, pane_mark, rank
from perftui.tui.panes.pane import Pane, joined
from perftui.tui.panes.resources import CPU_LIMITS, MEMORY_LIMITS

COMPACT_ALERTS = 3
MOST_SERVICES = 4
"""Services that the header names."""
NAME_WIDTH = 24
TAB_FRAME = 5
"""Cells of a tab beside its title: number, mark and the blanks between them."""


@dataclass(frozen=True)
class Notice:
    """A short message to the person, shown in the footer for a while."""

    text: str
    style: str
    until: float


def header_line(
    snapshot: Snapshot,
    width: int,
    glyphs: Glyphs,
    paused_at: float | None,
    extra: Line,
    alone: bool = False,
) -> Line:
    """Return program, host, load, Redis, services and time; while paused a banner instead.

    With one pane `alone` on the screen the alerts that fire are counted beside the time.
    """
    ascii_only = glyphs.chart == "ascii"
    separator = glyphs.separator
    counted = firing_counts(snapshot, glyphs) if alone else ()
    right: Line = (*counted, (f" {clock(snapshot.time)} ", "text"))
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
    redis = _redis(snapshot, glyphs)
    for services in _services(snapshot, glyphs):
        middle = joined([part for part in (redis, services, extra) if part], " ")
        if middle and width_of(left) + width_of(middle) + width_of(right) + 2 <= width:
            right = (*middle, ("  ", "text"), *right)
            break
    return columns_of(tuple(left), right, width, glyphs.ellipsis)


def firing_counts(snapshot: Snapshot, glyphs: Glyphs) -> Line:
    """Return how many alerts of each severity ask for a look; empty where none does."""
    spans: list[Span] = []
    for severity, shape, style in (
        (Severity.CRITICAL, glyphs.bullet, "critical"),
        (Severity.WARNING, glyphs.warning, "warning"),
    ):
        count = sum(alert.severity is severity for alert in snapshot.firing)
        if count:
            spans.append((f" {shape} {count} {SEVERITY_WORDS[severity]} ", style))
    return tuple(spans)


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


def _services(snapshot: Snapshot, glyphs: Glyphs) -> list[tuple[Span, ...]]:
    """Return the services in ever fewer words: each with its processes, or all in one sum."""
    services = snapshot.all_services
    if not services:
        return [()]
    total = sum(service.processes for service in services)
    spans: list[Span] = []
    for service in services:
        name = fit_name(printable(service.name, glyphs.chart == "ascii"), glyphs)
        spans += [(f"{name} ", "muted"), _live(service.processes, glyphs)]
        noun = "" if len(services) > 1 else " process" if total == 1 else " processes"
        spans.append((f" {service.processes}{noun} ", "text"))
    silent = sum(not service.processes for service in services)
    short: list[Span] = [
        (f"{len(services)} services ", "muted"),
        _live(len(services) - silent, glyphs),
        (f" {total} ", "text"),
    ]
    if silent:
        short.append((f"{silent} silent ", "stale"))
    variants = [tuple(spans)] if len(services) <= MOST_SERVICES else []
    return [*variants, *([tuple(short)] if len(services) > 1 else []), ()]


def _live(processes: int, glyphs: Glyphs) -> Span:
    return (glyphs.bullet, "ok") if processes else (glyphs.hollow, "stale")


def fit_name(name: str, glyphs: Glyphs) -> str:
    """Return a name of bounded width."""
    return (
        name if cell_width(name) <= NAME_WIDTH else fit(name, NAME_WIDTH, "left", glyphs.ellipsis)
    )


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
    """Return at most three lines, one for each firing alert that asks for a look."""
    alerts = sorted(snapshot.firing, key=rank)
    lines = [alert_line(alert, width, glyphs, snapshot.time) for alert in alerts[:COMPACT_ALERTS]]
    hidden = len(alerts) - COMPACT_ALERTS
    if hidden > 0:
        more: Line = ((f" +{hidden} more, 2 shows all", "muted"),)
        lines[-1] = columns_of(lines[-1], more, width, glyphs.ellipsis)
    return lines


def tabs_line(panes: Sequence[Pane], active: str, snapshot: Snapshot, width: int) -> Line:
    """Return the tab strip: each pane with a mark of its state, titles shorter where it is narrow.

    The longest titles give way to their short forms first.
    """
    titles = {pane.id: pane.title for pane in panes}
    for pane in sorted(panes, key=lambda pane: -len(pane.title)):
        if sum(len(title) + TAB_FRAME for title in titles.values()) + 1 <= width:
            break
        titles[pane.id] = pane.tab or pane.title
    whole = sum(len(title) + TAB_FRAME for title in titles.values()) + 1 <= width
    room = 1000 if whole else max(3, (width - 1) // len(panes) - TAB_FRAME)
    spans: list[Span] = [(" ", "text")]
    for pane in panes:
        mark, mark_style = pane_mark(snapshot, pane.id) or pane.mark(snapshot)
        title = titles[pane.id][:room]
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
