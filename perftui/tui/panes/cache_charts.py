"""The courses that the zoomed cache pane shows beside each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from perftui.assembly import cache_series
from perftui.text import cell_width, fit, printable
from perftui.tui.charts import CHART_SECONDS, HistoryChart, buckets, sparkline
from perftui.tui.lines import Line, Span, fit_line, width_of
from perftui.tui.panes.cache_rows import TierRow
from perftui.tui.view import View

LEAST_CHART, MOST_CHART = 7, 14
"""Lines of a chart with its title; with fewer, two ticks of its axis fall on one line."""
CHART_WIDTH = 32
"""Least width of a chart that stands beside others."""


MOST_NAME = 16
"""Cells of a name in a title."""
SMALL_WIDTH = 12
"""Cells of a course where there is one line for all of them."""


@dataclass(frozen=True)
class Course:
    """A series of the history with its title; `top` None: the axis follows the values."""

    title: str
    series: str
    top: float | None = None


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


class CacheCharts:
    """Charts beside each other, as many as the width has room for."""

    def __init__(self) -> None:
        self._charts = tuple(HistoryChart("") for _ in range(3))

    def lines(self, shown: tuple[Course, ...], view: View, room: int) -> list[Line]:
        """Return the charts in at most `room` lines, nothing where they would be too small."""
        room = min(room, MOST_CHART)
        if room < LEAST_CHART:
            return [_small(shown, view)] if room > 0 else []
        number = max(1, min(len(shown), view.width // CHART_WIDTH))
        width = view.width // number
        count = round(CHART_SECONDS / view.interval)
        drawn: list[list[Line]] = []
        for course, chart in zip(shown[:number], self._charts, strict=False):
            title: Line = ((f" {course.title}", "title"),)
            values = view.history.series(course.series, count)
            if all(map(math.isnan, values)):
                drawn.append([title, ((" no history yet", "absent"),)])
                continue
            size = (width - 1, room - 1)
            limits = (0.0, course.top)
            lines = chart.lines(
                view.history, course.series, view.interval, size, limits, view.glyphs
            )
            drawn.append([title, *lines])
        ellipsis = view.glyphs.ellipsis
        return [
            tuple(
                span
                for lines in drawn
                for span in fit_line(lines[y] if y < len(lines) else (), width, ellipsis)
            )
            for y in range(max(map(len, drawn)))
        ]


def _small(shown: tuple[Course, ...], view: View) -> Line:
    """Return the courses in one line, as many as it has room for."""
    spans: list[Span] = []
    per_cell = 2 if view.glyphs.chart == "braille" else 1
    count = round(CHART_SECONDS / view.interval)
    size = max(1, math.ceil(count / (per_cell * SMALL_WIDTH)))
    for course in shown:
        values = list(view.history.series(course.series, count))
        means = buckets(values, size, view.history.version % size)
        known = [value for value in means if not math.isnan(value)]
        top = course.top or max(known, default=1.0)
        drawn = sparkline(means, SMALL_WIDTH, top, view.glyphs)
        course_span: Span = (drawn, "chart") if known else ("-".ljust(SMALL_WIDTH), "absent")
        part: list[Span] = [(f" {course.title} ", "muted"), course_span]
        if spans and width_of((*spans, *part)) > view.width:
            break
        spans += part
    return tuple(spans)
