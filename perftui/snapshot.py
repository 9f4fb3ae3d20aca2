"""Snapshot and its parts: the one set of words every other room speaks.

Bytes, seconds, per-second rates; `*_percent` is 0..100, `*_ratio` is 0..1. A field that could
not be measured holds an `Absent` that says why, so that a zero is always a measured zero.
"""

from __future__ import annotations

import enum
from typing import TypeAlias, TypeVar

import msgspec

SCHEMA = 2
"""Version of the names in the JSON document; grows when a name changes its meaning."""


class Part(msgspec.Struct, frozen=True, tag=True):
    """Base of all parts: tagged, so that values and absences survive a file."""


class State(enum.Enum):
    """How far a value can be trusted."""

    OK = "ok"
    STALE = "stale"
    DENIED = "denied"
    UNAVAILABLE = "unavailable"
    NOT_COLLECTED = "not collected"


class Absent(Part, frozen=True):
    """A value that is missing, with the reason and, where there is one, the exact fix."""

    state: State
    reason: str
    fix: str = ""


T = TypeVar("T")
Maybe: TypeAlias = T | Absent

FIRST_SAMPLE = Absent(State.NOT_COLLECTED, "a rate needs two samples")
NOT_STARTED = Absent(State.NOT_COLLECTED, "no sample yet")


class Host(Part, frozen=True):
    """The machine the monitor runs on."""

    name: str
    system: str
    kernel: str
    cpus: int
    uptime: float


class Cpu(Part, frozen=True):
    """CPU use since the previous sample; percent of all cores, `per_core` percent of each."""

    percent: Maybe[float]
    per_core: Maybe[tuple[float, ...]]
    user_percent: Maybe[float]
    system_percent: Maybe[float]
    iowait_percent: Maybe[float]
    steal_percent: Maybe[float]
    load: Maybe[tuple[float, float, float]]


class Memory(Part, frozen=True):
    """Memory as `free` counts it: used is total less available.

    `oom_kills` counts the processes that the kernel killed for want of memory since it started.
    """

    percent: float
    used: int
    total: int
    available: int
    oom_kills: Maybe[int] = NOT_STARTED


class Swap(Part, frozen=True):
    """Swap space; all zero where none is configured. Rates are bytes per second."""

    percent: float
    used: int
    total: int
    in_rate: Maybe[float] = NOT_STARTED
    out_rate: Maybe[float] = NOT_STARTED


class Disk(Part, frozen=True):
    """Bytes per second to and from whole block devices, partitions not counted twice."""

    read_rate: Maybe[float]
    write_rate: Maybe[float]


class Network(Part, frozen=True):
    """Bytes per second over all interfaces but loopback."""

    receive_rate: Maybe[float]
    transmit_rate: Maybe[float]


class Stall(Part, frozen=True):
    """Pressure stall information of one resource: percent of time tasks waited for it."""

    some_avg10: float
    some_avg60: float
    full_avg10: Maybe[float]
    full_avg60: Maybe[float]


class Pressure(Part, frozen=True):
    """/proc/pressure, see the kernel's Documentation/accounting/psi.rst."""

    cpu: Maybe[Stall]
    memory: Maybe[Stall]
    io: Maybe[Stall]


class Cgroup(Part, frozen=True):
    """Limits and usage of the control group; `None` means that no limit is set.

    `oom_kills` counts the processes killed at the memory limit since the group was made, `periods`
    those of the scheduler since the sample before, of which `throttled_percent` were cut short.
    """

    version: int
    path: str
    cpu_limit: Maybe[float | None]
    cpu_cores: Maybe[float]
    cpu_percent: Maybe[float]
    throttled_percent: Maybe[float]
    memory_limit: Maybe[int | None]
    memory_used: Maybe[int]
    memory_percent: Maybe[float]
    oom_kills: Maybe[int] = NOT_STARTED
    periods: Maybe[int] = NOT_STARTED


class FileSystem(Part, frozen=True, gc=False):
    """One mounted file system; bytes as `df` counts them, for users without privileges.

    `used_percent` is of what users may have, `inodes_percent` of the files there may be.
    """

    mount: str
    device: str
    kind: str
    total: int
    available: int
    used_percent: float
    inodes_percent: Maybe[float]


