"""What a pane needs to know besides the snapshot: size, glyphs, history and what was chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from perftui.format import age
from perftui.history import History
from perftui.tui.cache_view import CacheView
from perftui.tui.glyphs import Glyphs
from perftui.tui.profile_view import ProfileView
from perftui.tui.server_marks import ServerMarks

ServiceKey: TypeAlias = tuple[str, str]
"""Origin and name of a service; two origins may tell of services of one name."""

WINDOWS = {"10s": 10.0, "1min": 60.0, "5min": 300.0}
"""Seconds of the windows of operations by their names in the settings."""

WINDOW_LABELS = {10.0: "10 s", 60.0: "1 min", 300.0: "5 min"}


def window_label(seconds: float) -> str:
    """Return how a window is called."""
    return WINDOW_LABELS.get(seconds, age(seconds))


@dataclass(frozen=True)
class Choice:
    """What a person chose to see of the services: window in seconds, and empty for all of them."""

    window: float = 10.0
    services: frozenset[ServiceKey] = frozenset()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """How one pane shall be drawn; width and height are those inside its frame.

    `selected` is the record under the cursor of the pane's own table.
    """

    width: int
    height: int
    glyphs: Glyphs
    history: History
    interval: float
    zoomed: bool = False
    actions_allowed: bool = False
    choice: Choice = Choice()
    profile: ProfileView = field(default_factory=ProfileView)
    cache: CacheView = field(default_factory=CacheView)
    marked_servers: ServerMarks = frozenset()
    selected: Any | None = None

    @property
    def ascii_only(self) -> bool:
        """Whether only ASCII characters may be drawn."""
        return self.glyphs.chart == "ascii"
