"""Leaves Redis alone for a while after it failed, so that a dead server costs microseconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LONGEST_PROBE = 5.0
"""Seconds after which a probe that reported nothing is taken to have died with its event loop."""


class Breaker:
    """Closed: ask Redis; open: do not, until a probe of which there is one at a time succeeds.

    `failures` in a row open it, or a single one that is `certain`. It stays open for `first`
    seconds, then twice as long after each probe that failed, `longest` at most. Safe between
    threads.
    """

    def __init__(
        self,
        failures: int = 3,
        first: float = 1.0,
        longest: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.closed = True
        self.opened = 0
        self._failures = failures
        self._first = first
        self._longest = longest
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._pause = first
        self._again_at = 0.0
        self._probe_ends = 0.0

    def success(self) -> None:
        """Redis answered: close, whatever was before."""
        # Nearly every answer comes while nothing is wrong, and takes no lock.
        if self.closed and not self._in_a_row:
            return
        with self._lock:
            self.closed = True
            self._in_a_row = 0
            self._pause = self._first
            self._probe_ends = 0.0

    def failure(self, *, certain: bool = False) -> None:
        """Redis did not answer; `certain` when nothing else can have been the reason."""
        with self._lock:
            self._in_a_row += 1
            if not self.closed:
                # Calls that began before it opened fail late and say nothing new.
                return
            if certain or self._in_a_row >= self._failures:
                self.closed = False
                self.opened += 1
                self._pause = self._first
                self._again_at = self._clock() + self._pause

    def probe_due(self) -> bool:
        """Tell one caller after each pause to try, and then `success` or `probe_failed`."""
        if self.closed or self._clock() < self._again_at:
            return False
        with self._lock:
            now = self._clock()
            if self.closed or now < self._again_at or now < self._probe_ends:
                return False
            self._probe_ends = now + LONGEST_PROBE
            return True

    def probe_failed(self) -> None:
        """The probe got no answer: wait twice as long."""
        with self._lock:
            self._probe_ends = 0.0
            self._pause = min(self._longest, self._pause * 2)
            self._again_at = self._clock() + self._pause

    @property
    def seconds_left(self) -> float:
        """Seconds until the next probe, 0 while closed."""
        return 0.0 if self.closed else max(0.0, self._again_at - self._clock())
