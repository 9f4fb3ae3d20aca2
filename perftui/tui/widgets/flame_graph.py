"""The flame graph: the root on top, a row for each depth, the width of a frame its total time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from textual import events
from textual.message import Message

from perftui.text import fit
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span
from perftui.tui.widgets.flame_layout import Box, box_at, box_of, key_of, layout
from perftui.tui.widgets.flame_marks import NO_CODE, label_of, style_of
from perftui.tui.widgets.flame_state import FlameState
from perftui.tui.widgets.line_widget import LineWidget

Direction = Literal["up", "down", "left", "right"]

EDGE = "▏"
"""The left edge of a frame; terminals that lack it get what is nearest to it."""

CONTEXT = 3
"""Rows that stay in view above a frame that was zoomed into."""


class Chosen(Message):
    """The selection was moved by the mouse; `again`: what was selected before was clicked."""

    def __init__(self, again: bool) -> None:
        super().__init__()
        self.again = again


class Scrolled(Message):
    """Other rows came into view by the wheel."""


class FlameGraph(LineWidget):
    """Draws a FlameState as boxes and moves its selection."""

    def __init__(self, state: FlameState, glyphs: Glyphs) -> None:
        super().__init__("flame-graph")
        self._state = state
        self._glyphs = glyphs
        self._boxes: list[list[Box]] = []
        self._top = 0

    @property
    def position(self) -> str:
        """Which rows are in view, empty when all are."""
        rows, height = len(self._boxes), self.size.height
        if rows <= height:
            return ""
        return f"rows {self._top + 1}-{min(rows, self._top + height)} of {rows}"

    @property
    def selected(self) -> Box | None:
        """The box of the selected frame, or of the innermost one on the way to it."""
        return box_of(self._boxes, self._state.selected)

    def redraw(self, follow: bool = True) -> None:
        """Lay the tree out anew and draw it; `follow`: the selected frame has to be in view."""
        width, height = self.size
        if not width or not height:
            return
        self._boxes = layout(self._state.root, self._state.zoom, width)
        selected = self.selected
        if follow and selected is not None:
            if selected.depth < self._top:
                self._top = selected.depth
            elif selected.depth >= self._top + height:
                self._top = selected.depth - height + 1
        self._top = max(0, min(self._top, len(self._boxes) - height))
        rows = self._boxes[self._top : self._top + height]
        self.set_lines([self._line(row, selected) for row in rows])

    def show_zoomed(self) -> None:
        """Bring the zoomed frame and what it called into view."""
        self._top = max(0, len(self._state.zoom) - CONTEXT)
        self.redraw()

    def move(self, direction: Direction) -> None:
        """Select the caller, the largest callee or the next frame to either side."""
        box = self.selected
        if box is None:
            return
        target: Box | None = None
        if direction == "up":
            target = box.parent
        elif direction == "down":
            target = self._largest_callee(box)
        else:
            row = [b for b in self._boxes[box.depth] if b.node is not None]
            place = row.index(box) + (1 if direction == "right" else -1)
            target = row[place] if 0 <= place < len(row) else None
        self._select(target if target is not None else box)

    def page(self, step: int) -> None:
        """Select the caller or the largest callee a page away."""
        for _ in range(max(1, self.size.height - 1)):
            box = self.selected
            if box is None:
                return
            target = box.parent if step < 0 else self._largest_callee(box)
            if target is None:
                break
            self._state.selected = target.path
        self.redraw()

    def edge(self, step: int) -> None:
        """Select everything, or the deepest frame in view below the selected one."""
        if step < 0:
            self._state.selected = ()
        else:
            for row in reversed(self._boxes):
                deepest = _largest([box for box in row if self._below_selected(box)])
                if deepest is not None:
                    self._state.selected = deepest.path
                    break
        self.redraw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """Select the frame that was clicked; too narrow ones stand for their caller."""
        row = self._top + event.y
        box = box_at(self._boxes[row], event.x) if 0 <= row < len(self._boxes) else None
        if box is None:
            return
        path = box.path
        again = path == self._state.selected and box.node is not None
        self._state.selected = path
        self.redraw()
        self.post_message(Chosen(again))

    def on_mouse_scroll_down(self) -> None:
        """Show deeper rows."""
        self._scroll(3)

    def on_mouse_scroll_up(self) -> None:
        """Show outer rows."""
        self._scroll(-3)

    def _scroll(self, rows: int) -> None:
        self._top += rows
        self.redraw(follow=False)
        self.post_message(Scrolled())

    def _select(self, box: Box) -> None:
        self._state.selected = box.path
        self.redraw()

    def _largest_callee(self, box: Box) -> Box | None:
        below = self._boxes[box.depth + 1] if box.depth + 1 < len(self._boxes) else []
        return _largest([called for called in below if called.parent is box])

    def _below_selected(self, box: Box) -> bool:
        selected = self.selected
        above: Box | None = box
        while above is not None and above is not selected:
            above = above.parent
        return above is not None

    def _line(self, row: Sequence[Box], selected: Box | None) -> Line:
        spans: list[Span] = []
        reached = 0
        for box in row:
            if box.x > reached:
                spans += _gap(reached, box.x)
            spans.append(self._span(box, selected))
            reached = box.x + box.width
        if reached < self.size.width:
            spans += _gap(reached, self.size.width)
        return tuple(spans)

    def _span(self, box: Box, selected: Box | None) -> Span:
        mark = self._glyphs.ellipsis
        edge = EDGE if box.x else " "
        node = box.node
        if node is None:
            if box.width == 1:
                return mark, "muted"
            return edge + fit(f"{mark}{box.hidden} more", box.width - 1, ellipsis=mark), "muted"
        if box is selected:
            style = "flame-selected"
        elif self._state.matches(node):
            style = "flame-match"
        else:
            style = style_of(key_of(node)[1])
        if node.place is None and box is not selected:
            style = NO_CODE
        if box.width == 1:
            return edge, style
        return edge + fit(label_of(node.place, self._glyphs), box.width - 1, ellipsis=mark), style


def _largest(boxes: Sequence[Box]) -> Box | None:
    frames = [(box.node.total, box) for box in boxes if box.node is not None]
    return max(frames, key=lambda frame: frame[0])[1] if frames else None


def _gap(start: int, end: int) -> list[Span]:
    """Return own time of the frame above; its edge ends the box to the left without colours."""
    if not start:
        return [(" " * end, "text")]
    return [(EDGE, "border"), (" " * (end - start - 1), "text")]
