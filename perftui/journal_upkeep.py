"""Removes what may no longer be undone: journals hold values of production for ten minutes."""

from __future__ import annotations

import contextlib

INTERVAL = 60.0
"""Seconds between two looks at the directory, which take some tens of microseconds each."""


class JournalUpkeep:
    """Removes old journals of this user at the first call, and again from time to time.

    Also where no actions are allowed: whoever made the journals may never come back.
    """

    def __init__(self) -> None:
        self._due = 0.0

    def run(self, now: float) -> None:
        """Remove what is too old, at `now` seconds of a clock that never goes back."""
        if now < self._due:
            return
        self._due = now + INTERVAL
        from perftui.cache.undo_journal import directory, remove_old

        # A user without a home has no journals, and a directory that is not readable none to show.
        with contextlib.suppress(OSError, RuntimeError):
            remove_old(directory())
