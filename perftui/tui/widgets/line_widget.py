"""A widget made of lines that are drawn once and kept until their content changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, cast

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from perftui.tui.glyph_filter import GlyphFilter
from perftui.tui.lines import Line, fit_line

_BLACK = Color(0, 0, 0)


class StyleBook(Protocol):
    """The app as the line widgets see it: where styles come from."""

    line_styles: Mapping[str, Style]
    styles_version: int
    line_ellipsis: str


class LineWidget(Widget):
    """Keeps one Strip a row and refreshes only the rows whose text or style changed.

    Overrides `render_lines`, so that the compositor gets the same Strip objects again and neither
    Textual's style cache nor the terminal has work with rows that did not change.
    """

    ALLOW_SELECT = False
    lines_fit: ClassVar[bool] = False
    """Whether the rows given are always exactly as wide as the widget."""

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self._lines: list[Line] = []
        self._strips: list[Strip | None] = []
        self._drawn_width = -1
        self._drawn_styles = -1
        self._styles: Mapping[str, Style] = {}
        self._styles_cause: tuple[int, ...] = ()

    @property
    def book(self) -> StyleBook:
        """The style book, which is the app."""
        return cast(StyleBook, self.app)

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Replace the rows; a row that is equal to the one before costs nothing more."""
        width, height = self.size
        if not width or not height:
            return
        if width != self._drawn_width or self.book.styles_version != self._drawn_styles:
            self._drawn_width = width
            self._drawn_styles = self.book.styles_version
            self._lines, self._strips = [], []
        rows = len(self._lines)
        dirty: list[int] = []
        for y in range(height):
            line = lines[y] if y < len(lines) else ()
            if y < rows and self._lines[y] == line:
                continue
            if y < rows:
                self._lines[y] = line
                self._strips[y] = None
            else:
                self._lines.append(line)
                self._strips.append(None)
            dirty.append(y)
        if rows > height:
            del self._lines[height:], self._strips[height:]
        if len(dirty) == height:
            self.refresh()
        elif dirty:
            self.refresh(*_regions(dirty, width))

    def forget_lines(self) -> None:
        """Drop everything drawn, so that the next lines are drawn whatever they are."""
        self._drawn_width = -1

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the kept rows inside `crop`, drawing those that are new."""
        width = self.size.width
        whole = crop.x == 0 and crop.width >= width
        filters = self.get_line_filters()
        styles = self._filtered_styles(filters)
        kept = len(self._strips)
        strips: list[Strip] = []
        for y in range(crop.y, crop.bottom):
            strip = self._strips[y] if y < kept else None
            if strip is None:
                strip = self._draw(self._lines[y] if y < kept else (), width, styles)
                for line_filter in filters:
                    if isinstance(line_filter, GlyphFilter):
                        strip = strip.apply_filter(line_filter, _BLACK)
                if y < kept:
                    self._strips[y] = strip
            strips.append(strip if whole else strip.crop(crop.x, crop.right))
        return strips

    def _draw(self, line: Line, width: int, styles: Mapping[str, Style]) -> Strip:
        if not (self.lines_fit and line and width == self._drawn_width):
            line = fit_line(line, width, self.book.line_ellipsis)
        return Strip([Segment(text, styles[style]) for text, style in line], width)

    def _filtered_styles(self, filters: Sequence[LineFilter]) -> Mapping[str, Style]:
        """Return the styles as the filters of this session change them.

        All filters but the one for poor fonts look at nothing but the style, so that a style is
        filtered once and not each time it is drawn.
        """
        cause = (self.book.styles_version, *map(id, filters))
        if cause != self._styles_cause:
            self._styles_cause = cause
            self._styles = {
                name: _filtered(style, filters) for name, style in self.book.line_styles.items()
            }
        return self._styles


def _filtered(style: Style, filters: Sequence[LineFilter]) -> Style:
    segments = [Segment(" ", style)]
    for line_filter in filters:
        segments = line_filter.apply(segments, _BLACK)
    return segments[0].style or Style.null()


def _regions(rows: Sequence[int], width: int) -> list[Region]:
    """Return regions that cover the rows, given in rising order, one for each run of them."""
    regions: list[Region] = []
    for y in rows:
        if regions and regions[-1].bottom == y:
            regions[-1] = Region(0, regions[-1].y, width, y + 1 - regions[-1].y)
        else:
            regions.append(Region(0, y, width, 1))
    return regions
