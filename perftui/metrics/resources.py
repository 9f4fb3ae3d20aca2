"""What a process uses of memory, CPU and disk."""

from __future__ import annotations

import logging
import os
import threading
from math import inf
from typing import TYPE_CHECKING
from weakref import WeakSet

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge

from perftui.metrics.process_usage import PER_REGISTRY, ProcessUsage
from perftui.metrics.registration import LOCK
from perftui.metrics.report import ResourceUse

if TYPE_CHECKING:
    import psutil

_logger = logging.getLogger("perftui.metrics")


class ResourceMetrics:
    """Measures a process in Prometheus metrics; safe between threads and after a fork.

    Gauge `memory_usage_bytes` (resident set), Gauge `cpu_usage_percent` (100 is one core; over the
    time since the reading before, at least 0.1 s), Counter `disk_io_bytes{operation}` with `read`
    and `write`, exposed as `disk_io_bytes_total`. What the platform or a permission does not give
    is absent, not zero: CPU until two readings were taken, disk where there is no such counter.
    Once the process has ended, memory and CPU are absent and the disk counter stands still.

    `process` is a psutil.Process or a process number; None is the process this runs in, also after
    a fork. In prometheus-client's multi-process mode memory and CPU are summed over the live
    workers; of another process the newest reading counts, and one worker only should measure it.

    All objects on one registry share these metrics; with `registry=None` the object has its own,
    registered nowhere. Takes the first reading at once. Raises ValueError when the registry already
    has these metrics of another process, or a metric of one of these names from somebody else,
    psutil.NoSuchProcess for a number that no process has.
    """

    def __init__(
        self,
        process: psutil.Process | int | None = None,
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        if isinstance(process, int):
            from psutil import Process

            process = Process(process)
        if process is not None and process.pid == os.getpid():
            process = None

        def make() -> ProcessUsage:
            return ProcessUsage(process)

        usage = make() if registry is None else PER_REGISTRY.find_or_make(registry, make)
        asked = os.getpid() if process is None else process.pid
        if usage.pid != asked:
            raise ValueError(
                f"the registry already has the metrics of process {usage.pid}; pass a registry "
                f"of its own for process {asked}: registry=CollectorRegistry()"
            )
        self._usage = usage
        self._sampler: threading.Thread | None = None
        self._stopping = threading.Event()
        self._interval = 0.0
        self.update_resource_usage()

    @property
    def memory_usage(self) -> Gauge:
        """Resident memory in bytes."""
        return self._usage.memory

    @property
    def cpu_usage(self) -> Gauge:
        """Percent of one core."""
        return self._usage.cpu

    @property
    def disk_io(self) -> Counter:
        """Bytes from and to storage by operation, `read` or `write`."""
        return self._usage.disk

    def update_resource_usage(self) -> None:
        """Read the process now and set the metrics."""
        self._usage.update()

    def use(self) -> ResourceUse:
        """Return the newest reading of this process; disk bytes run since the process started."""
        return self._usage.newest

    def start(self, interval: float = 5.0) -> None:
        """Update every `interval` seconds on a daemon thread, in forked children too.

        Does nothing when it runs already at this interval. Raises ValueError for an interval that
        is not positive and finite.
        """
        if not 0 < interval < inf:
            raise ValueError(f"interval is {interval!r}, it must be positive, finite seconds")
        with LOCK:
            if self._sampler is not None and self._sampler.is_alive():
                if interval == self._interval:
                    return
                self._stopping.set()
            self._interval = interval
            _RUNNING.add(self)
            self._launch()

    def stop(self) -> None:
        """Stop the thread and wait for it; does nothing when none runs."""
        with LOCK:
            sampler, self._sampler = self._sampler, None
            _RUNNING.discard(self)
            self._stopping.set()
        if sampler is not None and sampler is not threading.current_thread():
            sampler.join()

    def _launch(self) -> None:
        self._stopping = threading.Event()
        self._sampler = threading.Thread(
            target=self._sample,
            args=(self._stopping, self._interval),
            name="perftui-resources",
            daemon=True,
        )
        self._sampler.start()

    def _sample(self, stopping: threading.Event, interval: float) -> None:
        warned = False
        while not self._usage.ended:
            try:
                self._usage.update()
            except OSError as error:
                # A full disk under the files of multi-process mode; the next reading may succeed.
                if not warned:
                    _logger.warning("resource metrics could not be written: %s", error)
                    warned = True
            if stopping.wait(interval):
                return


_RUNNING: WeakSet[ResourceMetrics] = WeakSet()


def _resume_in_child() -> None:
    """Start the threads that a fork has left behind."""
    for metrics in list(_RUNNING):
        metrics._launch()


os.register_at_fork(after_in_child=_resume_in_child)
