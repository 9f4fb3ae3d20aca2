"""The columns of the table of operations, and the small courses of their latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

from perftui.assembly import operation_series
from perftui.format import LATENCY_WIDTH, count, latency, percent, rate_short, share
from perftui.history import History
from perftui.snapshot import Absent, Maybe, Operation, Quantile
from perftui.text import printable
from perftui.tui.charts import bar, buckets, sparkline
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Span
from perftui.tui.panes.operation_rows import OperationRow
from perftui.tui.panes.pane import missing
from perftui.tui.table import Column, fit_columns
from perftui.tui.view import View

WIDE_BUCKET = 1.5
"""From this ratio of its bounds on a bucket says too little for the number alone."""
ERRORS_WARNING, ERRORS_CRITICAL = 0.01, 0.05
QUANTILE_WIDTH = LATENCY_WIDTH + 1
INTERVAL_WIDTH = 13
COURSE_WIDTH = 12
COURSE_SECONDS = 120.0
BAR_WIDTH = 8
MOST_NAME = 56
"""Cells of a name, so that the numbers do not stand far away from it."""


def latency_unit(operations: Sequence[Operation]) -> str:
    """Return `s` where every operation takes a second or more, as jobs do, else `ms`."""
    means = [o.mean for o in operations if not isinstance(o.mean, Absent)]
    return "s" if means and min(means) >= 1.0 else "ms"


def is_wide(quantile: Quantile) -> bool:
    """Return whether the bucket is so wide that it has to be shown with the number."""
    return not (quantile.low >= 0 and quantile.high <= WIDE_BUCKET * quantile.low)


def bound(seconds: float) -> str:
    """Return a bound of a bucket with its unit, such as `250 ms` or `16 s`."""
    if seconds >= 1:
        return f"{_short(seconds)} s"
    return f"{_short(1e3 * seconds)} ms" if seconds >= 0.001 else f"{_short(1e6 * seconds)} us"


def interval(quantile: Quantile, unit: str) -> str:
    """Return the bounds of a bucket in a unit, such as `(200-300)`; empty beyond all bounds."""
    if math.isinf(quantile.high):
        return ""
    factor = 1e3 if unit == "ms" else 1.0
    high = _short(factor * quantile.high)
    if quantile.low < 0:
        return f"(<={high})"
    return f"({_short(factor * quantile.low)}-{high})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def quantile_text(quantile: Maybe[Quantile], unit: str, mark: bool = True) -> Span:
    """Return a quantile for a column: `~` before one from a wide bucket, `>16 s` beyond the last.

    `mark` is false where the bounds stand beside it.
    """
    if isinstance(quantile, Absent):
        return missing(quantile)
    if math.isinf(quantile.high):
        return (f">{bound(quantile.low)}", "text")
    text = latency(quantile.value, unit).strip()
    return (f"~{text}" if mark and is_wide(quantile) else text, "text")


def errors_span(ratio: Maybe[float]) -> Span:
    """Return errors in percent, `!` before more than 1 %, `!!` before more than 5 %."""
    if isinstance(ratio, Absent):
        return missing(ratio)
    text = percent(100 * ratio)
    if ratio > ERRORS_CRITICAL:
        return (f"!!{text.strip()}", "critical")
    return (f"!{text.strip()}", "warning") if ratio > ERRORS_WARNING else (text, "text")


class Courses:
    """Small courses of the last two minutes, drawn anew only when a dot is complete.

    A row whose course moved with every tick would be sent to the terminal with every tick.
    """

    def __init__(self) -> None:
        self._period: tuple[int, str] = (-1, "")
        self._drawn: dict[str, str] = {}

    def course(self, history: History, series: str, interval: float, glyphs: Glyphs) -> str:
        """Return the course of a series on a scale of its own, empty where nothing is known."""
        dots = COURSE_WIDTH * (2 if glyphs.chart == "braille" else 1)
        size = max(1, round(COURSE_SECONDS / dots / interval))
        period = (history.version // size, glyphs.chart)
        if period != self._period:
            self._period = period
            self._drawn = {}
        text = self._drawn.get(series)
        if text is None:
            phase = history.version % size
            newest = history.series(series, dots * size + phase)
            values = [math.nan] * (dots * size + phase - len(newest)) + list(newest)
            means = buckets(values, size, phase)
            known = sorted(value for value in means if not math.isnan(value))
            text = ""
            if known:
                # What is as usual stands at half height, so that its rise can be seen.
                top = max(known[-1], 2 * known[len(known) // 2])
                text = sparkline(means, COURSE_WIDTH, top, glyphs)
            self._drawn[series] = text
        return text


class Keyed(Protocol):
    """A record that is the same one as long as its key is."""

    @property
    def key(self) -> Hashable: ...


class SteadyValues:
    """Values to sort by that stand still until the true ones have moved by more than noise.

    Rows of nearly equal value would change places with every reading, which nobody can read and
    which sends both rows to the terminal.
    """

    NOISE = 0.05
    """Relative difference that does not count."""

    def __init__(self) -> None:
        self._values: dict[tuple[object, str], float] = {}

    def steady(self, row: Keyed, column: str, value: float, noise: float = 0.0) -> float:
        """Return the value that stands for `value`; `noise` is a difference that does not count."""
        key = (row.key, column)
        before = self._values.get(key)
        if before is not None and abs(value - before) <= max(noise, self.NOISE * abs(before)):
            return before
        if len(self._values) > 20_000:
            self._values.clear()
        self._values[key] = value
        return value


def operation_columns(
    rows: Sequence[OperationRow], view: View, courses: Courses, values: SteadyValues
) -> tuple[Column[OperationRow], ...]:
    """Return the columns for these rows; the bounds of p95 stand beside it where there is room."""
    columns = _Columns(rows, view, courses, values)
    some_wide = any(
        not isinstance(row.operation.p95, Absent) and is_wide(row.operation.p95) for row in rows
    )
    if some_wide:
        with_bounds = columns.all(bounds=True)
        if any(column.id == "bounds" for column, _ in fit_columns(with_bounds, view.width)):
            return with_bounds
    return columns.all(bounds=False)


class _Columns:
    """Makes the columns; what is the same in all cells is found out once."""

    def __init__(
        self,
        rows: Sequence[OperationRow],
        view: View,
        courses: Courses,
        values: SteadyValues,
    ) -> None:
        self._view = view
        self._courses = courses
        self._values = values
        self._unit = latency_unit([row.operation for row in rows])
        # What tells no quantiles still has a course of its rate.
        self._course = (
            "p95" if any(not isinstance(row.operation.p95, Absent) for row in rows) else "rate"
        )

    def all(self, bounds: bool) -> tuple[Column[OperationRow], ...]:
        """Return all columns, with or without the bounds of p95."""
        unit = self._unit
        name_width = max(14, min(24, self._view.width * 22 // 100))
        between = (
            (Column("bounds", "", INTERVAL_WIDTH, self._bounds, None, "left", spare=8),)
            if bounds
            else ()
        )
        return (
            Column("name", "operation", name_width, self._name, lambda r: (r.prefix, r.name),
                   "left", flex=True, most=MOST_NAME, descending=False),
            Column("rate", "rate/s", 7, self._rate, self._sort("rate", lambda o: o.rate), spare=1),
            Column("p50", f"p50 {unit}", QUANTILE_WIDTH,
                   lambda r: quantile_text(r.operation.p50, unit) if r.called else DASH,
                   self._sort("p50", lambda o: o.p50), spare=2),
            Column("p95", f"p95 {unit}", QUANTILE_WIDTH,
                   lambda r: quantile_text(r.operation.p95, unit, not bounds) if r.called else DASH,
                   self._sort("p95", lambda o: o.p95)),
            *between,
            Column("p99", f"p99 {unit}", QUANTILE_WIDTH,
                   lambda r: quantile_text(r.operation.p99, unit) if r.called else DASH,
                   self._sort("p99", lambda o: o.p99), spare=3),
            Column("mean", f"mean {unit}", QUANTILE_WIDTH + 1, self._mean,
                   self._sort("mean", lambda o: o.mean), spare=6),
            Column("errors", "err%", 7, self._errors,
                   self._sort("errors", lambda o: o.error_ratio)),
            Column("share", "share", 6, self._share, self._by_share),
            Column("bar", "of time", BAR_WIDTH, self._bar, None, "left", spare=5),
            Column("course", f"{self._course} 2 min", COURSE_WIDTH, self._drawn, None, "left",
                   spare=4),
            Column("count", "count", 6, self._count, self._sort("count", lambda o: o.count),
                   spare=7),
        )  # fmt: skip

    def _sort(
        self, column: str, value: Callable[[Operation], Maybe[Quantile] | Maybe[float]]
    ) -> Callable[[OperationRow], float]:
        def key(row: OperationRow) -> float:
            number = value(row.operation)
            if isinstance(number, Absent):
                return -1.0
            if isinstance(number, Quantile):
                # What lies beyond the last bound is longer than anything within it.
                number = number.value * (2 if math.isinf(number.high) else 1)
            return self._values.steady(row, column, number)

        return key

    def _by_share(self, row: OperationRow) -> float:
        if not row.called:
            return -1.0
        return self._values.steady(row, "share", 100 * row.share, 0.75)

    def _name(self, row: OperationRow) -> Span:
        return (printable(row.name, self._view.ascii_only), "accent" if row.called else "absent")

    def _rate(self, row: OperationRow) -> Span:
        return (rate_short(row.operation.rate), "text" if row.called else "absent")

    def _mean(self, row: OperationRow) -> Span:
        mean = row.operation.mean
        return missing(mean) if isinstance(mean, Absent) else (latency(mean, self._unit), "text")

    def _bounds(self, row: OperationRow) -> Span:
        p95 = row.operation.p95
        if isinstance(p95, Absent) or not is_wide(p95):
            return ("", "muted")
        return (interval(p95, self._unit), "muted")

    def _errors(self, row: OperationRow) -> Span:
        return errors_span(row.operation.error_ratio)

    def _share(self, row: OperationRow) -> Span:
        return (share(row.share), "text") if row.called else DASH

    def _bar(self, row: OperationRow) -> Span:
        if not row.called:
            return ("", "text")
        text = bar(100 * row.share, BAR_WIDTH, self._view.glyphs, "bar")[0][0]
        return (text, "bar") if row.share > 0 else ("", "text")

    def _drawn(self, row: OperationRow) -> Span:
        series = operation_series(row.service, row.operation.name, self._course)
        view = self._view
        return (self._courses.course(view.history, series, view.interval, view.glyphs), "chart")

    def _count(self, row: OperationRow) -> Span:
        return (count(row.operation.count), "muted" if row.called else "absent")


DASH: Span = ("-", "absent")
