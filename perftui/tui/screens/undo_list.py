"""The list of deletions that can be put back, with one of them selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from perftui.text import fit
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line
from perftui.tui.screens.invalidate_lines import Room
from perftui.tui.screens.undo_lines import row_cells
from perftui.tui.widgets.line_widget import LineWidget

if TYPE_CHECKING:
    from perftui.tui.undo_jobs import Kept, KeptDeletion


class UndoList(LineWidget, can_focus=True):
    """A row for each deletion, the newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", show=False, id="row.down"),
        Binding("up,k", "move(-1)", show=False, id="row.up"),
        Binding("home,g", "move(-1000000)", show=False, id="row.first"),
        Binding("end,G", "move(1000000)", show=False, id="row.last"),
    ]

    class Moved(Message):
        """Another deletion was selected."""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__("undo-list")
        self._glyphs = glyphs
        self._rows: Kept = ()
        self._cursor = 0
        self._top = 0

    @property
    def selected(self) -> KeptDeletion | None:
        """The deletion under the cursor."""
        return self._rows[self._cursor] if self._rows else None

    def take(self, rows: Kept, wanted: str = "") -> None:
        """Show other deletions; the same one stays selected, or the one with the id `wanted`."""
        before = wanted or (self.selected.id if self.selected is not None else "")
        self._rows = rows
        ids = [one.id for one in rows]
        last = max(0, len(rows) - 1)
        self._cursor = ids.index(before) if before in ids else min(self._cursor, last)

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._go(self._cursor + rows)

    def on_click(self, event: events.Click) -> None:
        """Select the row that was clicked."""
        row = self._top + event.y - 1
        if 0 <= row < len(self._rows):
            self._go(row)

    def _go(self, row: int) -> None:
        self._cursor = max(0, min(row, len(self._rows) - 1))
        self.post_message(self.Moved())

    def draw(self, now: float) -> None:
        """Draw a head and the rows around the cursor; `now` is Unix time."""
        width, height = self.size
        if not width or height < 2:
            return
        shown = height - 1
        highest = max(0, len(self._rows) - shown)
        self._top = min(max(self._top, self._cursor - shown + 1), self._cursor, highest)
        cells = [row_cells(None, now, Room(width, height, self._glyphs))]
        rows = self._rows[self._top : self._top + shown]
        cells += [row_cells(one, now, Room(width, height, self._glyphs)) for one in rows]
        lines: list[Line] = [((cells[0], "header"),)]
        for number, (one, text) in enumerate(zip(rows, cells[1:], strict=True), self._top):
            style = "muted" if one.refused else "text"
            if number == self._cursor:
                style = "selected" if self.has_focus else "selected-unfocused"
            lines.append(((fit(text, width, ellipsis=self._glyphs.ellipsis), style),))
        self.set_lines(lines)
