"""Courses of a few numbers beside each other, as a zoomed pane shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from perftui.tui.charts import CHART_SECONDS, HistoryChart, buckets, sparkline
from perftui.tui.lines import Line, Span, fit_line, width_of
from perftui.tui.view import View

LEAST_CHART, MOST_CHART = 7, 14
"""Lines of a chart with its title; with fewer, two ticks of its axis fall on one line."""
CHART_WIDTH = 32
"""Least width of a chart that stands beside others."""
SMALL_WIDTH = 12
"""Cells of a course where there is one line for all of them."""


@dataclass(frozen=True)
class Course:
    """A series of the history with its title; `top` None: the axis follows the values."""

    title: str
    series: str
    top: float | None = None


class CourseCharts:
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
