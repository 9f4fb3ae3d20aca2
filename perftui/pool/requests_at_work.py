"""The requests of one server: how many are at work, and how the last ones went."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType
from typing import NamedTuple

WINDOW = 10.0
"""Seconds over which the 95th percentile and the share of errors are taken."""
MOST_KEPT = 20_000
"""Finished requests that are remembered; at more than that in a window the newest count."""


class RequestCounts(NamedTuple):
    """At work now; finished since the last reading; seconds of the 95th percentile and percent of
    failed requests over the window, None when none finished in it."""

    at_work: int
    finished: int
    p95: float | None
    error_percent: float | None


class RequestsAtWork:
    """Counts requests of all threads and event loops of a process; a forked one begins anew."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget everything, also a lock that another thread held at a fork."""
        self._lock = threading.Lock()
        self.at_work = 0
        self.used = False
        self._finished = 0
        self._last: deque[tuple[float, float, bool]] = deque(maxlen=MOST_KEPT)

    def started(self) -> None:
        """A request begins."""
        with self._lock:
            self.used = True
            self.at_work += 1

    def ended(self, seconds: float, ok: bool) -> None:
        """A request has ended; one that began before a fork is not counted."""
        with self._lock:
            if self.at_work:
                self.at_work -= 1
                self._finished += 1
                self._last.append((time.monotonic(), seconds, ok))

    def read(self) -> RequestCounts:
        """Return the counts and begin to count the finished ones anew."""
        oldest = time.monotonic() - WINDOW
        with self._lock:
            while self._last and self._last[0][0] < oldest:
                self._last.popleft()
            last = tuple(self._last)
            at_work, finished, self._finished = self.at_work, self._finished, 0
        if not last:
            return RequestCounts(at_work, finished, None, None)
        times = sorted(seconds for _, seconds, _ in last)
        # The nearest rank: the smallest time that 95 % of the requests did not exceed.
        p95 = times[-(-len(times) * 95 // 100) - 1]
        failed = sum(1 for _, _, ok in last if not ok)
        return RequestCounts(at_work, finished, p95, 100.0 * failed / len(last))


class RequestAtWork:
    """One request, from entering the block until it ends; failed when an exception leaves it."""

    __slots__ = ("_began", "_requests", "ok")

    def __init__(self, requests: RequestsAtWork) -> None:
        self._requests = requests
        self._began = 0.0
        self.ok = True

    def __enter__(self) -> RequestAtWork:
        self._began = time.perf_counter()
        self._requests.started()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._requests.ended(time.perf_counter() - self._began, self.ok and kind is None)
