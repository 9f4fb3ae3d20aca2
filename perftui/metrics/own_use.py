"""What this process uses, read without leaving a trace in its Prometheus metrics."""

from __future__ import annotations

import os
import time

from perftui.metrics.process_usage import measured
from perftui.metrics.report import ResourceUse


class OwnUse:
    """Reads CPU, memory and disk use of the process that made it.

    A ResourceMetrics would do too, but in prometheus-client's multi-process mode its values are on
    the service's page whether they are registered or not.
    """

    def __init__(self) -> None:
        from psutil import Process

        self._process = Process(os.getpid())
        self._mark = time.monotonic(), time.process_time()

    def use(self) -> ResourceUse:
        """Return the use now; CPU is that since the last call."""
        moment, used = time.monotonic(), time.process_time()
        before, used_before = self._mark
        self._mark = moment, used
        elapsed = moment - before
        disk = measured(self._disk)
        return ResourceUse(
            cpu_percent=100.0 * (used - used_before) / elapsed if elapsed > 0 else None,
            memory_rss=measured(lambda: self._process.memory_info().rss),
            disk_read=None if disk is None else disk[0],
            disk_written=None if disk is None else disk[1],
        )

    def _disk(self) -> tuple[int, int]:
        try:
            counters = self._process.io_counters()
        except AttributeError:
            # psutil has no such method where the platform counts no bytes per process, as on macOS.
            raise NotImplementedError from None
        return counters.read_bytes, counters.write_bytes
