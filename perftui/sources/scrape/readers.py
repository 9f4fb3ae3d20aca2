"""Threads that read pages side by side, so that a slow one holds up none of the others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

THREADS = 8
"""Threads for pages that answer, and as many for those that last did not."""


class _Lane:
    """A queue of work with a bounded number of threads, started when they are needed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open = 0
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._open += 1
            if self._open > len(self._threads) and len(self._threads) < THREADS:
                name = f"{self._name}-{len(self._threads)}"
                # Daemons, because looking up a host name cannot be interrupted.
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._work.put(work)

    def close(self) -> None:
        with self._lock:
            count = len(self._threads)
        for _ in range(count):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            finally:
                with self._lock:
                    self._open -= 1


class Readers:
    """Two lanes: pages that do not answer wait for each other only."""

    def __init__(self) -> None:
        self._healthy = _Lane("scrape")
        self._failing = _Lane("scrape-retry")

    def submit(self, work: Callable[[], None], failing: bool) -> None:
        """Have the work done by a thread; it must not raise."""
        (self._failing if failing else self._healthy).submit(work)

    def close(self) -> None:
        """Let the threads end after what they are busy with."""
        self._healthy.close()
        self._failing.close()
