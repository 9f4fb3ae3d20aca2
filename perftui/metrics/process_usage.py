"""One process's use of memory, CPU and disk, in gauges that are absent rather than wrong."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from math import nan
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeVar

from prometheus_client import Counter, Gauge
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from perftui.metrics.registration import LOCK, OnePerRegistry
from perftui.metrics.report import ResourceUse

if TYPE_CHECKING:
    import psutil

SHORTEST_CPU_WINDOW = 0.1
"""Seconds between two CPU readings; the kernel counts in ticks of 10 ms, so less is noise."""

T = TypeVar("T")

_logger = logging.getLogger("perftui.metrics")


class PresentGauge(Gauge):
    """A gauge without a sample until it was set in this process, since zero would be a reading.

    After a fork the parent's reading is not the child's, so it is gone there as well.
    """

    _set_in: int | None = None

    def set(self, value: float) -> None:
        super().set(value)
        self._set_in = os.getpid()

    def vanish(self, instead: float) -> None:
        """Take the sample away; files of multi-process mode keep one, so leave `instead` there."""
        if self._set_in == os.getpid():
            super().set(instead)
        self._set_in = None

    def collect(self) -> Iterable[Metric]:
        metrics = list(super().collect())
        if self._set_in != os.getpid():
            for metric in metrics:
                metric.samples = []
        return metrics


class ProcessUsage:
    """Collectors that all ResourceMetrics of one registry share, and what they are fed from.

    `process` is None for the process this runs in, which after a fork is the child. Readings are
    taken under a lock that a fork waits for, so that a child inherits no half-done one.
    """

    def __init__(self, process: psutil.Process | None) -> None:
        mode: Literal["livesum", "livemostrecent"]
        mode = "livesum" if process is None else "livemostrecent"
        # Not-a-number says it in a file that is shown by itself; in a sum it would hide the others.
        self._nothing = 0.0 if process is None else nan
        self.memory = PresentGauge(
            "memory_usage_bytes",
            "Resident memory in bytes.",
            multiprocess_mode=mode,
            registry=None,
        )
        self.cpu = PresentGauge(
            "cpu_usage_percent",
            "CPU time used since the reading before in percent of one core: 100 is one core busy.",
            multiprocess_mode=mode,
            registry=None,
        )
        self.disk = Counter(
            "disk_io_bytes",
            "Bytes read from and written to storage since the process started, page cache apart.",
            ["operation"],
            registry=None,
        )
        self._given = process
        self._measured_in: int | None = None
        self._use = ResourceUse()
        self.ended = False

    @property
    def collectors(self) -> tuple[MetricWrapperBase, ...]:
        return self.memory, self.cpu, self.disk

    @property
    def pid(self) -> int:
        """The process that is measured."""
        return os.getpid() if self._given is None else self._given.pid

    @property
    def newest(self) -> ResourceUse:
        """The newest reading in this process; nothing of a parent's is in it."""
        return self._use if self._measured_in == os.getpid() else ResourceUse()

    def update(self) -> None:
        """Read the process and set the collectors."""
        from psutil import NoSuchProcess

        with LOCK:
            if self._measured_in != os.getpid():
                self._begin()
            try:
                self._read()
            except NoSuchProcess:
                self._vanish()

    def _begin(self) -> None:
        from psutil import Process

        self._process = self._given or Process()
        self._cpu_mark: tuple[float, float] | None = None
        self._cpu_percent: float | None = None
        if self._given is None or self._measured_in is None:
            self._disk_seen = {"read": 0, "write": 0}
        self._measured_in = os.getpid()

    def _read(self) -> None:
        from psutil import STATUS_ZOMBIE, NoSuchProcess

        process = self._process
        if self._given is not None and not process.is_running():
            # Its number may belong to another process by now.
            raise NoSuchProcess(process.pid)
        memory = measured(lambda: process.memory_info().rss)
        if not memory and measured(process.status) == STATUS_ZOMBIE:
            raise NoSuchProcess(process.pid)
        percent = measured(self._read_cpu)
        disk = measured(lambda: disk_bytes(process))
        for gauge, value in ((self.memory, memory), (self.cpu, percent)):
            if value is None:
                gauge.vanish(self._nothing)
            else:
                gauge.set(value)
        if disk is not None:
            for operation, total in zip(("read", "write"), disk, strict=True):
                self._advance(operation, total)
        read, written = disk or (None, None)
        self._use = ResourceUse(percent, memory, read, written)

    def _read_cpu(self) -> float | None:
        # Not psutil's cpu_percent: it would end the window of whoever else uses the same object.
        times = self._process.cpu_times()
        now, used = monotonic(), times.user + times.system
        if self._cpu_mark is None:
            self._cpu_mark = now, used
        elif now - self._cpu_mark[0] >= SHORTEST_CPU_WINDOW:
            before, used_before = self._cpu_mark
            self._cpu_percent = max(0.0, 100 * (used - used_before) / (now - before))
            self._cpu_mark = now, used
        return self._cpu_percent

    def _advance(self, operation: str, total: int) -> None:
        """Bring the counter to a total that may step back while threads of the process end."""
        child = self.disk.labels(operation)
        if total > self._disk_seen[operation]:
            child.inc(total - self._disk_seen[operation])
            self._disk_seen[operation] = total

    def _vanish(self) -> None:
        self.memory.vanish(self._nothing)
        self.cpu.vanish(self._nothing)
        self._use = ResourceUse()
        if not self.ended:
            self.ended = True
            _logger.warning("process %d has ended: its memory and CPU readings are gone", self.pid)


def disk_bytes(process: psutil.Process) -> tuple[int, int] | None:
    """Return the bytes a process has read from and written to storage; raises what psutil does."""
    try:
        read_counters = process.io_counters
    except AttributeError:
        # psutil has no such method where the platform counts no bytes per process, as on macOS.
        return None
    counters = read_counters()
    return counters.read_bytes, counters.write_bytes


def measured(read: Callable[[], T]) -> T | None:
    """Return what was read, or None where the platform or a permission does not give it.

    Raises psutil.NoSuchProcess for a process that has ended.
    """
    from psutil import AccessDenied

    try:
        return read()
    except (AccessDenied, NotImplementedError, OSError, RuntimeError, ValueError):
        # All of these come from psutil when a kernel lacks the file or a field in it.
        return None


PER_REGISTRY: OnePerRegistry[ProcessUsage] = OnePerRegistry("ResourceMetrics")
