"""Alerts: what is wrong now, since when, and the next step."""

from __future__ import annotations

from perftui.format import clock
from perftui.snapshot import Absent, Alert, Severity, Snapshot, State
from perftui.text import cell_width, fit, printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span, columns_of, wrap
from perftui.tui.panes.pane import Pane
from perftui.tui.view import View

INDENT = 8
FULL, MESSAGES, ONE_LINE = 2, 1, 0
"""How much of an alert is shown: message and hint, the message, or what fits in one line."""

LOCAL = "local"
ORIGIN_WIDTH = 12
ROOMY = 70
"""Width from which on the time of an alert is introduced by a word."""


class AlertsPane(Pane):
    """Firing alerts, critical first, each with its hint where there is room."""

    id = "alerts"
    number = "2"
    title = "Alerts"

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        count = len(snapshot.alerts)
        if not count:
            return (("none firing", "muted"),)
        style = "critical" if _any_critical(snapshot) else "warning"
        return ((f"{count} firing", style),)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        if not snapshot.alerts:
            return self._quiet(snapshot, view)
        lines: list[Line] = []
        for detail in (FULL, MESSAGES, ONE_LINE):
            lines = [line for alert in snapshot.alerts for line in _block(alert, view, detail)]
            if len(lines) <= view.height or view.zoomed:
                break
        if len(lines) > view.height and view.height > 0:
            hidden = len(lines) - view.height + 1
            lines[view.height - 1 :] = [((f" {hidden} more: enter shows all", "muted"),)]
        return lines

    def mark(self, snapshot: Snapshot) -> Span:
        if not snapshot.alerts:
            return (" ", "muted")
        return ("!", "critical" if _any_critical(snapshot) else "warning")

    def _quiet(self, snapshot: Snapshot, view: View) -> list[Line]:
        glyphs = view.glyphs
        lines: list[Line] = []
        cpu = snapshot.resources.cpu
        if isinstance(cpu, Absent):
            lines.append(
                ((f" {glyphs.hollow} ", "absent"), ("CPU and memory not measured yet", "absent"))
            )
        else:
            lines.append(
                ((f" {glyphs.bullet} ", "ok"), ("CPU at most 80 %, memory at most 90 %", "text"))
            )
        told = snapshot.services
        services = snapshot.all_services
        if isinstance(told, Absent) and not services:
            reason = printable(told.reason, view.ascii_only)
            style = "absent" if told.state is State.NOT_COLLECTED else "warning"
            lines.append(((f" {glyphs.hollow} ", style), (f"operations: {reason}", style)))
        else:
            count = sum(len(service.operations) for service in services)
            text = (
                f"{count} operations, none above twice the mean of its peers"
                if count
                else "no service reports operations"
            )
            mark, style = (glyphs.bullet, "ok") if count else (glyphs.hollow, "absent")
            lines.append(((f" {mark} ", style), (text, "text" if count else "absent")))
        return lines


def _block(alert: Alert, view: View, detail: int) -> list[Line]:
    """Return the lines of one alert: its message in full, and its hint, as far as `detail` goes."""
    if detail == ONE_LINE:
        return [alert_line(alert, view.width, view.glyphs)]
    room = max(8, view.width - INDENT - 1)
    aside = 15 + cell_width(_origin(alert, view.glyphs))
    text = printable(f"{alert.subject}: {alert.message}", view.ascii_only)
    message = wrap(text, max(8, room - aside))
    lines = [alert_line(alert, view.width, view.glyphs, message[0])]
    lines += [((" " * INDENT, "text"), (part, "text")) for part in message[1:]]
    if detail == FULL:
        hint = wrap(printable(alert.hint, view.ascii_only), room)
        lines += [((" " * INDENT, "text"), (part, "muted")) for part in hint]
    if view.zoomed:
        lines.append(())
    return lines


def alert_line(alert: Alert, width: int, glyphs: Glyphs, message: str = "") -> Line:
    """Return one alert in one line: mark, severity in words, message (all of it), since when."""
    critical = alert.severity is Severity.CRITICAL
    style = "critical" if critical else "warning"
    mark = glyphs.bullet if critical else glyphs.warning
    word = "CRIT" if critical else "WARN"
    if not message:
        message = printable(f"{alert.subject}: {alert.message}", glyphs.chart == "ascii")
    left: Line = ((f" {mark} {word} ", style), (message, "text"))
    since = clock(alert.since)
    introduced = " since " if width >= ROOMY else " "
    right: Line = ((f"{_origin(alert, glyphs)}{introduced}{since}", "muted"),)
    return columns_of(left, right, width, glyphs.ellipsis)


def _origin(alert: Alert, glyphs: Glyphs) -> str:
    """Return whose rule it is that fires, in few cells; empty for perftui's own."""
    if alert.origin == LOCAL:
        return ""
    name = printable(alert.origin, glyphs.chart == "ascii")
    return f" {fit(name, ORIGIN_WIDTH, 'left', glyphs.ellipsis).rstrip()}"


def _any_critical(snapshot: Snapshot) -> bool:
    return any(alert.severity is Severity.CRITICAL for alert in snapshot.alerts)
