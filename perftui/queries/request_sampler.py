"""Which requests are observed, so that observing costs no more than it may."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_MINUTE: Final = 60.0
_FIRST_COST: Final = 4e-4
"""Seconds an observation is taken to cost before one was measured."""
_WHOLE_COST: Final = 2.0
"""What an observation costs for each second measured: its garbage is collected later, and it leaves
cold caches behind; found by comparing services with and without it."""

_MOST_CREDIT: Final = 2.0
"""Seconds of unused budget that may be spent at once."""


class RequestSampler:
    """Chooses whole sessions, by turns of a minute, within a share of a core.

    Paging, repetitions and N+1 are seen only where all requests of a session are observed, so a
    session is observed for a minute or not at all. `budget` is the share of a core that observing
    may take; at little traffic it suffices for every request. Each observed request stands for
    those since the one before. Counts may be off by a few where threads meet, never more.
    """

    __slots__ = (
        "_asked",
        "_budget",
        "_clock",
        "_cost",
        "_credit",
        "_second",
        "_share",
        "_since",
        "_turn",
    )

    def __init__(self, budget: float = 0.01, clock: Callable[[], float] = time.monotonic) -> None:
        if not 0 < budget <= 1:
            raise ValueError(f"budget: {budget!r} is not a share of a core, above 0 up to 1")
        self._budget = budget
        self._clock = clock
        self._cost = _FIRST_COST
        self._credit = budget * _MOST_CREDIT
        self._share = 1.0
        self._second = clock()
        self._asked = 0
        self._since = 0
        self._turn = 0

    def choose(self, session: object) -> int:
        """Return how many requests this one is to stand for, 0 if it is not observed."""
        self._asked += 1
        self._since += 1
        now = self._clock()
        if now - self._second >= 1.0:
            self._begin_second(now)
        if self._credit <= 0:
            return 0
        if self._share < 1.0 and hash((session, self._turn)) % 10_007 >= self._share * 10_007:
            return 0
        weight, self._since = self._since, 0
        return weight

    def spent(self, seconds: float) -> None:
        """Take note of what an observation cost, as far as it was measured."""
        seconds *= _WHOLE_COST
        self._credit -= seconds
        self._cost += (seconds - self._cost) / 16

    def _begin_second(self, now: float) -> None:
        passed = now - self._second
        self._second = now
        rate, self._asked = self._asked / passed, 0
        allowed = self._budget / max(1e-6, self._cost)
        self._share = min(1.0, allowed / rate) if rate else 1.0
        most = self._budget * _MOST_CREDIT
        self._credit = min(most, self._credit + self._budget * passed)
        self._turn = int(now / _MINUTE)
