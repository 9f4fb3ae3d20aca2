"""The courses that the zoomed Servers pane shows of the selected server."""

from __future__ import annotations

from perftui.assembly import server_series
from perftui.snapshot import Absent
from perftui.tui.panes.course_charts import Course
from perftui.tui.panes.server_rows import ServerRow


def server_courses(row: ServerRow) -> tuple[Course, ...]:
    """Return the courses of a server, without the CPU where its origin does not tell it."""
    named: list[tuple[str, str, float | None]] = [
        ("requests/s", "requests", None),
        ("requests at work", "in_flight", None),
    ]
    if not isinstance(row.server.cpu_usage, Absent):
        named.insert(0, ("cpu %", "cpu", 100.0))
    return tuple(
        Course(title, server_series(row.pool, row.server.id, what), top)
        for title, what, top in named
    )
