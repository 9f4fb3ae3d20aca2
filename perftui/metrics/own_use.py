"""What this process uses, read without leaving a trace in its Prometheus metrics."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from perftui.metrics.process_usage import disk_bytes, measured
from perftui.metrics.report import ResourceUse

if TYPE_CHECKING:
    from psutil import Process


class OwnUse:
    """Reads CPU, memory and disk use of the process that it is called in, after a fork the child.

    A ResourceMetrics would do too, but in prometheus-client's multi-process mode its values are on
    the service's page whether they are registered or not.
    """

    def __init__(self) -> None:
        # Loaded by the reporter's thread, it could be half loaded in a fork.
        import psutil  # noqa: F401

        self._process: Process | None = None
        self._mark = 0.0, 0.0

    def use(self) -> ResourceUse:
        """Return the use now; CPU is that since the last call, absent until there is one.

        Raises psutil.NoSuchProcess where the system does not show the process to itself.
        """
        moment, used = time.monotonic(), time.process_time()
        process = self._process
        percent = None
        if process is None or process.pid != os.getpid():
            from psutil import Process

            process = self._process = Process()
        else:
            before, used_before = self._mark
            if moment > before:
                percent = 100.0 * (used - used_before) / (moment - before)
        self._mark = moment, used
        read, written = measured(lambda: disk_bytes(process)) or (None, None)
        return ResourceUse(percent, measured(lambda: process.memory_info().rss), read, written)
