"""A widget made of lines that are drawn once and kept until their content changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from perftui.tui.lines import Line, fit_line


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

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self._lines: list[Line] = []
        self._strips: list[Strip | None] = []
        self._drawn_width = -1
        self._drawn_styles = -1

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
            self.refresh(*(Region(0, y, width, 1) for y in dirty))

    def forget_lines(self) -> None:
        """Drop everything drawn, so that the next lines are drawn whatever they are."""
        self._drawn_width = -1

    def row_text(self, y: int) -> str:
        """Return the text of a row as it was given, for tests and for copying."""
        return "".join(text for text, _ in self._lines[y]) if y < len(self._lines) else ""

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the kept rows inside `crop`, drawing those that are new."""
        width = self.size.width
        whole = crop.x == 0 and crop.width >= width
        strips: list[Strip] = []
        for y in range(crop.y, crop.bottom):
            strip = self._strips[y] if y < len(self._strips) else None
            if strip is None:
                strip = self._draw(self._lines[y] if y < len(self._lines) else (), width)
                if y < len(self._strips):
                    self._strips[y] = strip
            strips.append(strip if whole else strip.crop(crop.x, crop.right))
        return strips

    def _draw(self, line: Line, width: int) -> Strip:
        book = self.book
        styles = book.line_styles
        spans = fit_line(line, width, book.line_ellipsis)
        strip = Strip([Segment(text, styles[style]) for text, style in spans], width)
        background = Color(0, 0, 0)
        for line_filter in self.get_line_filters():
            strip = strip.apply_filter(line_filter, background)
        return strip
