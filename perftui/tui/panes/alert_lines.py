"""Alerts and what is left of them, in one line or as a block of a few lines."""

from __future__ import annotations

from perftui.format import age, measure, moment, since
from perftui.quantities import YES_NO
from perftui.snapshot import Absent, Alert, AlertEvent
from perftui.text import cell_width, fit, printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, columns_of, wrap
from perftui.tui.panes.alert_marks import SEVERITY_WORDS, name_of, state_mark
from perftui.tui.view import View

INDENT = 8
FULL, MESSAGES, ONE_LINE = 2, 1, 0
"""How much of an alert is shown: message and hint, the message, or what fits in one line."""
LOCAL = "local"
ORIGIN_WIDTH = 12
ROOMY = 70
"""Width from which on the time of an alert is introduced by a word."""


def alert_line(alert: Alert, width: int, glyphs: Glyphs, now: float, message: str = "") -> Line:
    """Return one alert in one line: mark, state in words, message (all of it), since when."""
    mark = state_mark(alert, glyphs)
    if not message:
        message = sentence(alert, glyphs.chart == "ascii")
    left: Line = (
        (f" {mark.shape} {mark.word} ", mark.style),
        (message, "muted" if alert.quiet else "text"),
    )
    return columns_of(left, _aside(alert, width, glyphs, now), width, glyphs.ellipsis)


def _aside(alert: Alert, width: int, glyphs: Glyphs, now: float) -> Line:
    """Return whose rule it is and since when, for the right edge."""
    begin = since(alert.since, now)
    if width < ROOMY:
        begin = begin.partition(" ")[2]
    origin = ""
    if alert.origin != LOCAL:
        name = printable(alert.origin, glyphs.chart == "ascii")
        origin = f" {fit(name, ORIGIN_WIDTH, 'left', glyphs.ellipsis).rstrip()}"
    flapping = " flapping," if alert.flapping and width >= ROOMY else ""
    return ((f"{origin}{flapping} {begin}", "muted"),)


def sentence(alert: Alert, ascii_only: bool) -> str:
    """Return title, subject and message, with ratio to the baseline and n where it lacks them."""
    message = alert.message
    if not isinstance(alert.baseline, Absent) and not isinstance(alert.value, Absent):
        own = measure(alert.baseline, alert.unit)
        if alert.baseline > 0 and own not in message:
            message = f"{message}, {alert.value / alert.baseline:.1f} x its usual {own}"
    if not isinstance(alert.n, Absent) and "n=" not in message:
        message = f"{message} (n={alert.n:,})"
    title = alert.title
    if title and title.casefold() in message.casefold():
        title = ""
    return printable(f"{f'{title} {alert.subject}'.strip()}: {message}", ascii_only)


def alert_block(alert: Alert, view: View, detail: int, now: float) -> list[Line]:
    """Return the lines of one alert: its message in full, and its hint, as far as `detail` goes."""
    glyphs = view.glyphs
    if detail == ONE_LINE or alert.quiet:
        lines = [alert_line(alert, view.width, glyphs, now)]
        note = quiet_note(alert, now, view.ascii_only)
        if detail == FULL and note:
            room = max(8, view.width - INDENT - 1)
            lines += [((" " * INDENT, "text"), (part, "muted")) for part in wrap(note, room)]
        return lines
    room = max(8, view.width - INDENT - 1)
    mark = state_mark(alert, glyphs)
    lead = cell_width(mark.word) + 4
    aside = _aside(alert, view.width, glyphs, now)
    first = view.width - lead - cell_width(aside[0][0]) - 1
    head, rest = _broken(sentence(alert, view.ascii_only), max(8, first), room)
    lines = [alert_line(alert, view.width, glyphs, now, head)]
    lines += [((" " * INDENT, "text"), (part, "text")) for part in rest]
    if detail == FULL and alert.hint:
        hint = wrap(printable(alert.hint, view.ascii_only), room)
        lines += [((" " * INDENT, "text"), (part, "muted")) for part in hint]
    return lines


def _broken(text: str, first: int, room: int) -> tuple[str, list[str]]:
    """Return `text` as a first line of its own width and further ones."""
    head = wrap(text, first)[0]
    rest = text[len(head) :].strip()
    return head, wrap(rest, room) if rest else []


def quiet_note(alert: Alert, now: float, ascii_only: bool) -> str:
    """Return until when and why nobody need look; empty where somebody should."""
    parts: list[str] = []
    if alert.silenced_until:
        parts.append(f"silenced until {moment(alert.silenced_until, now)}")
    if alert.acknowledged_by:
        parts.append(f"acknowledged by {alert.acknowledged_by}")
    if alert.comment and parts:
        parts.append(alert.comment)
    return printable(": ".join(parts), ascii_only)


def event_line(event: AlertEvent, view: View, now: float) -> Line:
    """Return one interval of the past in one line: what, begin, duration and peak."""
    glyphs = view.glyphs
    left: Line = (
        (f" {glyphs.separator} {SEVERITY_WORDS[event.severity]} ", "muted"),
        (name_of(event, view.ascii_only) or printable(event.rule, view.ascii_only), "text"),
    )
    lasted = "goes on" if isinstance(event.end, Absent) else age(event.end - event.begin)
    begin = moment(event.begin, now)
    if view.width < ROOMY:
        return columns_of(left, ((f" {begin} {lasted}", "muted"),), view.width, glyphs.ellipsis)
    peak = "" if event.unit == YES_NO else f"peak {measure(event.peak, event.unit)}"
    right: Line = ((f" {begin}  {lasted:>8}  {peak:<16}", "muted"),)
    return columns_of(left, right, view.width, glyphs.ellipsis)
