"""One alert in detail: its numbers, who keeps it quiet, what surrounds it and the next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perftui.format import age, measure, moment
from perftui.quantities import YES_NO
from perftui.snapshot import Absent, Alert, AlertEvent, AlertState, Snapshot
from perftui.text import printable
from perftui.tui.lines import Line, Span, columns_of, width_of, wrap
from perftui.tui.panes.alert_lines import event_line
from perftui.tui.panes.alert_marks import SEVERITY_WORDS, name_of, state_mark
from perftui.tui.panes.pane import joined
from perftui.tui.view import View, window_label

LABEL = 12
MOST_EVIDENCE = 6
MOST_LINKS = 4
ENOUGH, SOME = 100, 30
"""Calls from which on noise alone hardly ever doubles a p95, and from which on seldom: simulated
with a heavy tail, one verdict in 1,700 and one in 90 is wrong."""


def detail_lines(alert: Alert, snapshot: Snapshot, view: View) -> list[Line]:
    """Return all that is known of an alert but its course, most important first."""
    lines = [_title(alert, snapshot, view)]
    lines += _text(" ", alert.message, view, "text")
    lines += _flowing([_pair(*pair) for pair in _numbers(alert, snapshot.time)], view)
    lines += _told("not heard", alert.reason, view, "stale")
    lines += _quiet(alert, snapshot, view)
    lines += _told("next", alert.hint, view, "accent")
    return lines


def surroundings(
    alert: Alert, snapshot: Snapshot, view: View, titles: Mapping[str, str]
) -> list[Line]:
    """Return evidence, causes and symptoms, and the pane that explains it; `titles` by pane."""
    lines: list[Line] = []
    for index, text in enumerate(alert.evidence[:MOST_EVIDENCE]):
        lines += _told("evidence" if index == 0 else "", text, view, "text")
    by_fingerprint = {other.fingerprint: other for other in snapshot.alerts if other.fingerprint}
    causes = [by_fingerprint[cause] for cause in alert.causes if cause in by_fingerprint]
    symptoms = [
        other
        for other in snapshot.alerts
        if alert.fingerprint and alert.fingerprint in other.causes
    ]
    lines += _linked("because of", causes, view)
    lines += _linked("leads to", symptoms, view)
    if alert.pane in titles:
        lines += _told("look at", titles[alert.pane], view, "text")
    return lines


def event_detail(event: AlertEvent, snapshot: Snapshot, view: View) -> list[Line]:
    """Return all that is kept of an interval of the past."""
    now = snapshot.time
    lines = [event_line(event, view, now)]
    lines += _text(" ", event.message, view, "text")
    end = "goes on" if isinstance(event.end, Absent) else moment(event.end, now)
    pairs = [("begin", moment(event.begin, now)), ("end", end)]
    if not isinstance(event.end, Absent):
        pairs.append(("lasted", age(event.end - event.begin)))
    pairs += _statistics(event)
    lines += _flowing([_pair(*pair) for pair in pairs], view)
    for index, text in enumerate(event.evidence[:MOST_EVIDENCE]):
        lines += _told("evidence" if index == 0 else "", text, view, "text")
    return lines


def _title(alert: Alert, snapshot: Snapshot, view: View) -> Line:
    mark = state_mark(alert, view.glyphs)
    severity = SEVERITY_WORDS[alert.severity]
    word = mark.word if severity in mark.word else f"{mark.word} {severity}"
    state = f"{alert.state.value}, " if alert.hushed else ""
    left: list[Span] = [
        (f" {mark.shape} {word} ", mark.style),
        (name_of(alert, view.ascii_only) or printable(alert.rule, view.ascii_only), "title"),
    ]
    if alert.flapping:
        left.append(("  flapping", "warning"))
    lasted = age(snapshot.time - alert.since)
    begin = f" {state}since {moment(alert.since, snapshot.time)}, {lasted} "
    return columns_of(tuple(left), ((begin, "muted"),), view.width, view.glyphs.ellipsis)


def _numbers(alert: Alert, now: float) -> list[tuple[str, str]]:
    pairs = _yes_no(alert, now) if alert.unit == YES_NO else _levels(alert)
    pairs += _usual(alert)
    if not isinstance(alert.n, Absent):
        pairs.append(("n", f"{alert.n:,}"))
        pairs.append(("confidence", confidence(alert.n)))
    pairs += _statistics(alert)
    return pairs


def _levels(alert: Alert) -> list[tuple[str, str]]:
    unit = alert.unit
    pairs = [("value", measure(alert.value, unit))]
    if alert.window:
        pairs[0] = ("value", f"{measure(alert.value, unit)} over {window_label(alert.window)}")
    pairs.append(("threshold", measure(alert.threshold, unit)))
    if not isinstance(alert.clear, Absent):
        pairs.append(("clears at", measure(alert.clear, unit)))
    return pairs


def _yes_no(alert: Alert, now: float) -> list[tuple[str, str]]:
    """Return whether it is so and for how long: there is no more to a yes or no."""
    word = measure(alert.value, YES_NO)
    if alert.state is AlertState.NODATA:
        return [("value", f"{word} when last heard")]
    begin = alert.changed if alert.state is AlertState.RECOVERING else alert.since
    return [("value", f"{word} for {age(now - begin)}")]


def _usual(alert: Alert) -> list[tuple[str, str]]:
    """Return what is usual, for a ratio of measurements what is measured and what that usually is.

    It is in the unit of what is measured.
    """
    unit, now, usual = alert.unit, alert.value, alert.baseline
    pairs = []
    if alert.measured_unit:
        unit, now, usual = alert.measured_unit, alert.measured, alert.measured_usual
        if not isinstance(now, Absent):
            pairs.append(("now", measure(now, unit)))
    if not isinstance(usual, Absent):
        said = measure(usual, unit)
        if not alert.measured_unit and not isinstance(now, Absent) and usual > 0:
            said = f"{said}, now {now / usual:.1f} x"
        pairs.append(("usual", said))
    return pairs


def confidence(n: int) -> str:
    """Return how far a verdict on so many calls can be trusted."""
    if n >= ENOUGH:
        return "high"
    return "medium" if n >= SOME else "low, few calls"


def _statistics(record: Alert | AlertEvent) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    if record.unit == YES_NO:
        return pairs
    if not isinstance(record.peak, Absent):
        pairs.append(("peak", measure(record.peak, record.unit)))
    if not isinstance(record.mean, Absent):
        of = f" of {record.samples:,}" if record.samples else ""
        pairs.append(("mean", f"{measure(record.mean, record.unit)}{of}"))
    return pairs


def _quiet(alert: Alert, snapshot: Snapshot, view: View) -> list[Line]:
    lines: list[Line] = []
    if alert.silenced_until:
        left = age(alert.silenced_until - snapshot.time)
        until = f"until {moment(alert.silenced_until, snapshot.time)}, {left} more"
        comment = f": {alert.comment}" if alert.comment else ""
        lines += _told("silenced", f"{until}{comment}", view, "accent")
    if alert.inhibited_by:
        found = next((a for a in snapshot.alerts if a.fingerprint == alert.inhibited_by), None)
        name = alert.inhibited_by if found is None else f"{found.title} {found.subject}".strip()
        lines += _told("inhibited", f"by {name}, which explains it", view, "accent")
    if alert.acknowledged_by:
        lines += _told("acked", f"by {alert.acknowledged_by}", view, "accent")
    return lines


def _linked(label: str, alerts: Sequence[Alert], view: View) -> list[Line]:
    lines: list[Line] = []
    for index, alert in enumerate(alerts[:MOST_LINKS]):
        mark = state_mark(alert, view.glyphs)
        lines.append(
            (
                (f" {label if index == 0 else '':<{LABEL - 1}}", "muted"),
                (f"{mark.shape} {mark.word} ", mark.style),
                (name_of(alert, view.ascii_only), "text"),
            )
        )
    if len(alerts) > MOST_LINKS:
        more = f"{len(alerts) - MOST_LINKS} more"
        lines.append((("".ljust(LABEL), "text"), (more, "muted")))
    return lines


def _pair(label: str, value: str) -> tuple[Span, ...]:
    return ((f"{label} ", "muted"), (value, "text"))


def _flowing(parts: Sequence[tuple[Span, ...]], view: View) -> list[Line]:
    """Return groups of spans with separators, on as many lines as they need."""
    lines: list[Line] = []
    begun: list[tuple[Span, ...]] = []
    for part in parts:
        wider = joined([*begun, part], view.glyphs.separator)
        if begun and width_of(wider) + 1 > view.width:
            lines.append(((" ", "text"), *joined(begun, view.glyphs.separator)))
            begun = []
        begun.append(part)
    if begun:
        lines.append(((" ", "text"), *joined(begun, view.glyphs.separator)))
    return lines


def _text(indent: str, text: str, view: View, style: str) -> list[Line]:
    if not text:
        return []
    room = max(8, view.width - len(indent))
    return [
        ((indent, "text"), (part, style)) for part in wrap(printable(text, view.ascii_only), room)
    ]


def _told(label: str, text: str, view: View, style: str) -> list[Line]:
    """Return a label and a text that hangs beside it; nothing where there is no text."""
    if not text:
        return []
    room = max(8, view.width - LABEL - 1)
    return [
        ((f" {label if index == 0 else '':<{LABEL - 1}}", "muted"), (part, style))
        for index, part in enumerate(wrap(printable(text, view.ascii_only), room))
    ]
