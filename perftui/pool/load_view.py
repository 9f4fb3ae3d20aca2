"""Which servers carry too much: smoothed load, compared with thresholds, with hysteresis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple


class Load(NamedTuple):
    """What one server reports: percent, percent, requests per second; None is not measured."""

    cpu: float | None
    memory: float | None
    requests: float | None


class LoadLimits(NamedTuple):
    """Thresholds in the units of a Load; a server is overloaded strictly above any of them."""

    cpu: float = 80.0
    memory: float = 90.0
    requests: float = 1000.0


class Judgement(NamedTuple):
    """What is made of a server's load; `excess` is its worst share of a threshold."""

    load: Load
    overloaded: bool
    excess: float


class LoadView:
    """Judges servers by the exponential mean of their load.

    `smoothing` is its time constant in seconds, 0 takes each value as it is. The readings are
    unevenly spaced, so the weight of the past is exp(-t / smoothing) with t the seconds since the
    reading before. A server that was overloaded comes back when everything is at most
    `return_ratio` of its threshold. Times come from the caller and only have to go forward.
    """

    def __init__(
        self, limits: LoadLimits, smoothing: float = 10.0, return_ratio: float = 0.9
    ) -> None:
        self._limits = limits
        self._smoothing = smoothing
        self._return_ratio = return_ratio
        self._known: dict[str, tuple[float, Judgement]] = {}

    def judge(self, server: str, load: Load, now: float, smoothed: Load | None = None) -> Judgement:
        """Take in what a server reports at a time in seconds, and judge it.

        Where somebody who sees every heartbeat has `smoothed` the load, that is what counts.
        """
        before = self._known.get(server)
        overloaded = False
        if before is not None:
            at, last = before
            overloaded = last.overloaded
            past = self._weight_of_past(now - at)
            pairs = zip(last.load, load, strict=True)
            load = Load(*(_mean(old, new, past) for old, new in pairs))
        if smoothed is not None and self._smoothing > 0.0:
            load = smoothed
        excess = max(
            (
                value / limit
                for value, limit in zip(load, self._limits, strict=True)
                if value is not None
            ),
            default=0.0,
        )
        overloaded = excess > (self._return_ratio if overloaded else 1.0)
        judgement = Judgement(load, overloaded, excess)
        self._known[server] = (now, judgement)
        return judgement

    def keep_only(self, servers: Iterable[str]) -> None:
        """Forget all others."""
        kept = frozenset(servers)
        for server in [known for known in self._known if known not in kept]:
            del self._known[server]

    def _weight_of_past(self, seconds: float) -> float:
        if self._smoothing <= 0.0:
            return 0.0
        return math.exp(-max(0.0, seconds) / self._smoothing)


def _mean(old: float | None, new: float | None, past: float) -> float | None:
    if old is None or new is None:
        # What is no longer measured is not judged by what it once was.
        return new
    return old * past + new * (1.0 - past)
