"""Caches as the services count them, and the Redis server behind them."""

from __future__ import annotations

from perftui.snapshot.part import NOT_STARTED, Absent, Maybe, Part, State


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


class CommandUse(Part, frozen=True, gc=False):
    """One command of a Redis server over the last seconds; `seconds` is the mean of a call.

    `percent` is the share of one core of the server; `p99` in seconds since the server began, where
    the server keeps a histogram (7.0 and later). Failures are told by 6.2 and later; one that was
    only rejected took no time.
    """

    name: str
    calls_rate: float
    seconds: Maybe[float]
    percent: float
    failed_rate: Maybe[float]
    rejected_rate: Maybe[float]
    p99: Maybe[float] = NOT_STARTED


class SlowCommand(Part, frozen=True, gc=False):
    """One entry of the slow log; `time` is Unix time by the clock of the server.

    `command` is the command with its first key: further arguments may be secrets or large.
    """

    id: int
    time: float
    seconds: float
    command: str
    client: str


class ErrorRate(Part, frozen=True, gc=False):
    """How often a Redis server answered with one kind of error, such as OOM or WRONGTYPE."""

    name: str
    rate: float
    count: int


class RedisDetail(Part, frozen=True):
    """What a Redis server is busy with; read only while somebody looks.

    Commands by falling share of the server's time, slow ones by falling time of day.
    """

    commands: Maybe[tuple[CommandUse, ...]] = NOT_STARTED
    slow: Maybe[tuple[SlowCommand, ...]] = NOT_STARTED
    slower_than: Maybe[float] = NOT_STARTED
    errors: Maybe[tuple[ErrorRate, ...]] = NOT_STARTED


NOT_LISTENED = Absent(
    State.NOT_COLLECTED,
    "the process does not say how its memory tier keeps up with Redis",
    "Reporter(..., caches=manager) with a CacheManager",
)


class CacheCoherence(Part, frozen=True, gc=False):
    """How the memory tiers of a process keep up with Redis.

    `state` is off, syncing, live or lost; `lag` the newest round trip on the connection that tells
    of changes, `bound` how old a value from memory can be at most, both in seconds; `since` is Unix
    time of the newest change of state by the clock of Redis, `lost` how often it was lost.
    """

    state: str
    reason: str
    fix: str
    lag: Maybe[float]
    bound: Maybe[float]
    since: Maybe[float]
    lost: Maybe[int]


class CacheTier(Part, frozen=True):
    """One tier of a service's cache as the service counted it.

    `lookups_100` is how many look-ups the hit ratio over 100 seconds is made of. Limits are of the
    memory tiers of all processes together, which a namespace shares with others. Errors are
    questions that Redis did not answer; overall, values that could not be read and loads that
    failed as well. Rates are per second over the last 10.
    """

    tier: str
    hit_ratio: HitRatio
    items: Maybe[int]
    size: Maybe[int]
    evictions_rate: Maybe[float]
    lookups_100: Maybe[int] = NOT_STARTED
    items_limit: Maybe[int] = NOT_STARTED
    size_limit: Maybe[int] = NOT_STARTED
    expirations_rate: Maybe[float] = NOT_STARTED
    errors_rate: Maybe[float] = NOT_STARTED
    lookups_rate: Maybe[float] = NOT_STARTED


class CacheProcess(Part, frozen=True):
    """The part of one process in a namespace; `state` is stale when it has been silent."""

    instance: str
    host: str
    pid: Maybe[int]
    state: State
    tiers: tuple[CacheTier, ...]
    coherence: Maybe[CacheCoherence] = NOT_LISTENED
    redis_answers: Maybe[bool] = NOT_LISTENED


class CacheNamespace(Part, frozen=True):
    """The cache of one service under one key prefix: tiers `memory`, `redis` and `overall`.

    `coherence` is the worst of the live processes'. `ghost_ratio` is what the hit ratio of the
    memory tier over 100 seconds would have been with twice the items. `more_processes` have it as
    well and are not listed. `prefixes` are what its keys in Redis begin with, where that is known.
    """

    namespace: str
    tiers: tuple[CacheTier, ...]
    processes: tuple[CacheProcess, ...] = ()
    coherence: Maybe[CacheCoherence] = NOT_LISTENED
    ghost_ratio: Maybe[float] = NOT_STARTED
    loads_rate: Maybe[float] = NOT_STARTED
    more_processes: int = 0
    prefixes: tuple[str, ...] = ()
