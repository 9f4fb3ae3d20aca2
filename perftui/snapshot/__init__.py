"""Snapshot and its parts: the one set of words every other room speaks.

Bytes, seconds, per-second rates; `*_percent` is 0..100, `*_ratio` is 0..1. A field that could
not be measured holds an `Absent` that says why, so that a zero is always a measured zero.
"""

from __future__ import annotations

from perftui.snapshot.alerts import Alert, AlertEvent, AlertState, Severity
from perftui.snapshot.cache import (
    NOT_LISTENED,
    CacheCoherence,
    CacheNamespace,
    CacheProcess,
    CacheTier,
    CommandUse,
    ErrorRate,
    HitRatio,
    RedisDetail,
    RedisServer,
    SlowCommand,
)
from perftui.snapshot.machine import (
    Cgroup,
    Cpu,
    Descriptors,
    Disk,
    FileSystem,
    FileSystems,
    Host,
    Memory,
    Network,
    Pressure,
    ProcessDescriptors,
    Resources,
    Stall,
    Swap,
)
from perftui.snapshot.part import FIRST_SAMPLE, NOT_STARTED, SCHEMA, Absent, Maybe, Part, State
from perftui.snapshot.pool import Pool, PoolAdvice, PoolEvent, PoolServer, PoolThresholds
from perftui.snapshot.processes import Process, ProcessTable
from perftui.snapshot.profile import (
    NOT_LOOKED_AT,
    NOT_PROFILED,
    Call,
    Place,
    ProfiledThread,
    ProfileRequest,
    Stack,
    Stacks,
    TopCalls,
)
from perftui.snapshot.prometheus import Endpoint, Prometheus, Scrape, ServerAlert
from perftui.snapshot.queries import (
    Queries,
    QueryChange,
    QueryLine,
    QueryPoint,
    QuerySaving,
    QueryShape,
    QueryStep,
    RuleRecord,
)
from perftui.snapshot.services import (
    NOT_PROBED,
    GcPauses,
    Instance,
    InstanceShare,
    LoopLag,
    Operation,
    OperationDetail,
    OperationWindow,
    Quantile,
    Service,
    StatusCount,
)

__all__ = [
    "FIRST_SAMPLE",
    "NOT_LISTENED",
    "NOT_LOOKED_AT",
    "NOT_PROBED",
    "NOT_PROFILED",
    "NOT_STARTED",
    "SCHEMA",
    "Absent",
    "Alert",
    "AlertEvent",
    "AlertState",
    "CacheCoherence",
    "CacheNamespace",
    "CacheProcess",
    "CacheTier",
    "Call",
    "Cgroup",
    "CommandUse",
    "Cpu",
    "Descriptors",
    "Disk",
    "Endpoint",
    "ErrorRate",
    "FileSystem",
    "FileSystems",
    "GcPauses",
    "HitRatio",
    "Host",
    "Instance",
    "InstanceShare",
    "LoopLag",
    "Maybe",
    "Memory",
    "MonitorCost",
    "Network",
    "Operation",
    "OperationDetail",
    "OperationWindow",
    "Part",
    "Place",
    "Pool",
    "PoolAdvice",
    "PoolEvent",
    "PoolServer",
    "PoolThresholds",
    "Pressure",
    "Process",
    "ProcessDescriptors",
    "ProcessTable",
    "ProfileRequest",
    "ProfiledThread",
    "Prometheus",
    "Quantile",
    "Queries",
    "QueryChange",
    "QueryLine",
    "QueryPoint",
    "QuerySaving",
    "QueryShape",
    "QueryStep",
    "RedisDetail",
    "RedisServer",
    "Resources",
    "RuleRecord",
    "Scrape",
    "Selection",
    "ServerAlert",
    "Service",
    "Severity",
    "SlowCommand",
    "Snapshot",
    "SourceStatus",
    "Stack",
    "Stacks",
    "Stall",
    "State",
    "StatusCount",
    "Swap",
    "TopCalls",
]


class Selection(Part, frozen=True):
    """What a person looks at: some hosts alone, one operation of one service in detail, and how
    the process under the profiler is looked at; None for what the settings say."""

    hosts: tuple[str, ...] = ()
    operation: tuple[str, str] | None = None
    profile: ProfileRequest | None = None


class SourceStatus(Part, frozen=True):
    """How one source is doing; ages and durations in seconds."""

    name: str
    state: State
    reason: str
    fix: str
    age: float | None
    duration: float | None
    interval: float
    late: int
    runs: int


class MonitorCost(Part, frozen=True):
    """What the monitor itself costs; py-spy and demo processes are not in it."""

    cpu_percent: Maybe[float]
    memory_rss: Maybe[int]
    terminal_rate: Maybe[float]
    late_samples: int


class Snapshot(Part, frozen=True):
    """One moment of everything that is watched; the same object feeds screen, JSON and rules."""

    version: int
    time: float
    monotonic: float
    host: Maybe[Host] = NOT_STARTED
    resources: Resources = Resources()
    processes: Maybe[ProcessTable] = NOT_STARTED
    file_systems: Maybe[FileSystems] = NOT_STARTED
    descriptors: Maybe[Descriptors] = NOT_STARTED
    top_calls: Maybe[TopCalls] = NOT_STARTED
    redis: Maybe[RedisServer] = NOT_STARTED
    redis_detail: Maybe[RedisDetail] = NOT_LOOKED_AT
    services: Maybe[tuple[Service, ...]] = NOT_STARTED
    scrape: Maybe[Scrape] = NOT_STARTED
    prometheus: Maybe[Prometheus] = NOT_STARTED
    pools: Maybe[tuple[Pool, ...]] = NOT_STARTED
    haproxy: Maybe[tuple[Pool, ...]] = NOT_STARTED
    queries: Maybe[Queries] = NOT_STARTED
    alerts: tuple[Alert, ...] = ()
    alert_events: tuple[AlertEvent, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    monitor: MonitorCost = MonitorCost(NOT_STARTED, NOT_STARTED, NOT_STARTED, 0)

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire and ask for somebody to look."""
        return tuple(
            alert for alert in self.alerts if alert.state is AlertState.FIRING and not alert.quiet
        )

    @property
    def all_services(self) -> tuple[Service, ...]:
        """The services of all origins: those that report, are scraped, or Prometheus knows."""
        services: list[Service] = []
        if not isinstance(self.services, Absent):
            services += self.services
        if not isinstance(self.scrape, Absent):
            services += self.scrape.services
        if not isinstance(self.prometheus, Absent) and not isinstance(
            self.prometheus.services, Absent
        ):
            services += self.prometheus.services
        return tuple(services)

    def status(self, source: str) -> SourceStatus | None:
        """Return the status of one source, None if this monitor does not have it."""
        return next((status for status in self.sources if status.name == source), None)

    @property
    def all_pools(self) -> tuple[Pool, ...]:
        """The pools of Redis, then the backends of HAProxy; those that are missing left out."""
        found: tuple[Pool, ...] = ()
        for pools in (self.pools, self.haproxy):
            if not isinstance(pools, Absent):
                found += pools
        return found
