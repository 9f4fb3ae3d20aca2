"""Small always-on charts drawn by hand, and large history charts drawn by plotext."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from perftui.history import History
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span

CHART_SECONDS = 300.0
"""How far back the large charts reach."""

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#%@"
_BRAILLE_BASE = 0x2800
_LEFT_DOTS = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT_DOTS = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_COLOUR_SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")


def sparkline(values: Sequence[float], width: int, top: float, glyphs: Glyphs) -> str:
    """Return one row of `width` cells for the newest values on a scale of 0 to `top`.

    Braille shows two samples a cell, blocks and ASCII one. A gap (NaN) stays empty; a measured
    zero keeps its lowest dot, so that the two look different.
    """
    if width <= 0:
        return ""
    per_cell = 2 if glyphs.chart == "braille" else 1
    newest = list(values[-width * per_cell :])
    newest = [math.nan] * (width * per_cell - len(newest)) + newest
    if glyphs.chart == "braille":
        return "".join(
            chr(
                _BRAILLE_BASE
                | _LEFT_DOTS[_level(newest[i], top, 4)]
                | _RIGHT_DOTS[_level(newest[i + 1], top, 4)]
            )
            for i in range(0, len(newest), 2)
        )
    steps = _BLOCKS if glyphs.chart == "block" else _ASCII
    return "".join(steps[_level(value, top, len(steps) - 1)] for value in newest)


def _level(value: float, top: float, steps: int) -> int:
    if math.isnan(value):
        return 0
    if top <= 0:
        return 1
    return max(1, min(steps, math.ceil(steps * value / top)))


def bar(percent: float | None, width: int, glyphs: Glyphs, style: str) -> tuple[Span, ...]:
    """Return a gauge of `width` cells for 0..100 percent; None draws an empty one."""
    if width <= 0:
        return ()
    if percent is None:
        return ((glyphs.bar_empty * width, "bar-empty"),)
    steps = len(glyphs.bar)
    filled = round(max(0.0, min(100.0, percent)) / 100 * width * steps)
    if percent > 0 and filled == 0:
        filled = 1
    full, rest = divmod(filled, steps)
    text = glyphs.bar[-1] * full + (glyphs.bar[rest - 1] if rest else "")
    empty = glyphs.bar_empty * (width - len(text))
    return tuple(span for span in ((text, style), (empty, "bar-empty")) if span[0])


def level_style(percent: float, warning: float, critical: float) -> str:
    """Return the bar style for a percentage and its two limits."""
    if percent >= critical:
        return "bar-critical"
    return "bar-warning" if percent >= warning else "bar"


@dataclass
class HistoryChart:
    """A large chart of one series with axes, rebuilt only when a column of dots would change."""

    title: str
    style: str = "chart"
    _figure: Any = None
    _key: tuple[object, ...] = ()
    _lines: list[Line] = field(default_factory=list)

    def lines(
        self,
        history: History,
        series: str,
        interval: float,
        size: tuple[int, int],
        limits: tuple[float, float | None],
        glyphs: Glyphs,
        threshold: float | None = None,
    ) -> list[Line]:
        """Return the chart's lines for the last `CHART_SECONDS` of a series; NaN are gaps.

        `interval` is the time between two samples, `size` columns and rows, `limits` bottom and
        top of the axis (None: from the data). A level line is drawn at `threshold`.
        """
        width, height = size
        if width < 20 or height < 4:
            return []
        count = max(2, round(CHART_SECONDS / interval))
        per_bucket = max(1, math.ceil(count / (2 * (width - 8))))
        version = history.version
        newest = history.series(series, count)
        values = [math.nan] * (count - len(newest)) + list(newest)
        bottom, top = limits
        known = [value for value in values if not math.isnan(value)]
        if top is None:
            top = _nice_top(max([*(known or [1.0]), threshold or 0.0]))
        key = (series, version // per_bucket, width, height, bottom, top, glyphs.chart, threshold)
        if key != self._key:
            self._key = key
            means = buckets(values, per_bucket, version % per_bucket)
            self._lines = self._build(
                means, interval * per_bucket, width, height, bottom, top, glyphs, threshold
            )
        return self._lines

    def _build(
        self,
        values: list[float],
        seconds: float,
        width: int,
        height: int,
        bottom: float,
        top: float,
        glyphs: Glyphs,
        threshold: float | None,
    ) -> list[Line]:
        from plotext._figure import _figure_class

        if self._figure is None:
            self._figure = _figure_class()
        figure = self._figure
        figure.clear_figure()
        figure._limit_size(False, False)
        figure.plotsize(width, height)
        figure._set_size(width, height)
        figure.theme("clear")
        figure.ylim(bottom, top)
        span = len(values) * seconds
        figure.xlim(-span, 0)
        marker = {"braille": "braille", "block": "hd", "ascii": "*"}[glyphs.chart]
        for begin, run in _runs(values):
            # plotext draws every dot of a line, also far outside the axes: never hand it such.
            heights = [max(bottom, min(top, value)) for value in run]
            xs = [-span + (begin + i + 1) * seconds for i in range(len(run))]
            figure.plot(xs, heights, marker=marker)
        if threshold is not None and bottom <= threshold <= top:
            # Every second dot or so, so that the level looks unlike what was measured.
            dots = max(2, width // 3)
            xs = [-span + span * (dot + 1) / dots for dot in range(dots)]
            figure.scatter(xs, [threshold] * dots, marker=marker)
        ticks = [-span, -span / 2, 0]
        figure.xticks(ticks, [_ago(-tick) for tick in ticks])
        middle = (bottom + top) / 2
        figure.yticks([bottom, middle, top], [_tick(v) for v in (bottom, middle, top)])
        if glyphs.chart == "ascii":
            figure.frame(False)
        text = _COLOUR_SEQUENCE.sub("", figure.build())
        rows = text.rstrip("\n").split("\n")
        margin = max(len(_tick(v)) for v in (bottom, middle, top)) + 1
        last = len(rows) - 1
        return [
            ((row, "axis"),)
            if number == last
            else ((row[:margin], "axis"), (row[margin:], self.style))
            for number, row in enumerate(rows)
        ]


def buckets(values: Sequence[float], size: int, phase: int) -> list[float]:
    """Return the mean of each `size` samples, aligned so that a closed bucket never changes."""
    end = len(values) - phase
    means = []
    for start in range(end % size, end, size):
        known = [value for value in values[start : start + size] if not math.isnan(value)]
        means.append(sum(known) / len(known) if known else math.nan)
    return means


def _runs(values: list[float]) -> list[tuple[int, list[float]]]:
    """Return the stretches between gaps with their begin."""
    runs: list[tuple[int, list[float]]] = []
    current: list[float] = []
    for index, value in enumerate(values):
        if math.isnan(value) or math.isinf(value):
            if current:
                runs.append((index - len(current), current))
            current = []
        else:
            current.append(value)
    if current:
        runs.append((len(values) - len(current), current))
    return runs


def _nice_top(value: float) -> float:
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value))


def _tick(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def _ago(seconds: float) -> str:
    if seconds < 1:
        return "now"
    if seconds < 120:
        return f"-{seconds:.0f} s"
    return f"-{seconds / 60:.3g} min"
