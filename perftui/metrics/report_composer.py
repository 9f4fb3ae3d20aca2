"""Puts a report together from what this process counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from perftui.metrics.cache_reading import (
    CacheReadings,
    CountsFunction,
    ReportedCache,
    read_all,
)
from perftui.metrics.report import CacheCounts, ResourceUse, ServiceReport
from perftui.metrics.reported_process import ReportedProcess, any_counted, own_lookups

if TYPE_CHECKING:
    from perftui.metrics.execution import ExecutionMetrics
    from perftui.metrics.probes import Probes
    from perftui.metrics.profile_publisher import ProfilePublisher
    from perftui.metrics.profile_reading import ProfileReading
    from perftui.metrics.query_publisher import QueryPublisher
    from perftui.metrics.redis_wire import Command

_logger = logging.getLogger("perftui")


class Composer:
    """Makes the reports of one process; used by one thread at a time.

    A part that raises is logged once and left out.
    """

    def __init__(
        self,
        service: str,
        process: ReportedProcess,
        metrics: Callable[[], ExecutionMetrics | None],
        resources: Callable[[], ResourceUse] | None,
        caches: Sequence[ReportedCache | CountsFunction] = (),
        probes: Probes | None = None,
        profile: ProfilePublisher | None = None,
        queries: QueryPublisher | None = None,
    ) -> None:
        self.service = service
        self.process = process
        self._metrics = metrics
        self._resources = resources
        self._caches = caches
        self._probes = probes
        self._profile = profile
        self._queries = queries
        self._inherited_caches: dict[str, CacheCounts] = {}
        self._complained: set[str] = set()

    def inherit(self) -> None:
        """Take everything counted so far for the parent's."""
        metrics = self._metrics()
        if metrics is not None:
            self.process.inherit(metrics.counts())
        self._inherited_caches = self._cache_readings().counts

    def compose(self, moment: float, redis_time: float, *, ended: bool) -> ServiceReport:
        """Return the report of a moment of the monotonic clock, which is `redis_time` to Redis."""
        metrics = self._metrics()
        process = self.process
        caches = self._cache_readings()
        return ServiceReport(
            service=self.service,
            instance=process.instance,
            host=process.host,
            pid=process.pid,
            started=process.started,
            time=redis_time,
            operations={} if metrics is None else process.own_operations(metrics.counts()),
            caches=self._own_caches(caches.counts),
            bounds=() if metrics is None else metrics.bounds,
            uptime=moment - process.zero,
            clock=time.time(),
            resources=self._resource_use(),
            overflow=0 if metrics is None else metrics.overflow,
            ended=ended,
            probes=None if self._probes is None else self._probes.read(),
            profile=self._profile_reading(),
            cache_states=caches.states,
        )

    def query_commands(self, now: float, *, ended: bool) -> list[Command]:
        """Return what tells Redis of observed queries, often nothing."""
        if self._queries is None:
            return []
        try:
            return self._queries.commands(self.service, self.process.instance, now, ended=ended)
        except Exception:
            # The counts of everything else are worth more.
            self._complain("queries")
            return []

    def _cache_readings(self) -> CacheReadings:
        return read_all(self._caches, lambda: self._complain("caches"))

    def _own_caches(self, counted: dict[str, CacheCounts]) -> dict[str, CacheCounts]:
        """Return what this process counted itself, without namespaces it never used."""
        own = {}
        for name, counts in counted.items():
            inherited = self._inherited_caches.get(name)
            rest = counts if inherited is None else own_lookups(counts, inherited)
            if inherited is None or any_counted(rest):
                own[name] = rest
        return own

    def _resource_use(self) -> ResourceUse | None:
        if self._resources is None:
            return None
        try:
            return self._resources()
        except Exception:
            # Whatever a platform may refuse, the counts are worth more.
            self._complain("resources")
            return None

    def _profile_reading(self) -> ProfileReading | None:
        if self._profile is None:
            return None
        try:
            return self._profile.read()
        except Exception:
            # A profiler may be stopped and replaced at any moment; the counts are worth more.
            self._complain("profile")
            return None

    def _complain(self, part: str) -> None:
        if part not in self._complained:
            self._complained.add(part)
            _logger.warning(
                "reports of service %s go without %s, which failed",
                self.service,
                part,
                exc_info=True,
            )