class FileSystems(Part, frozen=True):
    """The file systems that hold data; `hung` are mount points that do not answer.

    `refused` are mount points that answer with an error, each with its reason.
    """

    rows: tuple[FileSystem, ...]
    hung: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


class ProcessDescriptors(Part, frozen=True, gc=False):
    """How many file descriptors a process has open, of how many it may have."""

    pid: int
    name: str
    open: int
    limit: int


class Descriptors(Part, frozen=True):
    """File descriptors: of the whole machine, and of the processes nearest to their limit.

    `readable` processes were looked at; those of other users stay hidden without privileges.
    """

    open: Maybe[int]
    limit: Maybe[int]
    rows: tuple[ProcessDescriptors, ...]
    readable: int


class Resources(Part, frozen=True):
    """Everything the machine has to give."""

    cpu: Maybe[Cpu] = NOT_STARTED
    memory: Maybe[Memory] = NOT_STARTED
    swap: Maybe[Swap] = NOT_STARTED
    disk: Maybe[Disk] = NOT_STARTED
    network: Maybe[Network] = NOT_STARTED
    pressure: Maybe[Pressure] = NOT_STARTED
    cgroup: Maybe[Cgroup] = NOT_STARTED


class Process(Part, frozen=True, gc=False):
    """One process; `cpu_percent` is of one core, `started` is Unix time."""

    pid: int
    ppid: int
    name: str
    command: str
    user: str
    state: str
    cpu_percent: Maybe[float]
    memory_rss: int
    threads: int
    started: float
    python: bool


class ProcessTable(Part, frozen=True):
    """All processes, and how old the oldest row may be on a machine with very many."""

    rows: tuple[Process, ...]
    total: int
    threads: int
    running: int
    scan_seconds: float


class Call(Part, frozen=True, gc=False):
    """One row of a profile: a function, or a line, a file, a module where that was asked for.

    `own` and `total` are CPU seconds without and with callees, the percents of all that was
    sampled. `file` is empty and `line` 0 where the row has none. `thread` is the name of the only
    thread that the row speaks of, empty for all.
    """

    function: str
    file: str
    line: int
    own_percent: float
    total_percent: float
    own: float = 0.0
    total: float = 0.0
    thread: str = ""


class Place(Part, frozen=True, gc=False):
    """A line of a function that was seen on a stack; `line` 0 and `file` empty when unknown."""

    function: str
    file: str
    line: int


class ProfiledThread(Part, frozen=True, gc=False):
    """A thread that was sampled; `cores` is the CPU time it used per second.

    `tid` is its id in the innermost pid namespace, or what the profiler calls it.
    """

    pid: int
    tid: int
    name: str
    cores: Maybe[float]
    samples: int


class Stack(Part, frozen=True, gc=False):
    """One distinct stack: positions in `Stacks.places`, outermost first, and CPU seconds.

    `thread` is a position in `TopCalls.threads`.
    """

    thread: int
    places: tuple[int, ...]
    seconds: float
    samples: int


class Stacks(Part, frozen=True):
    """The distinct stacks of a profile, most CPU time first.

    `left_out` are the CPU seconds of further stacks, which were too many to keep.
    """

    places: tuple[Place, ...]
    stacks: tuple[Stack, ...]
    left_out: float = 0.0


class ProfileRequest(Part, frozen=True):
    """How a process shall be profiled, and what of it is looked at.

    `mode` is auto, exact (pauses for each sample) or safe (never). `gil`: only threads that hold
    the lock of the interpreter; `idle`: waiting threads too, whose samples then count wall time;
    `native`: C frames as well; `subprocesses`: the whole tree. `window` are the seconds of the
    sliding window, 0 for all since the last reset. `stacks`: whether TopCalls.stacks is wanted.
    """

    mode: str = "auto"
    gil: bool = False
    idle: bool = False
    native: bool = False
    subprocesses: bool = False
    window: float = 5.0
    stacks: bool = False


