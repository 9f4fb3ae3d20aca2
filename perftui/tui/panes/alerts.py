"""Alerts: what is wrong now, since when, and the next step; below it what was wrong before."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

from perftui.snapshot import Absent, Alert, AlertEvent, AlertState, Snapshot, State
from perftui.text import printable
from perftui.tui.charts import CHART_SECONDS, HistoryChart
from perftui.tui.lines import Line, Span
from perftui.tui.panes.alert_detail import detail_lines, event_detail, surroundings
from perftui.tui.panes.alert_lines import (
    FULL,
    MESSAGES,
    ONE_LINE,
    alert_block,
    event_line,
)
from perftui.tui.panes.alert_marks import (
    SEVERITY_WORDS,
    alert_key,
    event_key,
    in_sight,
    rank,
    state_mark,
    worst_style,
)
from perftui.tui.panes.alert_series import find_series
from perftui.tui.panes.pane import Pane, joined
from perftui.tui.table import Blocks, Table
from perftui.tui.view import View

MOST_EVENTS = 200
LEAST_LIST = 5
"""Lines that the list keeps in a zoom."""
LEAST_CHART, MOST_CHART = 7, 16
"""Lines of the chart with its title."""


class AlertsPane(Pane):
    """Alerts that are not ok, the most urgent first, and the intervals of the past.

    Zoomed with all that is known of the selected one and the course of its value.
    """

    id = "alerts"
    number = "2"
    title = "Alerts"
    follows_cursor = True

    def __init__(self, titles: Mapping[str, str] | None = None) -> None:
        self._titles = dict(titles or {})
        self._chart = HistoryChart("value")

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        firing = snapshot.firing
        rest = [alert for alert in snapshot.alerts if not alert.quiet]
        parts: list[tuple[Span, ...]] = []
        if firing:
            parts.append(((f"{len(firing)} firing", worst_style(firing)),))
        for state, word, style in (
            (AlertState.PENDING, "pending", "accent"),
            (AlertState.RECOVERING, "recovering", "ok"),
            (AlertState.NODATA, "no data", "stale"),
        ):
            count = sum(alert.state is state for alert in rest)
            if count:
                parts.append(((f"{count} {word}", style),))
        quiet = sum(alert.quiet and not alert.informs for alert in snapshot.alerts)
        if quiet:
            parts.append(((f"{quiet} quiet", "muted"),))
        informing = sum(alert.informs and in_sight(alert) for alert in snapshot.alerts)
        if informing:
            parts.append(((f"{informing} for information", "muted"),))
        if not firing:
            parts.insert(0, (("none firing", "muted"),))
        return joined(parts, view.glyphs.separator)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        records = _records(snapshot)
        if not view.zoomed:
            return _all_well(snapshot, view) if all(map(_informs, records)) else []
        if not records:
            return _all_well(snapshot, view)
        record = view.selected
        if isinstance(record, AlertEvent):
            lines = event_detail(record, snapshot, view)
        elif isinstance(record, Alert):
            lines = detail_lines(record, snapshot, view)
        else:
            return []
        room = max(view.height * 2 // 5, view.height - self._list_room(snapshot, view))
        around: list[Line] = []
        if isinstance(record, Alert):
            around = surroundings(record, snapshot, view, self._titles)
        chart = self._course(record, snapshot, view, room - len(lines) - len(around) - 1)
        return _above_list([*lines, *chart, *around], max(2, room) - 1)

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        records = _records(snapshot)
        if not records:
            return None
        now = snapshot.time
        detail = ONE_LINE if view.zoomed else self._detail(records, view, now)

        def lines(record: Alert | AlertEvent) -> list[Line]:
            if isinstance(record, Alert):
                return alert_block(record, view, detail, now)
            return [event_line(record, view, now)]

        return Table(
            columns=(),
            records=records,
            key=_key,
            text=lambda record: _searched(record, view),
            blocks=Blocks(lines, _section, "more" if view.zoomed else "more: enter shows all"),
        )

    def mark(self, snapshot: Snapshot) -> Span:
        firing = snapshot.firing
        if firing:
            return ("!", worst_style(firing))
        lost = any(a.state is AlertState.NODATA and not a.quiet for a in snapshot.alerts)
        return ("?", "stale") if lost else (" ", "muted")

    def _detail(self, records: list[Alert | AlertEvent], view: View, now: float) -> int:
        """Return how much of each alert there is room for; the past takes what is left."""
        alerts = [r for r in records if isinstance(r, Alert) and not r.informs]
        for detail in (FULL, MESSAGES):
            needed = sum(
                len(alert_block(alert, view, detail, now)) for alert in alerts[: view.height]
            )
            if needed + min(1, len(records) - len(alerts)) <= view.height:
                return detail
        return ONE_LINE

    def _list_room(self, snapshot: Snapshot, view: View) -> int:
        """Return the lines for the list below the detail, no more than it can fill."""
        records = _records(snapshot)
        sections = len({_section(record) for record in records} - {""})
        wanted = len(records) + sections
        return min(wanted, max(LEAST_LIST, view.height // 3))

    def _course(
        self, record: Alert | AlertEvent, snapshot: Snapshot, view: View, room: int
    ) -> list[Line]:
        """Return the chart of the value over time, where the history has it and there is room."""
        if room < LEAST_CHART:
            return []
        count = round(CHART_SECONDS / view.interval)
        series = next(
            (
                series
                for series in find_series(record, snapshot)
                if not all(map(math.isnan, view.history.series(series.name, count)))
            ),
            None,
        )
        if series is None:
            return []
        threshold = None
        note = ""
        if isinstance(record, Alert) and not isinstance(record.threshold, Absent) and series.scale:
            threshold = record.threshold * series.scale
            note = f", dots at the threshold {threshold:.4g}"
        size = (view.width - 1, min(MOST_CHART, room) - 1)
        lines = self._chart.lines(
            view.history, series.name, view.interval, size, (0.0, None), view.glyphs, threshold
        )
        if not lines:
            return []
        return [((f" {series.label}", "title"), (note, "muted")), *lines]


def _above_list(lines: list[Line], room: int) -> list[Line]:
    """Return the lines that fit and, apart from the list, how many more there would be."""
    hidden = len(lines) - room
    if hidden <= 0:
        return [*lines, ()]
    noun = "line" if hidden == 1 else "lines"
    return [*lines[:room], ((f" {hidden} more {noun} in a taller terminal", "muted"),)]


def _records(snapshot: Snapshot) -> list[Alert | AlertEvent]:
    """Return alerts by urgency, then the intervals of the past, the newest first."""
    alerts = sorted(filter(in_sight, snapshot.alerts), key=rank)
    going_on = {alert.fingerprint for alert in alerts if alert.fingerprint}
    past = [
        event
        for event in snapshot.alert_events
        if not (isinstance(event.end, Absent) and event.fingerprint in going_on)
    ]
    past.sort(key=lambda event: -event.begin)
    return [*alerts, *past[:MOST_EVENTS]]


def _key(record: Alert | AlertEvent) -> Hashable:
    return alert_key(record) if isinstance(record, Alert) else event_key(record)


def _section(record: Alert | AlertEvent) -> str:
    if isinstance(record, AlertEvent):
        return "before"
    if record.informs:
        return "for information"
    return "quiet" if record.quiet else ""


def _informs(record: Alert | AlertEvent) -> bool:
    return isinstance(record, Alert) and record.informs


def _searched(record: Alert | AlertEvent, view: View) -> str:
    """Return the text that a filter looks in."""
    words = [record.title, record.subject, record.rule, record.message]
    words.append(SEVERITY_WORDS[record.severity])
    words.append(record.severity.value)
    if isinstance(record, Alert):
        words += [state_mark(record, view.glyphs).word, record.state.value, record.comment]
    return " ".join(words)


def _all_well(snapshot: Snapshot, view: View) -> list[Line]:
    """Return what is watched, for a pane without a single alert."""
    glyphs = view.glyphs
    lines: list[Line] = []
    cpu = snapshot.resources.cpu
    if isinstance(cpu, Absent):
        lines.append(
            ((f" {glyphs.hollow} ", "absent"), ("CPU and memory not measured yet", "absent"))
        )
    else:
        lines.append(((f" {glyphs.bullet} ", "ok"), ("no resource is over its limits", "text")))
    told = snapshot.services
    services = snapshot.all_services
    if isinstance(told, Absent) and not services:
        reason = printable(told.reason, view.ascii_only)
        style = "absent" if told.state is State.NOT_COLLECTED else "warning"
        lines.append(((f" {glyphs.hollow} ", style), (f"operations: {reason}", style)))
        return lines
    count = sum(len(service.operations) for service in services)
    text = f"{count} operations, none unusual" if count else "no service reports operations"
    mark, style = (glyphs.bullet, "ok") if count else (glyphs.hollow, "absent")
    lines.append(((f" {mark} ", style), (text, "text" if count else "absent")))
    return lines
