"""The threads of a dump as a list whose rows open into stacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual import events
from textual.message import Message

from perftui.profiling.modules import kind_of
from perftui.profiling.thread_dump import DumpedFrame, LocalVariable, ThreadGroup, waiting_place
from perftui.snapshot import Place
from perftui.text import cell_width, fit, printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span
from perftui.tui.widgets.flame_marks import cut_left, label_of, place_text
from perftui.tui.widgets.line_widget import LineWidget

MOST_OPENED = 3
"""Running threads that are open from the start."""

INDENT = 4
MOST_FUNCTION = 64


class StackRow(NamedTuple):
    """A row of the list: a group, one of its frames, or one local variable of that frame."""

    group: int
    frame: int = -1
    variable: int = -1


class StackList(LineWidget, can_focus=True):
    """Draws groups of threads; opens, closes, searches and selects them."""

    class Moved(Message):
        """Another row was selected, or other rows are in view."""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__("stack-list")
        self._glyphs = glyphs
        self._groups: tuple[ThreadGroup, ...] = ()
        self._opened: set[int] | None = None
        self._rows: list[StackRow] = []
        self._cursor = 0
        self._top = 0
        self.search = ""

    @property
    def selected_group(self) -> ThreadGroup | None:
        """The group that the cursor is in."""
        row = self._row
        return None if row is None else self._groups[row.group]

    @property
    def selected_frame(self) -> DumpedFrame | None:
        """The frame under the cursor; of a group the one that tells where it stands."""
        row = self._row
        if row is None:
            return None
        group = self._groups[row.group]
        if row.frame >= 0:
            return group.frames[row.frame]
        return place_of(group)

    @property
    def selected_variable(self) -> LocalVariable | None:
        """The local variable under the cursor."""
        row = self._row
        if row is None or row.variable < 0:
            return None
        return self._groups[row.group].frames[row.frame].variables[row.variable]

    @property
    def position(self) -> str:
        """Which rows are in view, empty when all are."""
        rows, height = len(self._rows), self.size.height
        if rows <= height:
            return ""
        return f"rows {self._top + 1}-{min(rows, self._top + height)} of {rows}"

    @property
    def found(self) -> int:
        """How many groups match the search."""
        return len({row.group for row in self._rows})

    def take(self, groups: tuple[ThreadGroup, ...]) -> None:
        """Show other groups; threads that are still there stay open and selected."""
        before = self.selected_group
        self._groups = groups
        if self._opened is None:
            running = [group for group in groups if group.first.active or group.first.owns_gil]
            first = running[:MOST_OPENED] or groups[:1]
            self._opened = {group.first.key for group in first}
        self._arrange()
        if before is not None:
            keys = {thread.key for thread in before.threads}
            self._select_group(keys)
        self.redraw()

    def search_for(self, text: str) -> None:
        """Show only groups with a thread, function or file that contains `text`."""
        self.search = text.casefold()
        self._cursor = self._top = 0
        self._arrange()
        self.redraw()

    def move(self, rows: int) -> None:
        """Move the cursor by a number of rows."""
        self._go(self._cursor + rows)

    def page(self, step: int) -> None:
        """Move the cursor by a page."""
        self._go(self._cursor + step * max(1, self.size.height - 1))

    def edge(self, step: int) -> None:
        """Select the first or the last row."""
        self._go(0 if step < 0 else len(self._rows) - 1)

    def step_group(self, step: int) -> None:
        """Select the next or previous thread."""
        row = self._row
        if row is None:
            return
        heads = [index for index, one in enumerate(self._rows) if one.frame < 0]
        if step > 0:
            self._go(next((index for index in heads if index > self._cursor), self._cursor))
        else:
            self._go(next((i for i in reversed(heads) if i < self._cursor), self._cursor))

    def toggle(self) -> None:
        """Open or close the group of the selected row."""
        group = self.selected_group
        if group is None or self._opened is None:
            return
        keys = {thread.key for thread in group.threads}
        if self._opened & keys:
            self._opened -= keys
        else:
            self._opened |= keys
        self._arrange()
        self._select_group(keys)
        self.redraw()

    def toggle_all(self) -> None:
        """Open all groups, or close them when all are open."""
        everyone = {thread.key for group in self._groups for thread in group.threads}
        opened = self._opened or set()
        group = self.selected_group
        closed = [
            one for one in self._groups if not opened & {thread.key for thread in one.threads}
        ]
        self._opened = everyone if closed else set()
        self._arrange()
        if group is not None:
            self._select_group({thread.key for thread in group.threads})
        self.redraw()

    def redraw(self) -> None:
        """Draw the rows in view, with the cursor among them."""
        width, height = self.size
        if not width or not height:
            return
        self._cursor = max(0, min(self._cursor, len(self._rows) - 1))
        if self._cursor < self._top:
            self._top = self._cursor
        elif self._cursor >= self._top + height:
            self._top = self._cursor - height + 1
        self._top = max(0, min(self._top, len(self._rows) - height))
        lines = [
            self._line(row, index == self._cursor)
            for index, row in enumerate(self._rows[self._top : self._top + height], self._top)
        ]
        self.set_lines(lines)
        self.post_message(self.Moved())

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.forget_lines()
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """Select the row that was clicked; open or close it when it was selected before."""
        index = self._top + event.y
        if index >= len(self._rows):
            return
        if index == self._cursor:
            self.toggle()
        else:
            self._go(index)

    def on_mouse_scroll_down(self) -> None:
        """Move the cursor down by the wheel."""
        self.move(3)

    def on_mouse_scroll_up(self) -> None:
        """Move the cursor up by the wheel."""
        self.move(-3)

    @property
    def _row(self) -> StackRow | None:
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    def _go(self, index: int) -> None:
        self._cursor = max(0, min(index, len(self._rows) - 1))
        self.redraw()

    def _select_group(self, keys: set[int]) -> None:
        for index, row in enumerate(self._rows):
            if row.frame < 0 and keys & {one.key for one in self._groups[row.group].threads}:
                self._cursor = index
                return

    def _arrange(self) -> None:
        opened = self._opened or set()
        rows: list[StackRow] = []
        for number, group in enumerate(self._groups):
            in_stack = self.search and any(self._matches(frame) for frame in group.frames)
            if self.search and not in_stack and not self._matches_name(group):
                continue
            rows.append(StackRow(number))
            if not in_stack and not opened & {thread.key for thread in group.threads}:
                continue
            for place, frame in enumerate(group.frames):
                rows.append(StackRow(number, place))
                rows += [StackRow(number, place, index) for index in range(len(frame.variables))]
        self._rows = rows

    def _matches(self, frame: DumpedFrame) -> bool:
        text = f"{frame.function}\n{frame.file}".casefold()
        return bool(self.search) and self.search in text

    def _matches_name(self, group: ThreadGroup) -> bool:
        return any(self.search in thread.name.casefold() for thread in group.threads)

    # Lines

    def _line(self, row: StackRow, selected: bool) -> Line:
        group = self._groups[row.group]
        if row.variable >= 0:
            spans = self._variable(group.frames[row.frame].variables[row.variable])
        elif row.frame >= 0:
            spans = self._frame(group.frames[row.frame])
        else:
            spans = self._head(group)
        if not selected:
            return tuple(spans)
        style = "selected" if self.has_focus else "selected-unfocused"
        text = "".join(text for text, _ in spans)
        return ((fit(text, self.size.width, ellipsis=self._glyphs.ellipsis), style),)

    def _head(self, group: ThreadGroup) -> list[Span]:
        glyphs, first = self._glyphs, group.first
        opened = (self._opened or set()) & {thread.key for thread in group.threads}
        mark = glyphs.down if opened else glyphs.pointer
        state, style = thread_state(group)
        name = thread_names(group, glyphs)
        width = self.size.width
        named = max(16, min(44, width // 3))
        spans: list[Span] = [
            (f" {mark} ", "muted"),
            (fit(name, named, ellipsis=glyphs.ellipsis), "title"),
            (f" {state:<6} ", style),
        ]
        place = place_of(group)
        if place is None:
            return [*spans, ("no Python frame", "absent")]
        room = width - sum(cell_width(text) for text, _ in spans)
        word = "" if first.active or first.owns_gil else "waits in "
        function = printable(place.function, glyphs.chart == "ascii") or "?"
        where = place_text(_place(place), glyphs.chart == "ascii")
        left = room - len(word) - cell_width(function) - 3
        spans += [(word, "muted"), (function, self._style(place))]
        if left >= 8:
            spans += [("  ", "text"), (cut_left(where, left, glyphs.ellipsis), "muted")]
        return spans

    def _frame(self, frame: DumpedFrame) -> list[Span]:
        glyphs, width = self._glyphs, self.size.width
        function = max(10, min(MOST_FUNCTION, (width - INDENT) // 2))
        where = max(14, width - INDENT - function - 3)
        name = fit(label_of(_place(frame), glyphs), function, ellipsis=glyphs.ellipsis)
        place = cut_left(place_text(_place(frame), glyphs.chart == "ascii"), where, glyphs.ellipsis)
        return [
            (" " * INDENT, "text"), (name, self._style(frame)), ("  ", "text"), (place, "muted"),
        ]  # fmt: skip

    def _variable(self, variable: LocalVariable) -> list[Span]:
        ascii_only = self._glyphs.chart == "ascii"
        name = printable(variable.name, ascii_only)
        return [
            (" " * (INDENT + 3), "text"),
            (name, "accent" if variable.argument else "text"),
            (" = ", "muted"),
            (printable(variable.value, ascii_only), "text"),
        ]

    def _style(self, frame: DumpedFrame) -> str:
        if self._matches(frame):
            return "flame-match"
        return "accent" if kind_of(frame.file) == "own" else "text"


def place_of(group: ThreadGroup) -> DumpedFrame | None:
    """Return the frame that tells where the threads of a group stand."""
    if group.first.active or group.first.owns_gil:
        return group.frames[0] if group.frames else None
    return waiting_place(group.frames)


def thread_state(group: ThreadGroup) -> Span:
    """Return what the threads do, in a word."""
    if group.first.owns_gil:
        return ("GIL", "own")
    return ("active", "ok") if group.first.active else ("idle", "muted")


def thread_names(group: ThreadGroup, glyphs: Glyphs) -> str:
    """Return how a thread is called, or how many there are and how the first of them are."""
    names = [printable(one.name, glyphs.chart == "ascii") for one in group.threads]
    if len(names) == 1:
        return f"{names[0] or 'thread'} {group.first.key}"
    known = _common(sorted({name for name in names if name}))
    return f"{len(names)} threads" + (f" {known}" if known else "")


def _common(names: Sequence[str]) -> str:
    """Return the names in as few words as tell them: `worker-*` for worker-0 to worker-11."""
    if not names:
        return ""
    shared = names[0]
    for name in names[1:]:
        while not name.startswith(shared):
            shared = shared[:-1]
    if len(names) > 1 and len(shared) >= 3:
        return f"{shared.rstrip('0123456789')}*"
    return ", ".join(names)


def _place(frame: DumpedFrame) -> Place:
    return Place(frame.function, frame.file, frame.line)
