"""What the dialogs with fields have in common: their frame, their keys, their place."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from perftui.snapshot import Snapshot
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, wrap
from perftui.tui.screens.snapshot_screen import SnapshotScreen


class FormScreen(SnapshotScreen):
    """A box in the middle: fields of one line each, and below them a body of class `form-body`.

    Escape calls `action_leave`, enter `action_apply`, which a dialog defines; so it does `draw`. A
    dialog that wants another size says so in its own CSS.
    """

    # Not CSS: what a dialog adds there would replace it instead of going on top of it.
    DEFAULT_CSS = """
    FormScreen { align: center middle; }
    FormScreen > Vertical {
        width: 92%; max-width: 96; height: 14; max-height: 100%;
        background: $background; border: round $accent; padding: 0 1;
        border-title-color: $accent;
    }
    FormScreen Horizontal { height: 1; }
    FormScreen Input { border: none; height: 1; padding: 0; width: 1fr; }
    FormScreen Input:focus { border: none; }
    FormScreen LineWidget { width: 1fr; height: 1; }
    FormScreen Horizontal > LineWidget { width: 9; }
    FormScreen .form-body { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "leave", show=False, priority=True),
        Binding("enter", "apply", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__()
        self._glyphs = glyphs

    def show(self, snapshot: Snapshot) -> None:
        """Draw for a snapshot; most dialogs are about something else."""

    def draw(self) -> None:
        """Draw all fields and the body."""
        raise NotImplementedError

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.draw)

    def on_descendant_focus(self) -> None:
        """Show which field the keys go to."""
        self.draw()

    def action_leave(self) -> None:
        """Leave without a change."""
        self.dismiss()

    def action_apply(self) -> None:
        """Do what the dialog is for."""
        raise NotImplementedError

    def key_of(self, action: str) -> str:
        """Return the key that an action of this dialog is bound to now."""
        for key, active in self.active_bindings.items():
            if active.node is self and active.binding.action == action:
                return key
        return ""

    @property
    def ascii_only(self) -> bool:
        """Whether nothing but ASCII may be drawn."""
        return self._glyphs.chart == "ascii"


def wrapped(text: str, width: int, style: str) -> list[Line]:
    """Return a sentence in lines of one style."""
    return [((part, style),) for part in wrap(text, width)]
