"""Pools of servers."""

from __future__ import annotations

from perftui.snapshot.part import Absent, Maybe, Part, State

NOT_TOLD = Absent(State.NOT_COLLECTED, "the origin of this pool does not tell it")


class PoolServer(Part, frozen=True):
    """A backend in a pool; `last_seen` is the age of its last heartbeat in seconds.

    `weight` is the one in effect, `weight_set` the one that was asked for. Times are in seconds;
    `since` is how long the state has lasted. `checks_down` is how often a check took it out.
    `eligible`: it may be picked; `kept`: it may although overloaded, since enough are out. What an
    operator decided is in `decided` (ready, drain, maint, empty) and `decided_by`. Its share of
    the picks of the last minute is `picks_percent`, its share of the weights of those that may be
    picked `picks_expected_percent`.
    """

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
    weight_set: Maybe[int] = NOT_TOLD
    queue: Maybe[int] = NOT_TOLD
    response_mean: Maybe[float] = NOT_TOLD
    response_p95: Maybe[float] = NOT_TOLD
    error_percent: Maybe[float] = NOT_TOLD
    since: Maybe[float] = NOT_TOLD
    detail: str = ""
    last_check: str = ""
    checks_failed: Maybe[int] = NOT_TOLD
    checks_down: Maybe[int] = NOT_TOLD
    eligible: Maybe[bool] = NOT_TOLD
    kept: bool = False
    leaving: bool = False
    decided: str = ""
    decided_by: str = ""
    picks_per_second: Maybe[float] = NOT_TOLD
    picks_percent: Maybe[float] = NOT_TOLD
    picks_expected_percent: Maybe[float] = NOT_TOLD


class PoolEvent(Part, frozen=True):
    """Something that happened in a pool at a Unix time; `server` is empty for the whole pool."""

    time: float
    kind: str
    server: str
    by: str
    reason: str


class PoolAdvice(Part, frozen=True):
    """How many servers a pool has and should have, and why; given `age` seconds ago.

    `held_by` says what keeps the pool as it is although the load asks for a change.
    """

    current: int
    want: int
    reason: str
    metric: str
    value: float | None
    threshold: float | None
    held_by: str
    policy: str
    min_instances: int | None
    max_instances: int | None
    age: float


class PoolThresholds(Part, frozen=True):
    """What a server is overloaded strictly above: percent, percent, requests per second."""

    cpu: float
    memory: float
    requests: float


class Pool(Part, frozen=True):
    """A named pool of servers; `origin` is redis or haproxy.

    `events` has the newest first. `endpoint` and `level` (user, operator, admin) are those of the
    HAProxy socket that told of the pool, empty for one in Redis. `panic`: so few servers are well
    that balancers use all live ones.
    """

    name: str
    servers: tuple[PoolServer, ...]
    origin: str = "redis"
    eligible: Maybe[int] = NOT_TOLD
    picks_per_second: Maybe[float] = NOT_TOLD
    advice: Maybe[PoolAdvice] = NOT_TOLD
    thresholds: Maybe[PoolThresholds] = NOT_TOLD
    panic: Maybe[bool] = NOT_TOLD
    events: tuple[PoolEvent, ...] = ()
    endpoint: str = ""
    level: str = ""
