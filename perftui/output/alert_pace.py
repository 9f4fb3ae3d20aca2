"""How often somebody is told: one alert not again at once, many alerts together as one summary."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from perftui.output.alert_changes import Change, Key, alert_key

BURST = 5
"""Changes that are told one by one within one interval; more of them are told together."""

MOST_HELD = 1000
"""Alerts whose change is held back; more of them are only counted."""


class Held(NamedTuple):
    """The newest change of an alert, which is the last of `times` that nobody has been told."""

    change: Change
    times: int


class Summary(NamedTuple):
    """What was held back, the oldest first, and how many more alerts there were."""

    held: tuple[Held, ...]
    left_out: int


class AlertPace:
    """Lets changes through one by one, or holds them back until an interval is over.

    Within `interval` seconds no alert is told twice and no more than BURST of all of them; what
    is held back comes as one summary when the interval is over that began with the first of it.
    An interval of 0 holds nothing back. Time is that of any clock, in seconds.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._recent: deque[float] = deque()
        self._last: dict[Key, float] = {}
        self._held: dict[Key, Held] = {}
        self._held_since = 0.0
        self._left_out = 0

    def admit(self, change: Change, now: float) -> bool:
        """Return whether a change may be told now; otherwise it is held back."""
        if self._interval <= 0:
            return True
        self._forget(now)
        key = alert_key(change.alert)
        # What is told has to stay in order: while something is held back, nothing overtakes it.
        if not self._held and key not in self._last and len(self._recent) < BURST:
            self._tell(key, now)
            return True
        self._hold(key, change, now)
        return False

    def due(self, now: float, at_once: bool = False) -> Summary | None:
        """Return what was held back when its time has come, or in any case with `at_once`."""
        if not self._held or not (at_once or now - self._held_since >= self._interval):
            return None
        summary = Summary(tuple(self._held.values()), self._left_out)
        self._forget(now)
        self._recent.append(now)
        for key in self._held:
            self._last[key] = now
        self._held = {}
        self._left_out = 0
        return summary

    def _tell(self, key: Key, now: float) -> None:
        self._recent.append(now)
        self._last[key] = now

    def _hold(self, key: Key, change: Change, now: float) -> None:
        if not self._held:
            self._held_since = now
        before = self._held.pop(key, None)
        if before is None and len(self._held) >= MOST_HELD:
            self._left_out += 1
            return
        times = 1 if before is None else before.times + 1
        if before is not None:
            # From what was last told to what is so now, whatever was in between.
            change = change._replace(previous=before.change.previous)
        self._held[key] = Held(change, times)

    def _forget(self, now: float) -> None:
        while self._recent and now - self._recent[0] >= self._interval:
            self._recent.popleft()
        self._last = {key: when for key, when in self._last.items() if now - when < self._interval}
