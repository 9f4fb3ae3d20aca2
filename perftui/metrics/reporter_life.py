"""The life of one Reporter: start, stop, fork."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from perftui.metrics.cache_reading import CountsFunction, ReportedCache
from perftui.metrics.report import ResourceUse
from perftui.metrics.report_composer import Composer
from perftui.metrics.report_loop import Delivery, ReportLoop
from perftui.metrics.reported_process import process_zero, reported_process
from perftui.metrics.reporter_hooks import enter, leave

if TYPE_CHECKING:
    from perftui.metrics.execution import ExecutionMetrics
    from perftui.metrics.probes import Probes
    from perftui.metrics.profile_publisher import ProfilePublisher
    from perftui.metrics.query_publisher import QueryPublisher
    from perftui.metrics.redis_wire import Wire

SHARED = 0
"""The counter of a Reporter that reports what `ExecutionMetrics()` counts."""


class Reporting:
    """One Reporter's thread, in the process that started it and in all that it forks.

    `metrics` is None for those of the default registry, which are looked for at each report: made
    here, they would get in the way of a service that makes them with buckets of its own.
    `resources` measures the process that calls it. `probes` begin and end with the reports.
    """

    def __init__(
        self,
        service: str,
        wire: Wire,
        metrics: ExecutionMetrics | None,
        resources: Callable[[], ResourceUse] | None,
        caches: Sequence[ReportedCache | CountsFunction],
        interval: float,
        longest_pause: float,
        probes: Probes | None = None,
        profile: ProfilePublisher | None = None,
        queries: QueryPublisher | None = None,
    ) -> None:
        self._service = service
        self._wire = wire
        self._metrics = metrics
        self._resources = resources
        self._caches = caches
        self._interval = interval
        self._longest_pause = longest_pause
        self._probes = probes
        self._profile = profile
        self._queries = queries
        self._lock = threading.Lock()
        self._running = False
        self._composer: Composer | None = None
        self._loop: ReportLoop | None = None
        self._made_in = os.getpid()
        counting = self._find_metrics()
        counted = counting is not None and bool(counting.counts())
        self._zero = process_zero() if counted else time.monotonic()

    @property
    def instance(self) -> str:
        """The id of this process in Redis, empty before the start."""
        return "" if self._composer is None else self._composer.process.instance

    @property
    def delivery(self) -> Delivery | None:
        """How the reports of this process fare, None before the start."""
        return None if self._loop is None else self._loop.delivery

    def start(self, seconds: float) -> None:
        """Start the thread, unless it runs.

        In a process that was forked since this was made, it waits so many seconds at most until it
        is known what was counted before.
        """
        with self._lock:
            if self._running:
                return
            if self._probes is not None:
                self._probes.start()
            # A fork from here on finds it, however far the start has come.
            enter(self)
            loop = self._begin(forked=os.getpid() != self._made_in)
        loop.ready.wait(seconds)

    def begin_stop(self) -> None:
        """Let the thread send a last report and end; `join` waits for it."""
        with self._lock:
            if not self._running or self._composer is None or self._loop is None:
                return
            self._running = False
            if self._probes is not None:
                self._probes.stop()
            process = self._composer.process
            process.reporters -= 1
            self._loop.end(farewell=process.reporters == 0)
        leave(self)

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread that was told to stop."""
        if self._loop is not None:
            self._loop.join(seconds)

    def take_leave(self) -> threading.Event | None:
        """Let the thread send what may be the last report; the event says that it did."""
        return None if self._loop is None else self._loop.take_leave()

    def rest(self, seconds: float) -> Callable[[], None] | None:
        """Wait until the thread does nothing; return what lets it go on, None when it is busy."""
        loop = self._loop
        return loop.go_on if loop is not None and loop.rest(seconds) else None

    def after_fork(self) -> threading.Event:
        """Begin anew in a forked process; the event says that it is known what was inherited."""
        # A thread of the parent may have held it.
        self._lock = threading.Lock()
        if self._probes is not None:
            self._probes.after_fork()
        return self._begin(forked=True).ready

    def _begin(self, *, forked: bool) -> ReportLoop:
        if forked:
            self._composer = None
            self._zero = time.monotonic()
            self._made_in = os.getpid()
            if self._queries is not None:
                self._queries.after_fork()
        if self._composer is None:
            process = reported_process(self._service, self._counter(), self._wire.place, self._zero)
            self._composer = Composer(
                self._service,
                process,
                self._find_metrics,
                self._resources,
                self._caches,
                self._probes,
                self._profile,
                self._queries,
            )
        self._composer.process.reporters += 1
        self._running = True
        # A thread that was told to stop may still be waiting for an answer on the old wire.
        self._wire = self._wire.renewed()
        self._loop = ReportLoop(
            self._wire, self._composer, self._interval, self._longest_pause, forked=forked
        )
        self._loop.start()
        return self._loop

    def _counter(self) -> int:
        """Return a number that is the same for all who report the same counts."""
        if self._metrics is None:
            return SHARED
        default = default_metrics()
        if default is not None and default.execution_time is self._metrics.execution_time:
            return SHARED
        return id(self._metrics.execution_time)

    def _find_metrics(self) -> ExecutionMetrics | None:
        return default_metrics() if self._metrics is None else self._metrics


def default_metrics() -> ExecutionMetrics | None:
    """Return the metrics of the default registry if somebody has made them."""
    from prometheus_client import REGISTRY

    from perftui.metrics.execution import shared
    from perftui.metrics.operation_series import PER_REGISTRY

    return None if PER_REGISTRY.find(REGISTRY) is None else shared()
