"""Latency against rows: every sampled answer as a dot, and the line through them."""

from __future__ import annotations

from collections.abc import Iterator

from perftui.snapshot import Absent, QueryLine, QueryShape
from perftui.tui.lines import Line, Span
from perftui.tui.view import View

LEAST_WIDTH, LEAST_HEIGHT = 24, 5
_AXIS = 8
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def latency_chart(shape: QueryShape, view: View, width: int, height: int) -> list[Line]:
    """Return the chart with its title in `height` lines, nothing where it would be too small.

    The axis ends at the 98th percentile: a single outlier would flatten all others.
    """
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return []
    if not shape.points:
        return [((" latency by rows: no answer was sampled", "absent"),)]
    dots = _Dots(width - _AXIS - 1, height - 2, view.glyphs.chart != "braille")
    ordered = sorted(point.latency for point in shape.points)
    top = ordered[min(len(ordered) - 1, int(0.98 * len(ordered)))] * 1.05 or 1e-6
    most = max(1, *(point.rows for point in shape.points))
    if isinstance(shape.line, QueryLine):
        dots.line(shape.line, most, top)
    for point in shape.points:
        dots.point(point.rows / most, point.latency / top)
    title: list[Span] = [(" latency ms by rows returned", "title")]
    if isinstance(shape.line, Absent):
        title.append((f"  {shape.line.reason}", "absent"))
    else:
        title.append(
            (f"  {shape.line.base * 1e3:.3g} ms + {shape.line.per_row * 1e3:.3g} ms a row", "muted")
        )
    lines: list[Line] = [tuple(title)]
    rows = list(dots.rows())
    for place, row in enumerate(rows):
        label = f"{top * 1e3:.3g}" if place == 0 else "0" if place == len(rows) - 1 else ""
        lines.append(((f"{label:>{_AXIS - 1}} ", "muted"), *row))
    end = f"{most:,} rows"
    lines.append(((" " * _AXIS + "0" + end.rjust(width - _AXIS - 2), "muted"),))
    return lines


class _Dots:
    """A field of dots, two by four in a cell with braille and one without."""

    def __init__(self, width: int, height: int, plain: bool) -> None:
        self._width = width
        self._height = height
        self._plain = plain
        self._across, self._down = (1, 1) if plain else (2, 4)
        self._points: dict[tuple[int, int], int] = {}
        self._line: dict[tuple[int, int], int] = {}

    def point(self, x: float, y: float) -> None:
        """Set the dot at these shares of the width and the height."""
        self._set(self._points, x, y)

    def line(self, line: QueryLine, most: int, top: float) -> None:
        """Set the dots of a line, behind the points."""
        steps = self._width * self._across
        for step in range(steps):
            x = step / max(1, steps - 1)
            y = (line.base + line.per_row * x * most) / top
            if 0 <= y <= 1:
                self._set(self._line, x, y)

    def rows(self) -> Iterator[Line]:
        """Yield the lines from top to bottom; a cell with a point in it hides the line."""
        for row in range(self._height):
            spans: list[Span] = []
            for column in range(self._width):
                cell = (column, row)
                if cell in self._points:
                    span = (self._glyph(self._points[cell], "*"), "chart")
                elif cell in self._line:
                    span = (self._glyph(self._line[cell], "."), "muted")
                else:
                    span = (" ", "text")
                if spans and spans[-1][1] == span[1]:
                    span = (spans.pop()[0] + span[0], span[1])
                spans.append(span)
            yield tuple(spans)

    def _glyph(self, bits: int, plain: str) -> str:
        return plain if self._plain else chr(_BRAILLE | bits)

    def _set(self, into: dict[tuple[int, int], int], x: float, y: float) -> None:
        across, down = self._width * self._across, self._height * self._down
        column = min(across - 1, max(0, round(x * (across - 1))))
        row = min(down - 1, max(0, round((1 - min(1.0, y)) * (down - 1))))
        cell = (column // self._across, row // self._down)
        bit = 1 if self._plain else _DOTS[column % 2][row % 4]
        into[cell] = into.get(cell, 0) | bit
