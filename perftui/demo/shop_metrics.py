"""Counts and times of the shop's operations since the worker started."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

from perftui.metrics.report import OperationCounts

BOUNDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048)
"""Upper bounds of the buckets in seconds, inclusive."""


class OperationMeter:
    """Measures operations by wall time; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operations: dict[str, _Tally] = {}
        self._requests = 0
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Requests at work now."""
        return self._in_flight

    @property
    def requests(self) -> int:
        """Requests finished since the start."""
        return self._requests

    @contextmanager
    def measure(self, operation: str) -> Iterator[None]:
        """Measure the block as one call; an exception that leaves it counts as a failure."""
        with self._lock:
            self._in_flight += 1
        started = time.perf_counter()
        failed = True
        try:
            yield
            failed = False
        finally:
            seconds = time.perf_counter() - started
            with self._lock:
                self._in_flight -= 1
                self._requests += 1
                self._operations.setdefault(operation, _Tally()).add(seconds, failed)

    def counts(self) -> dict[str, OperationCounts]:
        """Return all operations that were called so far."""
        with self._lock:
            return {name: tally.counts() for name, tally in self._operations.items()}


class _Tally:
    def __init__(self) -> None:
        self.count = 0
        self.failures = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float, failed: bool) -> None:
        self.count += 1
        self.failures += failed
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def counts(self) -> OperationCounts:
        return OperationCounts(self.count, self.failures, self.seconds, tuple(self.buckets))
