"""Events of a pool or of one of its servers, newest first."""

from __future__ import annotations

from perftui.format import age
from perftui.snapshot import PoolEvent
from perftui.text import printable
from perftui.tui.lines import Line
from perftui.tui.view import View

EVENT_STYLES = {
    "panic": "critical",
    "stale": "stale",
    "down": "critical",
    "overload": "warning",
    "kept": "warning",
    "drain": "warning",
    "maint": "warning",
    "recovered": "ok",
    "back": "ok",
    "ready": "ok",
    "scale": "accent",
}


def event_lines(
    events: tuple[PoolEvent, ...], view: View, now: float, room: int, *, named: bool
) -> list[Line]:
    """Return at most `room` lines with a heading; `named` tells the server of each event."""
    if room < 2 or not events:
        return []
    lines: list[Line] = [((" events of the pool" if named else " events", "muted"),)]
    ascii_only = view.ascii_only
    for event in events[: room - 1]:
        kind = printable(event.kind, ascii_only)
        server = printable(event.server, ascii_only) if named and event.server else ""
        by = f"  by {printable(event.by, ascii_only)}" if event.by else ""
        lines.append(
            (
                (f" {age(now - event.time):>7} ago ", "muted"),
                (f"{kind:<10} ", EVENT_STYLES.get(event.kind, "text")),
                (f"{server} " if server else "", "accent"),
                (printable(event.reason, ascii_only), "text"),
                (by, "muted"),
            )
        )
    return lines
