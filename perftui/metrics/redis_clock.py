"""The clock of a Redis server, kept by the monotonic clock of this process."""

from __future__ import annotations

DRIFT = 0.001
"""Seconds by which the two clocks may drift apart in a second; the kernel steers by at most half
of it (adjtimex(2))."""
RESOLUTION = 2e-6
"""Seconds; TIME cuts its answer off at microseconds, and a double rounds it."""


class RedisClock:
    """Tells what TIME would answer, without asking.

    Each answer bounds the difference of the clocks: it was given after the question left and
    before the answer came (F. Cristian, Probabilistic clock synchronization, 1989). The bounds of
    all answers are met, so that the quickest answer counts most. Bounds that contradict the
    former ones mean that a clock was set, and replace them.
    """

    def __init__(self) -> None:
        self._low = 0.0
        self._high = 0.0
        self._seen: float | None = None

    @property
    def known(self) -> bool:
        """Whether there was an answer yet."""
        return self._seen is not None

    def observe(self, sent: float, answer: float, received: float) -> None:
        """Take an answer in seconds of Unix time, between two moments of the monotonic clock."""
        # The answer was true at some moment of the way, the bounds have to be so at its end.
        slack = DRIFT * (received - sent) + RESOLUTION
        low, high = answer - received - slack, answer - sent + slack
        if self._seen is not None:
            slack = DRIFT * max(0.0, received - self._seen)
            met_low = max(low, self._low - slack)
            met_high = min(high, self._high + slack)
            if met_low <= met_high:
                low, high = met_low, met_high
        self._low, self._high, self._seen = low, high, received

    def at(self, moment: float) -> float:
        """Return the Unix time of Redis at a moment of the monotonic clock.

        Raises ValueError before the first answer.
        """
        if self._seen is None:
            raise ValueError("the clock of Redis was never asked")
        return moment + (self._low + self._high) / 2
