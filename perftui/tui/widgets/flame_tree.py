"""The call tree: the same frames as a table whose rows open and close."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from textual import events

from perftui.format import percent
from perftui.profiling.flame import FlameNode
from perftui.profiling.modules import kind_of
from perftui.text import cell_width, fit
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span
from perftui.tui.widgets.flame_graph import Chosen, Direction, Scrolled
from perftui.tui.widgets.flame_layout import Key, Path, found, key_of
from perftui.tui.widgets.flame_marks import cut_left, label_of, place_text
from perftui.tui.widgets.flame_state import FlameState, Opened
from perftui.tui.widgets.line_widget import LineWidget

SHARES = 14
"""Cells of both percent columns."""

NAME = 24
"""Cells that a function has at least, however deep it is."""


class TreeRow(NamedTuple):
    """A frame in view: its depth, the row of its caller, and whether its callees are shown."""

    node: FlameNode
    depth: int
    parent: int
    opened: bool


class FlameTree(LineWidget):
    """Draws a FlameState as a tree and opens, closes and selects its rows."""

    def __init__(self, state: FlameState, glyphs: Glyphs) -> None:
        super().__init__("flame-tree")
        self._state = state
        self._glyphs = glyphs
        self._rows: list[TreeRow] = []
        self._top = 0

    @property
    def position(self) -> str:
        """Which rows are in view, empty when all are."""
        rows, height = len(self._rows), self.size.height - 1
        if rows <= height:
            return ""
        return f"rows {self._top + 1}-{min(rows, self._top + height)} of {rows}"

    def redraw(self, follow: bool = True) -> None:
        """Draw the open frames; `follow`: the selected one has to be in view."""
        width, height = self.size
        if not width or height < 2:
            return
        self._rows = list(_rows(self._state.root, self._state.opened))
        cursor = self._cursor()
        room = height - 1
        if follow:
            if cursor < self._top:
                self._top = cursor
            elif cursor >= self._top + room:
                self._top = cursor - room + 1
        self._top = max(0, min(self._top, len(self._rows) - room))
        where = max(14, min(60, width // 3))
        function = max(10, width - SHARES - where - 2)
        head = f"{'total%':>6} {'own%':>6}  {'function':<{function}}{'file:line'}"
        lines: list[Line] = [((fit(head, width, ellipsis=self._glyphs.ellipsis), "header"),)]
        lines += [
            self._line(row, index == cursor, function, where)
            for index, row in enumerate(self._rows[self._top : self._top + room], self._top)
        ]
        self.set_lines(lines)

    def reveal(self) -> None:
        """Open what leads to the selected frame."""
        state = self._state
        if not state.selected and state.root.children:
            state.selected = (key_of(state.root.children[0]),)
        opened = state.opened
        for key in state.selected[:-1]:
            opened = opened.setdefault(key, {})
        self.redraw()

    def move(self, direction: Direction) -> None:
        """Select the row above or below; to the right opens a row, to the left closes it."""
        cursor = self._cursor()
        if direction in ("up", "down"):
            self._go(cursor + (1 if direction == "down" else -1))
            return
        if not self._rows:
            return
        row = self._rows[cursor]
        if direction == "right":
            if row.node.children and not row.opened:
                self.toggle()
            elif row.opened:
                self._go(cursor + 1)
        elif row.opened:
            self.toggle()
        elif row.parent >= 0:
            self._go(row.parent)

    def page(self, step: int) -> None:
        """Move the selection by a page."""
        self._go(self._cursor() + step * max(1, self.size.height - 2))

    def edge(self, step: int) -> None:
        """Select the first or the last row."""
        self._go(0 if step < 0 else len(self._rows) - 1)

    def toggle(self) -> None:
        """Open the selected row, or close it with all below it."""
        path = self._path(self._cursor())
        if not path:
            return
        opened = self._state.opened
        for key in path[:-1]:
            opened = opened.setdefault(key, {})
        if path[-1] in opened:
            del opened[path[-1]]
        elif self._rows[self._cursor()].node.children:
            opened[path[-1]] = {}
        self._state.selected = path
        self.redraw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """Select the row that was clicked."""
        row = self._top + event.y - 1
        if event.y < 1 or row >= len(self._rows):
            return
        again = row == self._cursor() and self._path(row) == self._state.selected
        self._go(row)
        self.post_message(Chosen(again))

    def on_mouse_scroll_down(self) -> None:
        """Show rows further down."""
        self._scroll(3)

    def on_mouse_scroll_up(self) -> None:
        """Show rows further up."""
        self._scroll(-3)

    def _scroll(self, rows: int) -> None:
        self._top += rows
        self.redraw(follow=False)
        self.post_message(Scrolled())

    def _go(self, row: int) -> None:
        if self._rows:
            self._state.selected = self._path(max(0, min(row, len(self._rows) - 1)))
            self.redraw()

    def _path(self, row: int) -> Path:
        keys: list[Key] = []
        while 0 <= row < len(self._rows):
            keys.append(key_of(self._rows[row].node))
            row = self._rows[row].parent
        return tuple(reversed(keys))

    def _cursor(self) -> int:
        """Return the row of the selected frame, or of the innermost one that is shown."""
        nodes = found(self._state.root, self._state.selected)[1:]
        cursor = 0
        parent = -1
        row = 0
        for node in nodes:
            while row < len(self._rows) and not (
                self._rows[row].parent == parent and self._rows[row].node is node
            ):
                row += 1
            if row == len(self._rows):
                break
            cursor = parent = row
        return cursor

    def _line(self, row: TreeRow, selected: bool, function: int, where: int) -> Line:
        glyphs = self._glyphs
        node = row.node
        ascii_only = glyphs.chart == "ascii"
        whole = self._state.root.total
        total = percent(100 * node.total / whole if whole else 0.0)
        own_percent = 100 * node.own / whole if whole else 0.0
        own = percent(own_percent)
        mark = " "
        if node.children:
            mark = glyphs.down if row.opened else glyphs.pointer
        prefix = " " * row.depth
        most = max(4, function - NAME)
        if row.depth > most:
            prefix = f"{glyphs.ellipsis}{row.depth + 1} ".rjust(most)
        before = f"{prefix}{mark} "
        name = fit(label_of(node.place, glyphs), function - 1 - cell_width(before), "left",
                   glyphs.ellipsis)  # fmt: skip
        place = cut_left(place_text(node.place, ascii_only), where, glyphs.ellipsis)
        if selected:
            text = f"{total:>6} {own:>6}  {before}{name} {place}"
            return ((fit(text, self.size.width, ellipsis=glyphs.ellipsis), "selected"),)
        hot = "critical" if own_percent >= 50 else "warning" if own_percent >= 20 else "text"
        code = node.place is not None and kind_of(node.place.file) == "own"
        style = "flame-match" if self._state.matches(node) else "accent" if code else "text"
        spans: list[Span] = [
            (f"{total:>6} ", "text"), (f"{own:>6}", hot), ("  ", "text"), (before, "muted"),
            (name, style), (" ", "text"), (place, "muted"),
        ]  # fmt: skip
        return tuple(spans)


def _rows(root: FlameNode, opened: Opened) -> Iterator[TreeRow]:
    todo: list[tuple[FlameNode, int, int, Opened]] = [
        (child, 0, -1, opened) for child in reversed(root.children)
    ]
    index = 0
    while todo:
        node, depth, parent, around = todo.pop()
        below = around.get(key_of(node))
        shown = below is not None and bool(node.children)
        yield TreeRow(node, depth, parent, shown)
        if shown and below is not None:
            todo += [(child, depth + 1, index, below) for child in reversed(node.children)]
        index += 1
