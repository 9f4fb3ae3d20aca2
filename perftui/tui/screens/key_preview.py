"""What one key holds, over the whole screen: its beginning, decoded and harmless."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from perftui.cache.key_details import GONE
from perftui.cache.preview import Preview
from perftui.cache.typed_pattern import shown_key
from perftui.history import History
from perftui.preview_facts import cut_note, life_facts, value_facts
from perftui.snapshot import Absent, Maybe, State
from perftui.text import cell_width, fit, printable
from perftui.tui.actions import shown_key_of
from perftui.tui.glyphs import Glyphs
from perftui.tui.jobs import Job
from perftui.tui.key_browsing import KeyBrowsing
from perftui.tui.lines import Line, Span, columns_of
from perftui.tui.panes.pane import absent_lines
from perftui.tui.view import View
from perftui.tui.widgets.line_widget import LineWidget

POLL = 0.05


class Display(Protocol):
    """The app as this screen sees it."""

    history: History

    def copy_to_clipboard(self, text: str) -> None: ...


class KeyPreviewScreen(ModalScreen[None]):
    """Shows a value as soon as it is read; nothing reads it again but a key."""

    CSS = """
    KeyPreviewScreen { layout: vertical; background: $background; }
    KeyPreviewScreen > LineWidget { width: 1fr; height: 1fr; }
    KeyPreviewScreen > #preview-head { height: 3; }
    KeyPreviewScreen > #preview-keys { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", show=False, id="row.down"),
        Binding("up,k", "move(-1)", show=False, id="row.up"),
        Binding("pagedown,space", "page(1)", show=False, id="row.page_down"),
        Binding("pageup", "page(-1)", show=False, id="row.page_up"),
        Binding("home,g", "edge(-1)", show=False, id="row.first"),
        Binding("end,G", "edge(1)", show=False, id="row.last"),
        Binding("y", "copy", show=False, id="row.copy"),
        Binding("r", "again", show=False),
        Binding("escape", "close", show=False, id="app.back"),
        Binding("enter", "close", show=False, id="pane.zoom"),
        Binding("q,v", "close", show=False),
        Binding("ctrl+c", "app.quit", show=False),
    ]

    def __init__(
        self,
        browsing: KeyBrowsing,
        key: bytes,
        glyphs: Glyphs,
        keys: Mapping[str, str],
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._browsing = browsing
        self._key = key
        self._glyphs = glyphs
        self._ascii = glyphs.chart == "ascii"
        self._remapped = keys
        self._wall = wall
        self._job: Job[Maybe[Preview]] | None = None
        self._found: Preview | None = None
        self._problem: Absent | None = None
        self._rows: list[Line] = []
        self._rows_for: tuple[object, int] = (None, 0)
        self._top = 0
        self._copied = False
        self._head = LineWidget("preview-head")
        self._body = LineWidget("preview-body")
        self._keys = LineWidget("preview-keys")

    def compose(self) -> ComposeResult:
        """Yield what is known of the key, the value and the keys."""
        yield self._head
        yield self._body
        yield self._keys

    def on_mount(self) -> None:
        """Read the value."""
        self.set_interval(POLL, self._poll)
        self.action_again()
        self.call_after_refresh(self._draw)

    def on_unmount(self) -> None:
        """Do not wait for a value that nobody looks at."""
        if self._job is not None:
            self._job.cancel()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    def on_mouse_scroll_down(self) -> None:
        """Scroll down by the wheel."""
        self.action_move(3)

    def on_mouse_scroll_up(self) -> None:
        """Scroll up by the wheel."""
        self.action_move(-3)

    def action_move(self, rows: int) -> None:
        """Scroll by a number of lines."""
        self._top += rows
        self._draw()

    def action_page(self, step: int) -> None:
        """Scroll by a page."""
        self.action_move(step * max(1, self._body.size.height - 1))

    def action_edge(self, step: int) -> None:
        """Go to the first or the last line."""
        self._top = 0 if step < 0 else len(self._rows)
        self._draw()

    def action_again(self) -> None:
        """Read the value anew."""
        if self._job is None:
            self._job = self._browsing.preview(self._key)
            self._draw()

    def action_copy(self) -> None:
        """Copy the lines of the value."""
        if self._found is not None and self._found.lines:
            cast(Display, self.app).copy_to_clipboard("\n".join(self._found.lines))
            self._copied = True
            self._draw()

    def action_close(self) -> None:
        """Return to the keys."""
        self.dismiss()

    def _poll(self) -> None:
        job = self._job
        if job is None or not job.done:
            return
        self._job = None
        result = job.result
        self._copied = False
        if isinstance(result, Preview):
            self._found = result
            refused = result.refused
            self._problem = self._browsing.explained(refused) if refused else None
        elif isinstance(result, Absent):
            self._problem = result
        else:
            self._problem = Absent(State.UNAVAILABLE, f"it could not be read: {job.error}")
        self._draw()

    # What is drawn

    def _draw(self) -> None:
        width = self._body.size.width
        if not width:
            return
        if self._rows_for != (self._found, width) or self._problem is not None:
            self._rows = self._lines(width)
            self._rows_for = (self._found, width)
        height = self._body.size.height
        self._top = max(0, min(self._top, len(self._rows) - height))
        self._body.set_lines(self._rows[self._top : self._top + height])
        self._head.set_lines([self._first_line(width), *self._facts(width)])
        shown = ((shown_key_of("row.down", self._remapped), "scroll"),
                 (shown_key_of("row.copy", self._remapped), "copy"), ("r", "again"),
                 (shown_key_of("app.back", self._remapped), "close"))  # fmt: skip
        line: Line = tuple(
            span
            for key, label in shown
            for span in ((f" {key}", "key"), (f" {label} ", "key-label"))
        )
        self._keys.set_lines([line])

    def _first_line(self, width: int) -> Line:
        spans: list[Span] = [(" Value ", "title-focused"), ("  ", "text")]
        text = printable(shown_key(self._key[: 4 * width]), self._ascii)
        rows, height = len(self._rows), self._body.size.height
        place = ""
        if rows > height:
            place = f" lines {self._top + 1:,}-{min(rows, self._top + height):,} of {rows:,} "
        room = max(8, width - 9 - len(place) - 1)
        if cell_width(text) > room:
            text = fit(text, room, ellipsis=self._glyphs.ellipsis)
        spans.append((text, "accent"))
        return columns_of(tuple(spans), ((place, "muted"),), width, self._glyphs.ellipsis)

    def _facts(self, width: int) -> list[Line]:
        found = self._found
        if self._copied:
            return [((" copied the value to the clipboard", "ok"),)]
        if found is None:
            text = "" if self._problem is not None else f"reading it{self._glyphs.ellipsis}"
            return [((f" {text}", "accent"),)]
        if found.type == GONE:
            return [((" there is no such key: it expired or was deleted", "warning"),)]
        return [
            self._joined(value_facts(found), "text"),
            self._joined(life_facts(found, self._wall()), "muted"),
        ]

    def _joined(self, facts: list[str], style: str) -> Line:
        separator = f" {self._glyphs.separator} "
        text = separator.join(printable(fact, self._ascii) for fact in facts if fact)
        return ((f" {text}", style),)

    def _lines(self, width: int) -> list[Line]:
        lines: list[Line] = []
        if self._problem is not None:
            history = cast(Display, self.app).history
            view = View(width, self._body.size.height, self._glyphs, history, interval=1.0)
            lines += [(), *absent_lines(self._problem, view)]
        found = self._found
        if found is None or found.type == GONE:
            return lines
        for note in found.notes:
            lines += [((f" {self._glyphs.warning} {part}", "warning"),)
                      for part in _folded(printable(note, self._ascii), width - 4)]  # fmt: skip
        for text in found.lines:
            lines += [((f" {part}", "text"),)
                      for part in _folded(printable(text, self._ascii), width - 2)]  # fmt: skip
        if not found.lines and not found.notes and self._problem is None:
            lines.append(((" it is empty", "muted"),))
        if note := cut_note(found):
            lines += [(), ((f" {self._glyphs.ellipsis} {note}", "muted"),)]
        return lines


def _folded(text: str, width: int) -> list[str]:
    """Return a line in pieces of at most `width` cells; what is indented stays so."""
    pieces: list[str] = []
    width = max(8, width)
    while cell_width(text) > width:
        head = fit(text, width, ellipsis="")
        if not text.startswith(head):
            # A wide character did not fit in, and a blank took its place.
            head = head[:-1]
        pieces.append(head)
        text = text[len(head) :]
    return [*pieces, text]
