"""What this process counts of its operations, and what the machine uses, over the last minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from perftui.metrics.report import OperationCounts

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

WINDOW = 60.0
SHORTEST = 0.1
"""Seconds between two readings of CPU time; the kernel counts in ticks of 10 ms."""
CLOSEST = 1.0
"""Seconds between two readings that are kept."""


class _Reading(NamedTuple):
    time: float
    counts: dict[str, OperationCounts]
    busy: float
    total: float


class OwnProcess:
    """The default source of PerformanceAnalyzer.

    Means are of the calls since the newest reading that is `window` seconds old, which an earlier
    call took: who asks more rarely gets longer windows. With a younger object they are since it was
    made. A mean over the life of a process would hide for hours that an operation became slow.
    Memory and CPU are percent of the whole machine, as psutil tells; a service with a limit of its
    own, such as a container, passes a source that knows it.
    """

    def __init__(
        self,
        window: float = WINDOW,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from prometheus_client import REGISTRY

        from perftui.metrics.execution import shared

        self._metrics = shared(REGISTRY if registry is None else registry)
        self._window = window
        self._clock = clock
        self._readings: deque[_Reading] = deque([self._read()])

    async def __call__(self) -> dict[str, dict[str, float]]:
        """Return the observations; an operation that was not called has none."""
        now = self._read()
        readings = self._readings
        while len(readings) > 1 and readings[1].time <= now.time - self._window:
            readings.popleft()
        before = readings[0]
        if now.time - readings[-1].time >= CLOSEST:
            readings.append(now)
        times: dict[str, float] = {}
        counts: dict[str, float] = {}
        for name, newest in now.counts.items():
            oldest = before.counts.get(name, OperationCounts(0, 0, 0.0))
            # A forked child may begin to count anew.
            calls = newest.count - oldest.count
            if calls > 0:
                times[name] = max(0.0, newest.seconds - oldest.seconds) / calls
                counts[name] = float(calls)
        return {"execution_times": times, "counts": counts, "resource_usage": _usage(before, now)}

    def _read(self) -> _Reading:
        import psutil

        used = psutil.cpu_times()._asdict()
        # Linux counts the time of guests within that of their users.
        total = sum(used.values()) - used.get("guest", 0.0) - used.get("guest_nice", 0.0)
        idle = used["idle"] + used.get("iowait", 0.0)
        return _Reading(self._clock(), self._metrics.counts(), total - idle, total)


def _usage(before: _Reading, now: _Reading) -> dict[str, float]:
    import psutil

    usage = {"memory": psutil.virtual_memory().percent}
    passed = now.total - before.total
    if now.time - before.time >= SHORTEST and passed > 0:
        usage["cpu"] = min(100.0, max(0.0, 100 * (now.busy - before.busy) / passed))
    return usage
