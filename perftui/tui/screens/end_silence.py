"""The question whether a silence shall end now."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from perftui.format import age, moment
from perftui.snapshot import Alert, Snapshot
from perftui.text import printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, wrap
from perftui.tui.panes.alert_marks import name_of
from perftui.tui.screens.snapshot_screen import SnapshotScreen
from perftui.tui.widgets.line_widget import LineWidget


class EndSilenceScreen(SnapshotScreen):
    """Shows a silence; enter ends it, escape leaves it."""

    CSS = """
    EndSilenceScreen { align: center middle; }
    EndSilenceScreen > Vertical {
        width: 92%; max-width: 80; height: 9; max-height: 100%;
        background: $background; border: round $accent; padding: 0 1;
        border-title-color: $accent;
    }
    EndSilenceScreen LineWidget { width: 1fr; height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,ctrl+c", "leave", show=False),
        Binding("enter", "apply", show=False),
    ]

    def __init__(
        self, alert: Alert, snapshot: Snapshot, glyphs: Glyphs, take: Callable[[Alert], None]
    ) -> None:
        super().__init__()
        self._alert = alert
        self._snapshot = snapshot
        self._ascii = glyphs.chart == "ascii"
        self._take = take
        self._body = LineWidget("silence-end")

    def compose(self) -> ComposeResult:
        """Yield the question."""
        with Vertical() as box:
            name = name_of(self._alert, self._ascii) or printable(self._alert.rule, self._ascii)
            # A string would be taken for markup.
            box.border_title = Text(f"End the silence of {name}")
            yield self._body

    def on_mount(self) -> None:
        """Draw once there is a size."""
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    def show(self, snapshot: Snapshot) -> None:
        """Draw how long it lasts still."""
        self._snapshot = snapshot
        self._draw()

    def action_leave(self) -> None:
        """Leave the silence."""
        self.dismiss()

    def action_apply(self) -> None:
        """End the silence."""
        self.dismiss()
        self._take(self._alert)

    def _draw(self) -> None:
        width = self._body.size.width
        if not width:
            return
        alert, now = self._alert, self._snapshot.time
        left = age(alert.silenced_until - now)
        lines: list[Line] = [
            (
                ("Quiet until ", "muted"),
                (f"{moment(alert.silenced_until, now)}, {left} more", "text"),
            )
        ]
        if alert.comment:
            comment = printable(alert.comment, self._ascii)
            lines += [((part, "accent"),) for part in wrap(comment, width)]
        note = "Other alerts that the same silence covers come back as well."
        lines += [(), *(((part, "muted"),) for part in wrap(note, width)), ()]
        lines.append((("enter ends it, escape leaves it", "text"),))
        self._body.set_lines(lines)
