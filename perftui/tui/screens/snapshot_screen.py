"""A dialog that shows what the newest snapshot says."""

from __future__ import annotations

from textual.screen import ModalScreen

from perftui.snapshot import Snapshot


class SnapshotScreen(ModalScreen[None]):
    """A dialog that is drawn with every snapshot, as the dashboard below it is."""

    def show(self, snapshot: Snapshot) -> None:
        """Draw for a snapshot."""
        raise NotImplementedError