NOT_LOOKED_AT = Absent(State.NOT_COLLECTED, "nothing shows it, so it is not kept")
NOT_PROFILED = Absent(
    State.NOT_COLLECTED,
    "the process does not profile itself",
    "start a CodeProfiler in it and give it to its Reporter",
)


class TopCalls(Part, frozen=True):
    """What one process, or a tree of them, spent its CPU time on during the last `window` seconds.

    `source` is py-spy or cProfile. `seconds` is the CPU time that the percents are of, wall time
    when idle threads count. `processes` are the ids of those that were seen, `request` what was
    asked for, `since_reset` whether the window has no other begin than the last reset.
    """

    pid: int
    command: str
    python: str
    calls: tuple[Call, ...]
    window: float
    samples: int
    errors: int
    cores: Maybe[float]
    mode: str
    rate_wanted: float
    rate_reached: float
    coverage_percent: float
    pause_percent: Maybe[float]
    note: str = ""
    source: str = "py-spy"
    seconds: float = 0.0
    threads: tuple[ProfiledThread, ...] = ()
    processes: tuple[int, ...] = ()
    stacks: Maybe[Stacks] = NOT_LOOKED_AT
    request: ProfileRequest = ProfileRequest()
    since_reset: bool = False


class HitRatio(Part, frozen=True):
    """Hits over lookups in three windows of 10, 100 and 1000 seconds."""

    seconds_10: Maybe[float]
    seconds_100: Maybe[float]
    seconds_1000: Maybe[float]


class RedisServer(Part, frozen=True):
    """One Redis or Valkey server as its INFO tells; `memory_limit` None: no maxmemory."""

    address: str
    flavour: str
    version: str
    role: str
    uptime: float
    latency: float
    clients: int
    blocked_clients: int
    keys: int
    memory_used: int
    memory_limit: int | None
    memory_policy: str
    hit_ratio: HitRatio
    commands_rate: Maybe[float]
    hits_rate: Maybe[float]
    misses_rate: Maybe[float]
    evictions_rate: Maybe[float]
    expirations_rate: Maybe[float]
    rejections_rate: Maybe[float] = NOT_STARTED


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


class CacheTier(Part, frozen=True):
    """One tier of a service's cache as the service counted it.

    `lookups_100` is how many look-ups the hit ratio over 100 seconds is made of.
    """

    tier: str
    hit_ratio: HitRatio
    items: Maybe[int]
    size: Maybe[int]
    evictions_rate: Maybe[float]
    lookups_100: Maybe[int] = NOT_STARTED


class CacheNamespace(Part, frozen=True):
    """The cache of one service under one key prefix: tiers `memory`, `redis` and `overall`."""

    namespace: str
    tiers: tuple[CacheTier, ...]


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


class Selection(Part, frozen=True):
    """What a person looks at: some hosts alone, one operation of one service in detail, and how
    the process under the profiler is looked at; None for what the settings say."""

    hosts: tuple[str, ...] = ()
    operation: tuple[str, str] | None = None
    profile: ProfileRequest | None = None


class Endpoint(Part, frozen=True):
    """One page of metrics and how reading it went; bytes, seconds of CPU time, series kept."""

    address: str
    service: str
    state: State
    reason: str
    fix: str
    age: float | None
    size: Maybe[int]
    series: Maybe[int]
    seconds: Maybe[float]
    notes: tuple[str, ...] = ()


class Scrape(Part, frozen=True):
    """The pages of metrics that are read directly, and the services they tell of."""

    endpoints: tuple[Endpoint, ...]
    services: tuple[Service, ...]


class ServerAlert(Part, frozen=True):
    """An alert that a Prometheus server found by its own rules; `since` is Unix time."""

    name: str
    severity: str
    labels: tuple[tuple[str, str], ...]
    summary: str
    runbook: str
    since: float
    value: Maybe[float]


class Prometheus(Part, frozen=True):
    """What a Prometheus server, or one that answers the same API, knows of the whole fleet."""

    address: str
    version: str
    services: Maybe[tuple[Service, ...]]
    alerts: Maybe[tuple[ServerAlert, ...]]
    targets_up: Maybe[int]
    targets_down: Maybe[int]
    notes: tuple[str, ...] = ()


