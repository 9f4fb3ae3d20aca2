"""Services: their operations, processes and caches."""

from __future__ import annotations

from perftui.snapshot.cache import CacheNamespace
from perftui.snapshot.part import NOT_STARTED, Absent, Maybe, Part, State
from perftui.snapshot.profile import NOT_PROFILED, TopCalls


class Quantile(Part, frozen=True, gc=False):
    """A quantile in seconds and the bounds of the bucket it was interpolated in."""

    value: float
    low: float
    high: float


class Operation(Part, frozen=True):
    """One operation of a service over one window; seconds, calls per second, share of all time.

    Calls that were cancelled are only in `cancelled`.
    """

    name: str
    rate: float
    mean: Maybe[float]
    p50: Maybe[Quantile]
    p95: Maybe[Quantile]
    p99: Maybe[Quantile]
    error_ratio: Maybe[float]
    time_share: float
    count: int
    cancelled: int = 0


class OperationWindow(Part, frozen=True):
    """The operations over a window of `seconds`, of which `covered` have been watched so far."""

    seconds: float
    covered: float
    operations: tuple[Operation, ...]


class StatusCount(Part, frozen=True):
    """Calls that ended with one status, such as `failure` or `404`, in a window."""

    status: str
    count: int
    rate: float


class InstanceShare(Part, frozen=True):
    """What one process contributed to an operation in a window."""

    instance: str
    operation: Operation


class OperationDetail(Part, frozen=True):
    """One operation in one window: calls per bucket, per status and per process.

    `buckets` has one more place than `bounds`, for +Inf. The processes have been looked at apart
    for `covered` seconds only.
    """

    operation: str
    seconds: float
    bounds: tuple[float, ...]
    buckets: tuple[int, ...]
    statuses: tuple[StatusCount, ...]
    instances: Maybe[tuple[InstanceShare, ...]]
    covered: float


class LoopLag(Part, frozen=True, gc=False):
    """How late an asyncio event loop runs what is due, in seconds, over the last `window`."""

    p95: float
    longest: float
    ticks: int
    window: float


class GcPauses(Part, frozen=True, gc=False):
    """Pauses of Python's garbage collector over the last `window` seconds: share and longest."""

    percent: float
    longest: float
    collections: int
    window: float


NOT_PROBED = Absent(
    State.NOT_COLLECTED,
    "the process does not measure it",
    "Reporter(..., probes=True) in the service",
)


class Instance(Part, frozen=True):
    """One process or scraped endpoint of a service; ages in seconds, percent of one core.

    `state` is stale when it has been silent for too long, and `note` says what is odd about it.
    """

    id: str
    host: str
    pid: Maybe[int]
    state: State
    last_seen: float
    uptime: Maybe[float]
    cpu_percent: Maybe[float]
    memory_rss: Maybe[int]
    note: str = ""
    loop_lag: Maybe[LoopLag] = NOT_PROBED
    gc_pauses: Maybe[GcPauses] = NOT_PROBED
    clock_ahead: Maybe[float] = NOT_STARTED
    profile: Maybe[TopCalls] = NOT_PROFILED


class Service(Part, frozen=True):
    """A service, all of its live processes added up.

    `origin` is `redis` for one that reports, `scrape` for a page of metrics, `prometheus` for what
    a Prometheus server knows. `processes` are the live ones; `instances` has the silent ones too.
    `chosen` are the windows of the chosen hosts alone. `notes` are warnings about the numbers.
    """

    name: str
    processes: int
    hosts: tuple[str, ...]
    last_seen: float
    windows: tuple[OperationWindow, ...] = ()
    caches: tuple[CacheNamespace, ...] = ()
    instances: tuple[Instance, ...] = ()
    origin: str = "redis"
    chosen_hosts: tuple[str, ...] = ()
    chosen: tuple[OperationWindow, ...] = ()
    details: tuple[OperationDetail, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations over the shortest window, empty before there is one."""
        return self.windows[0].operations if self.windows else ()
