"""What a worker measures of its requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from perftui.metrics.execution import ExecutionMetrics, shared


class RequestMeter:
    """Measures requests as operations, and counts them for the heartbeat; safe between threads."""

    def __init__(self) -> None:
        self.metrics: ExecutionMetrics = shared()
        self._lock = threading.Lock()
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
        try:
            with self.metrics.track(operation):
                yield
        finally:
            with self._lock:
                self._in_flight -= 1
                self._requests += 1
