"""Operations of one service over the last seconds, added up over its processes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from perftui.metrics.report import ServiceReport
from perftui.snapshot import Operation

WINDOW = 10.0
"""Seconds over which the operations are told."""


class Point(msgspec.Struct, frozen=True, gc=False):
    """What one process had counted at `time`, seconds by the clock of Redis.

    Operation to calls, failures and seconds in total; cache namespace to evictions.
    """

    time: float
    operations: dict[str, tuple[int, int, float]]
    evictions: dict[str, int] = {}

    @classmethod
    def of(cls, report: ServiceReport) -> Point:
        """Return the counts of a report; ValueError for what no process can have counted."""
        operations: dict[str, tuple[int, int, float]] = {}
        for name, counts in report.operations.items():
            if not (counts.count >= 0 and 0 <= counts.seconds < math.inf):
                raise ValueError(f"operation {name!r} has impossible counts")
            operations[name] = (counts.count, counts.failures, counts.seconds)
        if not 0 <= report.time < math.inf:
            raise ValueError("the time of the report is not a time")
        evictions = {name: cache.memory_evictions for name, cache in report.caches.items()}
        return cls(report.time, operations, evictions)

    def went_back(self, earlier: Point) -> bool:
        """Tell whether a counter is lower than before, so the process has begun again."""
        before = earlier.operations
        return any(
            name in before and counts[0] < before[name][0]
            for name, counts in self.operations.items()
        )


def add_up(processes: Iterable[Sequence[Point]]) -> tuple[Operation, ...]:
    """Return the operations by name from the first to the last point of each process.

    An operation that was not called has `count` 0, and then its `mean` and `error_ratio` say
    nothing. A process with one point gives nothing yet.
    """
    rates: dict[str, float] = {}
    counts: dict[str, int] = {}
    failures: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for points in processes:
        if len(points) < 2:
            continue
        first, last = points[0].operations, points[-1].operations
        elapsed = points[-1].time - points[0].time
        for name, (count, failed, spent) in last.items():
            before = first.get(name)
            if before is not None:
                count -= before[0]
                failed -= before[1]
                spent -= before[2]
            rates[name] = rates.get(name, 0.0) + count / elapsed
            counts[name] = counts.get(name, 0) + count
            failures[name] = failures.get(name, 0) + failed
            seconds[name] = seconds.get(name, 0.0) + max(0.0, spent)
    total = sum(seconds.values())
    return tuple(
        Operation(
            name=name,
            rate=rates[name],
            mean=seconds[name] / counts[name] if counts[name] else 0.0,
            error_ratio=min(1.0, max(0, failures[name]) / counts[name]) if counts[name] else 0.0,
            time_share=seconds[name] / total if total else 0.0,
            count=counts[name],
        )
        for name in sorted(counts)
    )


def evictions_rate(processes: Iterable[Sequence[Point]], namespace: str) -> float | None:
    """Return evictions per second of one cache namespace; None before two points."""
    rate = None
    for points in processes:
        if len(points) > 1:
            first, last = points[0], points[-1]
            count = last.evictions.get(namespace, 0) - first.evictions.get(namespace, 0)
            rate = (rate or 0.0) + max(0, count) / (last.time - first.time)
    return rate
