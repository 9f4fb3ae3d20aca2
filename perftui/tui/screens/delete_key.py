"""The question whether one key shall be deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from perftui.cache.protection import OWN_PREFIX
from perftui.cache.typed_pattern import shown_key
from perftui.text import printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line
from perftui.tui.screens.form_screen import FormScreen, wrapped
from perftui.tui.widgets.line_widget import LineWidget

MOST_LINES = 4
"""Lines of the key; one may be megabytes long."""


class DeleteKeyScreen(FormScreen):
    """Names the key; y deletes it, n and escape leave it."""

    CSS = "DeleteKeyScreen > Vertical { height: 10; max-width: 90; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "delete", show=False),
        Binding("n,q", "leave", show=False),
    ]

    def __init__(
        self, key: bytes, facts: str, address: str, glyphs: Glyphs, take: Callable[[bytes], None]
    ) -> None:
        super().__init__(glyphs)
        self._key = key
        self._facts = facts
        self._address = address
        self._take = take
        self._box = Vertical()
        self._wanted = 0
        self._body = LineWidget("delete-key")
        self._body.set_class(True, "form-body")

    def compose(self) -> ComposeResult:
        """Yield the question."""
        with self._box:
            self._box.border_title = "Delete this key?"
            yield self._body

    def on_mount(self) -> None:
        """Draw once there is a size."""
        self.call_after_refresh(self.draw)

    def action_apply(self) -> None:
        """Enter is too near to the keys of the list to delete anything."""

    def action_delete(self) -> None:
        """Delete the key."""
        self.dismiss()
        self._take(self._key)

    def draw(self) -> None:
        """Draw the question."""
        width = self._body.size.width
        if not width:
            return
        room = width * MOST_LINES
        text = printable(shown_key(self._key[:room]), self.ascii_only)
        named = wrapped(text, width, "accent")
        if len(named) > MOST_LINES or len(self._key) > room:
            named = [*named[:MOST_LINES], ((self._glyphs.ellipsis, "accent"),)]
        where = printable(self._address, self.ascii_only)
        note = (
            f"In {where}: deleted there and in the memory of all services; undo brings it back "
            "within ten minutes if it is not larger than 1 MB. Written to the audit stream."
        )
        answer: Line = (("y", "key"), (" deletes it   ", "text"), ("n", "key"),
                        (" or ", "text"), ("escape", "key"), (" keeps it", "text"))  # fmt: skip
        if self._key.startswith(OWN_PREFIX):
            note = "It is one of perftui's own: reports, pools or the audit. " + note
        facts: Line = ((printable(self._facts, self.ascii_only), "text"),)
        lines = [*named, facts, *wrapped(note, width, "muted"), (), answer]
        if self._wanted != len(lines):
            self._wanted = len(lines)
            self._box.styles.height = len(lines) + 2
            # It is drawn again once the box has grown.
            self.call_after_refresh(self.draw)
        # In a very small terminal the answer is worth more than the rest.
        self._body.set_lines(lines[-max(1, self._body.size.height) :])
