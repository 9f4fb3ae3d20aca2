"""The courses that the zoomed cache pane shows beside each other."""

from __future__ import annotations

from perftui.assembly import cache_series
from perftui.text import cell_width, fit, printable
from perftui.tui.panes.cache_rows import TierRow
from perftui.tui.panes.course_charts import Course
from perftui.tui.view import View

MOST_NAME = 16
"""Cells of a name in a title."""

SERVER = Course("server hit %, all clients", "redis.hit_percent", 100.0)
COMMANDS = Course("commands/s of the server", "redis.commands")
MEMORY = Course("memory of the server, bytes", "redis.memory")


def courses(row: TierRow | None, by: str, view: View) -> tuple[Course, ...]:
    """Return the courses to show, most telling first: of the selected cache, then of the server."""
    if by in ("commands", "slow", "errors", "prefixes"):
        return (COMMANDS, SERVER, MEMORY)
    if row is None or row.namespace is None or row.service is None:
        return (SERVER, COMMANDS, MEMORY)
    what = "memory" if row.tier.tier == "memory" else "overall"
    name = printable(row.namespace.namespace, view.ascii_only)
    if cell_width(name) > MOST_NAME:
        name = fit(name, MOST_NAME, ellipsis=view.glyphs.ellipsis).rstrip()
    series = cache_series(row.service, row.namespace.namespace, what)
    return (Course(f"{name} {what} hit %", series, 100.0), SERVER, COMMANDS)
