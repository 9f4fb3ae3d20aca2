"""Counters of HAProxy's servers over the last minute, from which rates and shares are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from typing import Final, NamedTuple, TypeAlias

SPAN: Final = 60.0
STEP: Final = 4.5
"""Seconds between two samples that are kept beside the newest one."""
SHORT: Final = 9.0
"""Seconds over which errors are counted: a single second has too few requests."""


class Counters(NamedTuple):
    """What only grows, until HAProxy is loaded anew: requests, picks by the balancer, errors."""

    requests: int
    picks: int
    errors: int


Key: TypeAlias = tuple[str, str]
"""Backend and server."""

Sample: TypeAlias = tuple[float, Mapping[Key, Counters]]


class CounterHistory:
    """Samples of one HAProxy process; a new process, which counts from zero, begins anew."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()
        self._last: Sample | None = None
        self._process: Hashable = None

    def add(self, now: float, process: Hashable, counters: Mapping[Key, Counters]) -> None:
        """Keep a sample at monotonic seconds `now`; `process` differs after a reload."""
        if process != self._process:
            self.forget()
            self._process = process
        if self._last is not None and (
            not self._samples or self._last[0] - self._samples[-1][0] >= STEP
        ):
            self._samples.append(self._last)
        self._last = (now, counters)
        while self._samples and now - self._samples[0][0] > SPAN:
            self._samples.popleft()

    def forget(self) -> None:
        """Forget all samples."""
        self._samples.clear()
        self._last = None
        self._process = None

    def grown(self, key: Key, seconds: float) -> tuple[float, Counters] | None:
        """Return span and growth of a server's counters over about so long; None if not known.

        The span is that of the sample at least `seconds` old, or of the oldest. A counter that
        fell was reset by an operator (`clear counters`): nothing is known until the next sample.
        """
        if self._last is None:
            return None
        now, newest = self._last
        before: Sample | None = None
        for sample in self._samples:
            if before is not None and now - sample[0] < seconds:
                break
            before = sample
        if before is None or now <= before[0]:
            return None
        old, new = before[1].get(key), newest.get(key)
        if old is None or new is None:
            return None
        grown = Counters(*(b - a for a, b in zip(old, new, strict=True)))
        return None if min(grown) < 0 else (now - before[0], grown)
