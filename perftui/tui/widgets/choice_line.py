"""One line in which one of a few things is chosen with left and right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from perftui.tui.lines import Line, Span
from perftui.tui.widgets.line_widget import LineWidget


class ChoiceLine(LineWidget, can_focus=True):
    """Shows a label and its options, the chosen one in brackets."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", show=False),
        Binding("right,l,space", "step(1)", show=False),
    ]

    class Chosen(Message):
        """Another option was chosen."""

    def __init__(self, name: str, label: str, options: Sequence[str]) -> None:
        super().__init__(name)
        self._label = label
        self.options = tuple(options)
        self.index = 0

    def draw(self) -> None:
        """Draw label and options."""
        style = "accent" if self.has_focus else "title"
        spans: list[Span] = [(self._label, style)]
        for index, option in enumerate(self.options):
            if index == self.index:
                spans.append(
                    (f"[{option}]", "selected" if self.has_focus else "selected-unfocused")
                )
            else:
                spans.append((f" {option} ", "text"))
            spans.append((" ", "text"))
        line: Line = tuple(spans)
        self.set_lines([line])

    def choose(self, index: int) -> None:
        """Choose an option by its place."""
        self.index = index % len(self.options)
        self.draw()
        self.post_message(self.Chosen())

    def action_step(self, step: int) -> None:
        """Choose the next or previous option."""
        self.choose(self.index + step)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.draw()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show whether the keys go here."""
        super().watch_has_focus(has_focus)
        self.draw()

    def on_click(self, event: events.Click) -> None:
        """Choose the option that was clicked."""
        x = len(self._label)
        for index, option in enumerate(self.options):
            width = len(option) + 3
            if x <= event.x < x + width:
                self.choose(index)
                return
            x += width
