"""A framed pane on the screen: draws what a Pane gives, keeps cursor, sorting and filter."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, Protocol, cast

from textual import events
from textual.message import Message

from perftui.history import History
from perftui.snapshot import Snapshot
from perftui.text import printable
from perftui.tui.block_list import block_page
from perftui.tui.cache_view import CacheView
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span, fit_line, width_of
from perftui.tui.panes.pane import Pane
from perftui.tui.profile_view import ProfileView
from perftui.tui.server_marks import ServerMarks
from perftui.tui.table import (
    Arranged,
    Blocks,
    Table,
    TableState,
    arrange,
    fit_columns,
    header_line,
    next_sort,
    record_line,
)
from perftui.tui.view import Choice, View
from perftui.tui.widgets.line_widget import LineWidget


class Dashboard(Protocol):
    """The app as panes see it."""

    glyphs: Glyphs
    history: History
    sampling_interval: float
    actions_allowed: bool
    choice: Choice
    profile_view: ProfileView
    cache_view: CacheView
    marked_servers: ServerMarks
    snapshot: Snapshot | None


class PaneWidget(LineWidget, can_focus=True):
    """Shows one pane; the cursor stays on its record when the order changes."""

    lines_fit = True

    class Focused(Message):
        """The pane got the focus."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    class Moved(Message):
        """The cursor of a zoomed pane went to another record."""

    def __init__(self, pane: Pane) -> None:
        super().__init__(pane.id)
        self.pane = pane
        self.state = TableState(sort=pane.default_sort)
        self.zoomed = False
        self.above = False
        self.below = False
        self._cursor: Hashable | None = None
        self._index = 0
        self._offset = 0
        self._page = 1
        self._table: Table[Any] | None = None
        self._arranged: Arranged[Any] = Arranged([])
        self._rows: list[int | None] = []
        """Index of the record that each line inside the frame belongs to."""

    @property
    def dashboard(self) -> Dashboard:
        """The dashboard, which is the app."""
        return cast(Dashboard, self.app)

    @property
    def view(self) -> View:
        """How the pane is drawn now."""
        dashboard, size = self.dashboard, self.size
        return View(
            width=max(0, size.width - 2),
            height=max(0, size.height - (1 if self.below else 2)),
            glyphs=dashboard.glyphs,
            history=dashboard.history,
            interval=dashboard.sampling_interval,
            zoomed=self.zoomed,
            actions_allowed=dashboard.actions_allowed,
            choice=dashboard.choice,
            profile=dashboard.profile_view,
            cache=dashboard.cache_view,
            marked_servers=dashboard.marked_servers,
        )

    @property
    def selected(self) -> Any | None:
        """The record under the cursor, None where there is none."""
        records = self._arranged.records
        return records[self._index] if records and self._index < len(records) else None

    @property
    def cursor(self) -> Hashable | None:
        """The key of the record that was gone to, also while it is not there."""
        return self._cursor

    @property
    def selected_text(self) -> str:
        """What is copied of the selected record: its cells, two spaces apart, or what it says."""
        record = self.selected
        if record is None or self._table is None:
            return ""
        if self._table.copied is not None:
            return self._table.copied(record)
        if self._table.blocks is not None:
            lines = self._table.blocks.lines(record)
            return "  ".join("".join(text for text, _ in line).strip() for line in lines)
        return "  ".join(column.cell(record)[0].strip() for column in self._table.columns)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the pane for a snapshot; sorts and filters, formats only visible rows."""
        view = self.view
        if view.width <= 0 or view.height <= 0:
            return
        self._table = self.pane.table(snapshot, view)
        if self._table is not None:
            self._arranged = arrange(self._table, self.state, view.glyphs)
            self._keep_cursor(self._table, self._arranged.records)
            view = replace(view, selected=self.selected)
        else:
            self._arranged = Arranged([])
        head = self.pane.head(snapshot, view)
        lines = [self._top_line(snapshot, view), *(self._framed(line, view) for line in head)]
        self._rows = [None] * len(head)
        if self._table is not None:
            lines += self._table_lines(self._table, view, view.height - len(head))
        blank = self._framed((), view)
        lines = lines[: view.height + 1]
        lines += [blank] * (view.height + 1 - len(lines))
        if not self.below:
            lines.append(self._bottom_line(view))
        self.set_lines(lines)

    def redraw(self) -> None:
        """Draw again for the snapshot on the screen."""
        snapshot = self.dashboard.snapshot
        if snapshot is not None:
            self.show(snapshot)

    def _table_lines(self, table: Table[Any], view: View, room: int) -> list[Line]:
        records = self._arranged.records
        if not records:
            if self.state.filter:
                text = f"nothing matches {printable(self.state.filter, view.ascii_only)!r}"
                return [self._framed(((f" {text}: escape shows all", "absent"),), view)]
            return [self._framed(line, view) for line in table.empty]
        if table.blocks is not None:
            return self._block_lines(table.blocks, view, room)
        sized = fit_columns(table.columns, view.width)
        self._page = max(1, room - 1)
        first = len(records) - self._page
        self._offset = max(0, min(self._offset, first))
        if self._index < self._offset:
            self._offset = self._index
        elif self._index >= self._offset + self._page:
            self._offset = self._index - self._page + 1
        lines = [self._framed(header_line(sized, self.state, view.glyphs), view)]
        self._rows.append(None)
        exact = sum(width for _, width in sized) + len(sized) - 1 == view.width
        vertical = (view.glyphs.vertical, self._border)
        prefixes = self._arranged.prefixes
        selected = self._index if self._show_cursor else -1
        for index in range(self._offset, min(len(records), self._offset + self._page)):
            record = records[index]
            prefix = prefixes.get(table.key(record), "") if prefixes else ""
            line = record_line(record, sized, view.glyphs, table.tree_column, prefix)
            self._rows.append(index)
            if index == selected:
                lines.append(self._framed(self._as_selected(line, view), view))
            elif exact:
                lines.append((vertical, *line, vertical))
            else:
                lines.append(self._framed(line, view))
        return lines

    def _block_lines(self, blocks: Blocks[Any], view: View, room: int) -> list[Line]:
        page = block_page(self._arranged.records, blocks, self._index, self._offset, room)
        self._offset, self._page = page.first, max(1, page.whole)
        lines: list[Line] = []
        marked = not self._show_cursor
        for line, index in zip(page.lines, page.rows, strict=True):
            self._rows.append(index)
            if index == self._index and not marked:
                # The lines below keep their colours: the first one shows where the cursor is.
                marked = True
                line = self._as_selected(line, view)
            lines.append(self._framed(line, view))
        return lines

    def _as_selected(self, line: Line, view: View) -> Line:
        style = "selected" if self.has_focus else "selected-unfocused"
        same = tuple((text, style) for text, _ in line)
        return fit_line(same, view.width, view.glyphs.ellipsis, style)

    @property
    def _show_cursor(self) -> bool:
        return self.has_focus or self._cursor is not None

    def _keep_cursor(self, table: Table[Any], records: list[Any]) -> None:
        if not records:
            self._index = 0
            return
        holds = self.zoomed or (self.has_focus and table.blocks is not None)
        if self._cursor is None and holds and self.pane.follows_cursor:
            # What is shown in detail, or acted on by a key, must not change with the order.
            self._cursor = table.key(records[min(self._index, len(records) - 1)])
        if self._cursor is not None:
            key = table.key
            if self._index < len(records) and key(records[self._index]) == self._cursor:
                return
            for index, record in enumerate(records):
                if key(record) == self._cursor:
                    self._index = index
                    return
            self._index = min(self._index, len(records) - 1)
            self._cursor = key(records[self._index])
        else:
            self._index = min(self._index, len(records) - 1)

    # Frame

    @property
    def _border(self) -> str:
        return "border-focused" if self.has_focus else "border"

    def _framed(self, line: Line, view: View) -> Line:
        vertical = (view.glyphs.vertical, self._border)
        return (vertical, *fit_line(line, view.width, view.glyphs.ellipsis), vertical)

    def _top_line(self, snapshot: Snapshot, view: View) -> Line:
        glyphs, border = view.glyphs, self._border
        left = glyphs.tee_left if self.above else glyphs.top_left
        right = glyphs.tee_right if self.above else glyphs.top_right
        title = "title-focused" if self.has_focus else "title"
        spans: list[Span] = [
            (left, border),
            (f" {self.pane.number} " if self.pane.number else " ", "key"),
            (f"{self.pane.title} ", title),
        ]
        notes: list[Line] = []
        heading = self.pane.heading(snapshot, view)
        if heading:
            notes.append(heading)
        if self.state.filter:
            notes.append(((f"/{printable(self.state.filter, view.ascii_only)}", "accent"),))
        for note in notes:
            spans += [(f"{glyphs.horizontal} ", border), *note, (" ", "title")]
        taken = width_of(spans)
        room = view.width + 1 - taken
        if room < 0:
            spans = list(fit_line(spans, view.width + 1, glyphs.ellipsis))
        else:
            spans.append((glyphs.horizontal * room, border))
        spans.append((right, border))
        return fit_line(spans, view.width + 2, "")

    def _bottom_line(self, view: View) -> Line:
        glyphs, border = view.glyphs, self._border
        records = len(self._arranged.records)
        place = f" {self._index + 1}/{records} " if records > self._page else ""
        line = glyphs.horizontal * max(0, view.width - len(place) - 1)
        tail = glyphs.horizontal if place or view.width else ""
        text = f"{glyphs.bottom_left}{line}"
        spans = [(text, border), (place, "muted"), (f"{tail}{glyphs.bottom_right}", border)]
        return fit_line(spans, view.width + 2, "")

    # What a person does

    def move(self, rows: int) -> None:
        """Move the cursor by a number of rows."""
        records = self._arranged.records
        if not records or self._table is None:
            return
        self._index = max(0, min(len(records) - 1, self._index + rows))
        self._cursor = self._table.key(records[self._index])
        self.redraw()
        if self.zoomed:
            self.post_message(self.Moved())

    def go_to(self, key: Hashable) -> None:
        """Put the cursor on a record, which a filter must not hide."""
        self._cursor = key
        if self.state.filter:
            self.state = replace(self.state, filter="")
        self.redraw()

    def move_page(self, direction: int) -> None:
        """Move the cursor by a page."""
        self.move(direction * max(1, self._page - 1))

    def move_to_edge(self, direction: int) -> None:
        """Move the cursor to the first or last row."""
        self.move(direction * (len(self._arranged.records) + 1))

    def sort_next(self) -> str:
        """Sort by the next column and return its title, empty where nothing can be sorted."""
        if self._table is None:
            return ""
        seen = {column.id for column, _ in fit_columns(self._table.columns, self.view.width)}
        self.state = next_sort(self._table, self.state, self.pane.default_sort, seen)
        self.redraw()
        return next((c.title for c in self._table.columns if c.id == self.state.sort), "")

    def sort_by(self, column: str) -> None:
        """Sort by a column in its own order."""
        self.state = replace(self.state, sort=column, reverse=False)

    def reverse(self) -> None:
        """Turn the order round."""
        self.state = replace(self.state, reverse=not self.state.reverse)
        self.redraw()

    def toggle_tree(self) -> bool:
        """Switch between tree and list; False where the table has no tree."""
        if self._table is None or self._table.parent is None:
            return False
        self.state = replace(self.state, tree=not self.state.tree)
        self.redraw()
        return True

    def set_filter(self, text: str) -> None:
        """Keep only rows that contain `text`."""
        self.state = replace(self.state, filter=text)
        self.redraw()

    def on_focus(self) -> None:
        """Tell which pane has the focus."""
        self.post_message(self.Focused(self.pane.id))

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show where the focus is; `on_focus` is called before this widget knows it."""
        super().watch_has_focus(has_focus)
        self.redraw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.forget_lines()
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """Select the row that was clicked."""
        row = event.y - 1
        index = self._rows[row] if 0 <= row < len(self._rows) else None
        if index is not None:
            self.move(index - self._index)

    def on_mouse_scroll_down(self) -> None:
        """Move the cursor down by the wheel."""
        self.move(3)

    def on_mouse_scroll_up(self) -> None:
        """Move the cursor up by the wheel."""
        self.move(-3)