class PoolServer(Part, frozen=True):
    """A backend in a pool; `last_seen` is the age of its last heartbeat in seconds."""

    id: str
    address: str
    state: str
    reason: str
    weight: int
    cpu_usage: Maybe[float]
    memory_usage: Maybe[float]
    requests_per_second: Maybe[float]
    in_flight: Maybe[int]
    picks: Maybe[int]
    last_seen: float
    overloaded: bool


class Pool(Part, frozen=True):
    """A named pool of servers."""

    name: str
    servers: tuple[PoolServer, ...]


class Severity(enum.Enum):
    """How urgent an alert is; information is worth knowing, but asks nobody to look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def urgency(self) -> int:
        """The place among severities, what is most urgent having the largest number."""
        return _URGENCY[self]


_URGENCY = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class AlertState(enum.Enum):
    """Where an alert is between ok and ok again; NODATA keeps the last verdict in view."""

    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"
    NODATA = "nodata"


class Alert(Part, frozen=True, gc=False):
    """A condition of one rule and one subject that is not ok.

    `since` is Unix time of the begin of the interval, `changed` that of the newest state. `value`
    is smoothed over `window` seconds and compared with `threshold`; it has to pass `clear` for the
    alert to end. `peak` and `mean` are of the interval so far, of `samples` evaluations; `n` is
    how many calls or look-ups the value is made of. A `unit` of YES_NO says that the value is 1 for
    yes and 0 for no, or the part of the time in between. Where the value is a ratio, `measured` is
    what it is made of, now, and `measured_usual` what that usually is, both in `measured_unit`.
    `pane` explains it, `hint` is the next step.
    `causes` are fingerprints of alerts that overlap it and may explain it, `inhibited_by` that of
    one of which it is a mere consequence. `reason` says why there is no data. `origin` is `local`
    for perftui's own rules, else the server whose rule it is. An alert that is silenced, inhibited
    or acknowledged goes on, but asks nobody to look, as information never does.
    """

    rule: str
    severity: Severity
    subject: str
    value: Maybe[float]
    threshold: Maybe[float]
    unit: str
    since: float
    message: str
    hint: str
    pane: str
    origin: str = "local"
    state: AlertState = AlertState.FIRING
    fingerprint: str = ""
    title: str = ""
    kind: str = ""
    changed: float = 0.0
    clear: Maybe[float] = NOT_STARTED
    window: float = 0.0
    n: Maybe[int] = NOT_STARTED
    baseline: Maybe[float] = NOT_STARTED
    peak: Maybe[float] = NOT_STARTED
    mean: Maybe[float] = NOT_STARTED
    samples: int = 0
    group: str = ""
    evidence: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    silenced_until: float = 0.0
    comment: str = ""
    inhibited_by: str = ""
    acknowledged_by: str = ""
    flapping: bool = False
    reason: str = ""
    measured: Maybe[float] = NOT_STARTED
    measured_usual: Maybe[float] = NOT_STARTED
    measured_unit: str = ""

    @property
    def informs(self) -> bool:
        """Whether it is information."""
        return self.severity is Severity.INFO

    @property
    def hushed(self) -> bool:
        """Whether somebody or another alert has said that nobody need look."""
        return bool(self.silenced_until or self.inhibited_by or self.acknowledged_by)

    @property
    def quiet(self) -> bool:
        """Whether nobody need look: it is hushed, or information."""
        return self.informs or self.hushed


class AlertEvent(Part, frozen=True, gc=False):
    """One interval in which an alert fired, from its begin to its end; Unix times.

    `severity` is the highest it reached; `end` is Absent while it lasts.
    """

    fingerprint: str
    rule: str
    title: str
    severity: Severity
    subject: str
    unit: str
    begin: float
    end: Maybe[float]
    peak: Maybe[float]
    mean: Maybe[float]
    samples: int
    message: str
    evidence: tuple[str, ...] = ()


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
    services: Maybe[tuple[Service, ...]] = NOT_STARTED
    scrape: Maybe[Scrape] = NOT_STARTED
    prometheus: Maybe[Prometheus] = NOT_STARTED
    pools: Maybe[tuple[Pool, ...]] = NOT_STARTED
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
