"""How many keys are handled at once, and when to rest, so that other clients hardly notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from perftui.cache.conversation import Conversation
from perftui.cache.latency_guard import LatencyGuard

SMALLEST_PAGE, FIRST_PAGE, LARGEST_PAGE = 100, 500, 1000
"""Keys a SCAN looks at. Twice the largest is no faster, and others wait twice as long for it."""
SHORT, LONG = 0.001, 0.002
"""Seconds of server time the longest command of a page shall take, at least and at most."""
VERDICT_INTERVAL = 0.1
RELIEF = 1.0
"""Seconds without a slow verdict after which the page may grow again."""


class Pacing:
    """The size of the next page, by the longest wait for one command and by the latency guard.

    Pace gentle rests as long as it worked; `gentle` may be set at any time and from any thread.
    `slowed` counts how often the guard halved the page.
    """

    def __init__(self, gentle: bool) -> None:
        self.page = FIRST_PAGE
        self.slowed = 0
        self.slowest = 0.0
        self.gentle = gentle
        self._ceiling = self._largest
        self._round_trip = 0.0
        self._guard: LatencyGuard | None = None
        self._verdict_at = 0.0
        self._slow_at = 0.0

    def begin(self, talk: Conversation, guard: LatencyGuard | None) -> None:
        """Measure the way to a server, whose commands come next."""
        self._guard = guard
        self._round_trip = min(_time_ping(talk) for _ in range(3))
        self._verdict_at = self._slow_at = time.perf_counter()

    def noted(self, waited: float) -> None:
        """Take the wait for the answer to one command, in seconds."""
        self.slowest = max(self.slowest, waited)

    def rest_due(self) -> bool:
        """Set the next page after the commands of the last one; True when a rest is due.

        No other client is served while Redis executes one of these commands. When they take long
        in spite of small pages, the server is short of CPU time, and only resting gives it back.
        """
        server_seconds, self.slowest = self.slowest - self._round_trip, 0.0
        gentle = self.gentle
        if gentle:
            self._ceiling = min(self._ceiling, self._largest)
            self.page = min(self.page, self._ceiling)
        if self._guard_objects():
            return True
        if server_seconds > LONG:
            self.page = max(SMALLEST_PAGE, self.page // 2)
            return True
        if server_seconds < SHORT:
            self.page = min(self._ceiling, self.page + self.page // 4)
        return gentle

    @property
    def _largest(self) -> int:
        return FIRST_PAGE if self.gentle else LARGEST_PAGE

    def _guard_objects(self) -> bool:
        now = time.perf_counter()
        if self._guard is None or now - self._verdict_at < VERDICT_INTERVAL:
            return False
        self._verdict_at = now
        if self._guard.too_slow():
            self.page = max(SMALLEST_PAGE, self.page // 2)
            self._ceiling = self.page
            self._slow_at = now
            self.slowed += 1
            return True
        if now - self._slow_at > RELIEF and self._ceiling < self._largest:
            self._slow_at = now
            self._ceiling = min(self._largest, self._ceiling * 2)
        return False


@dataclass
class Coverage:
    """How much of a keyspace was seen: about `scanned` keys, all of it once `complete`."""

    scanned: int = 0
    complete: bool = False


def pages(
    talk: Conversation,
    pattern: bytes,
    pacing: Pacing,
    cancelled: threading.Event,
    coverage: Coverage,
) -> Iterator[list[bytes]]:
    """Yield the keys of one server that match, page by page, and rest between as the pace wants.

    An empty page is not the end. Who stops in the middle of a page leaves the coverage incomplete.
    Raises what Conversation.ask raises.
    """
    cursor: bytes = b"0"
    while not cancelled.is_set():
        before = time.perf_counter()
        cursor, keys = talk.ask("SCAN", cursor, "MATCH", pattern, "COUNT", pacing.page)
        pacing.noted(talk.waited)
        coverage.scanned += pacing.page
        yield keys
        if cursor == b"0":
            coverage.complete = True
            return
        if pacing.rest_due():
            cancelled.wait(time.perf_counter() - before)


def _time_ping(talk: Conversation) -> float:
    talk.ask_each([("PING",)])
    return talk.waited
