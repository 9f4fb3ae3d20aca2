"""The line at the bottom in which the filter of a pane is typed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from perftui.tui.widgets.pane_widget import PaneWidget


class FilterInput(Input):
    """Filters its pane with every key; enter keeps the filter, escape drops it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "drop", show=False)]
    DEFAULT_CSS = """
    FilterInput { width: 1fr; height: 1; border: none; padding: 0 1; }
    FilterInput:focus { border: none; }
    """

    def __init__(self, pane: PaneWidget) -> None:
        super().__init__(
            value=pane.state.filter,
            placeholder=f"filter {pane.pane.title}: enter keeps, escape shows all",
            id="filter-input",
            compact=True,
        )
        self.cursor_blink = False
        self._pane = pane

    def on_mount(self) -> None:
        """Take the keys."""
        self.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter with what is typed so far."""
        event.stop()
        self._pane.set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        event.stop()
        self._leave()

    def action_drop(self) -> None:
        """Show all rows again."""
        self._pane.set_filter("")
        self._leave()

    def on_blur(self) -> None:
        """Keep the filter when something else is clicked."""
        if self.is_attached:
            self.remove()

    def _leave(self) -> None:
        self._pane.focus()
        self.remove()
