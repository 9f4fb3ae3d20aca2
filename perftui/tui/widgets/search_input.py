"""The line in which a whole screen is searched, with every key that is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input


class SearchInput(Input):
    """Searches with every key; enter keeps what was found, escape drops it.

    `left` is called when either key ends it, before it goes.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "drop", show=False)]

    def __init__(
        self,
        name: str,
        placeholder: str,
        value: str,
        search: Callable[[str], None],
        left: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(value=value, placeholder=placeholder, id=name, compact=True)
        self.cursor_blink = False
        self._search = search
        self._left = left

    def on_mount(self) -> None:
        """Take the keys."""
        self.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search for what is typed so far."""
        event.stop()
        self._search(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep what was found."""
        event.stop()
        self._leave()

    def action_drop(self) -> None:
        """Search for nothing."""
        self._search("")
        self._leave()

    def on_blur(self) -> None:
        """Keep what was found when something else is clicked."""
        if self.is_attached:
            self.remove()

    def _leave(self) -> None:
        self._left()
        self.remove()
