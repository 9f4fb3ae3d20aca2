"""What a pane needs to know besides the snapshot: size, glyphs, history and its own settings."""

from __future__ import annotations

from dataclasses import dataclass

from perftui.history import History
from perftui.tui.glyphs import Glyphs


@dataclass(frozen=True)
class View:
    """How one pane shall be drawn; width and height are those inside its frame."""

    width: int
    height: int
    glyphs: Glyphs
    history: History
    interval: float
    zoomed: bool = False
    actions_allowed: bool = False

    @property
    def ascii_only(self) -> bool:
        """Whether only ASCII characters may be drawn."""
        return self.glyphs.chart == "ascii"
