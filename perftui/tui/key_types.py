"""Type and expiry of listed keys: of those in view by themselves, of all when asked for."""

from __future__ import annotations

from typing import Protocol

from perftui.cache.key_details import KeyDetail, KeyDetails
from perftui.snapshot import Absent, Maybe, State
from perftui.tui.jobs import Job
from perftui.tui.key_browsing import MOST_KEYS, KeyBrowsing

AT_ONCE = 200
"""Keys of which type and expiry are read at once."""


class Listed(Protocol):
    """The list of keys as it is seen from here."""

    def unknown(self, most: int, in_view: bool = True) -> list[bytes]: ...

    def tell(self, details: dict[bytes, KeyDetail]) -> None: ...

    def sort_again(self) -> None: ...


class KeyTypes:
    """Reads some keys at a time, and none any more once Redis has refused."""

    def __init__(self, browsing: KeyBrowsing, listed: Listed) -> None:
        self._browsing = browsing
        self._listed = listed
        self._job: Job[Maybe[KeyDetails]] | None = None
        self._asked: list[bytes] = []
        self.problem: Absent | None = None

    @property
    def asked(self) -> int:
        """How many keys that are not in view are still to be read."""
        return len(self._asked)

    def ask_all(self) -> bool:
        """Have those of all loaded keys read; False when there is nothing to read."""
        self._asked = self._listed.unknown(MOST_KEYS, in_view=False)
        self.problem = None
        return bool(self._asked)

    def stop(self) -> None:
        """Read only what is in view."""
        self._asked = []

    def forget(self) -> None:
        """Begin anew with other keys."""
        self._asked = []
        self.problem = None

    def poll(self, resting: bool) -> None:
        """Take what was read, and read on while nobody scrolls: `resting`."""
        job = self._job
        if job is not None:
            if not job.done:
                return
            self._job = None
            self._take(job)
        if self.problem is not None or not resting:
            return
        keys = self._listed.unknown(AT_ONCE) or self._asked[:AT_ONCE]
        if keys:
            self._job = self._browsing.details(keys)

    def _take(self, job: Job[Maybe[KeyDetails]]) -> None:
        found = job.result
        if not isinstance(found, KeyDetails):
            self._asked = []
            self.problem = found or Absent(State.UNAVAILABLE, job.error)
            return
        self._listed.tell(found.found)
        if found.refused:
            self._asked = []
            self.problem = self._browsing.explained(found.refused)
        if self._asked:
            self._asked = [key for key in self._asked if key not in found.found]
            if not self._asked:
                self._listed.sort_again()
