"""A dialog that shows what the newest snapshot says."""

from __future__ import annotations

from typing import ClassVar

from textual.screen import ModalScreen

from perftui.snapshot import Snapshot


class SnapshotScreen(ModalScreen[None]):
    """A dialog that is drawn with every snapshot, as the dashboard below it is."""

    needs_stacks: ClassVar[bool] = False
    """Whether it shows what only whole stacks of the profile can tell."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """Sources that it shows, which have to run while it lies on the dashboard."""

    def show(self, snapshot: Snapshot) -> None:
        """Draw for a snapshot."""
        raise NotImplementedError
