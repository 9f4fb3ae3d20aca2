"""Hysteresis and durations of one value: from ok to pending, firing, recovering, and ok again.

Smoothing comes before: durations of a value that is noisy are worse than none, since every dip
begins them anew.
"""

from __future__ import annotations

from typing import NamedTuple

from perftui.analysis.alerting.rule import Levels
from perftui.snapshot import AlertState, Severity


class Bounds(NamedTuple):
    """Above `enter` a level is passed, at or below `clear` it has been left."""

    enter: float
    clear: float


class Thresholds(NamedTuple):
    """The levels of a rule, turned so that more is always worse: multiply values by `sign`."""

    warn: Bounds | None
    crit: Bounds | None
    sign: float
    first: Severity = Severity.WARNING
    """What is beyond `warn` but not beyond `crit`."""

    @property
    def lowest(self) -> float:
        """The value up to which nothing is wrong; infinite for a rule without levels."""
        return min((level.enter for level in (self.warn, self.crit) if level), default=float("inf"))


def thresholds(levels: Levels) -> Thresholds:
    """Return the levels for comparing; without a clear level the level itself ends the alert."""
    sign = 1.0 if levels.above else -1.0

    def bounds(enter: float | None, clear: float | None) -> Bounds | None:
        if enter is None:
            return None
        # A clear level beyond the level would let an alert fire and end at the same value.
        return Bounds(sign * enter, min(sign * enter, sign * (enter if clear is None else clear)))

    return Thresholds(
        bounds(levels.warn, levels.warn_clear),
        bounds(levels.crit, levels.crit_clear),
        sign,
        Severity.INFO if levels.informs else Severity.WARNING,
    )


class _Level:
    """One level: since when it has been passed, whether it counts, since when it has been left."""

    __slots__ = ("bounds", "entered", "left", "on")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.on = False
        self.entered: float | None = None
        self.left: float | None = None

    def step(self, now: float, value: float, hold: float, keep: float) -> None:
        enter, clear = self.bounds
        if self.on:
            if value > clear:
                self.left = None
                return
            if self.left is None:
                self.left = now
            if now - self.left >= keep:
                self.on = False
                self.entered = self.left = None
        elif value <= (enter if self.entered is None else clear):
            self.entered = None
        else:
            if self.entered is None:
                self.entered = now
            # It begins only above the level, or the alert would tell of a value that is not.
            if value > enter and now - self.entered >= hold:
                self.on = True
                self.left = None

    def skip(self, seconds: float) -> None:
        if self.left is not None:
            self.left += seconds
        if self.entered is not None:
            self.entered += seconds


class Condition:
    """The state of one subject under one rule, as far as values decide it.

    A level has to be passed for `hold` seconds, down to its clear level, before it fires; left for
    `keep` seconds before it ends. Critical has its own durations next to those of warning.
    """

    __slots__ = ("_crit", "_first", "_warn", "severity", "state")

    def __init__(self, levels: Thresholds) -> None:
        self._warn = None if levels.warn is None else _Level(levels.warn)
        self._crit = None if levels.crit is None else _Level(levels.crit)
        self.state: AlertState | None = None
        self.severity = self._first = levels.first

    def step(self, now: float, value: float, hold: float, keep: float) -> AlertState | None:
        """Take the value, already multiplied by the sign, and return the state; None is ok."""
        warn, crit = self._warn, self._crit
        for level in (warn, crit):
            if level is not None:
                level.step(now, value, hold, keep)
        if crit is not None and crit.on:
            self.severity = Severity.CRITICAL
            lowest = warn if warn is not None and warn.on else crit
        elif warn is not None and warn.on:
            self.severity = self._first
            lowest = warn
        else:
            critical = crit is not None and crit.entered is not None
            warning = warn is not None and warn.entered is not None
            self.severity = Severity.CRITICAL if critical else self._first
            self.state = AlertState.PENDING if critical or warning else None
            return self.state
        self.state = AlertState.FIRING if lowest.left is None else AlertState.RECOVERING
        return self.state

    def skip(self, seconds: float) -> None:
        """Pass over seconds without a value: they neither make it fire nor end it."""
        for level in (self._warn, self._crit):
            if level is not None:
                level.skip(seconds)
