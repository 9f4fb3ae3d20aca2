"""The Redis keys of a server pool; one hash tag keeps a pool in one Cluster slot."""

from __future__ import annotations

import msgspec

POOLS_KEY = "perftui:pools"
"""Set of the names of all pools."""


def pool_key(pool: str, part: str) -> str:
    """Return the key of one part of a pool.

    Hashes by server id: `meta`, `load`, `status` and `admin` (JSON, see the structures below),
    `inflight`, `picks`, `done` and `fails` (counts), `seconds` (sum of the times of finished
    requests). Sorted sets by server id: `seen` (Redis time of the last heartbeat of all that are
    known), `live` (the same of those that beat), `ok` (the eligible ids, all with score 0, thus in
    the order of their bytes), `over` (those out because of their load, by the time they went),
    `kept` (those that are gone and have an operator's decision, by the time they went).
    `panics`: balancers in panic, by the time they said so.
    Strings: `rr` (round-robin counter), `advice` (JSON), `adviser` (who gives it, for a while),
    `decisions` (count of what operators decided). `limits` is a hash of the thresholds that
    hold for all servers of the pool, where somebody has set them. `events` is a stream.
    """
    return f"perftui:pool:{{{pool}}}:{part}"


class ServerMeta(msgspec.Struct, frozen=True):
    """What a server says once, when it registers."""

    address: str
    weight: int
    started: float


class ServerLoad(msgspec.Struct, frozen=True):
    """What a server says at each heartbeat; percent, percent, per second, requests at work.

    What it does not measure is None. `p95` is seconds and `error_percent` a share of its requests,
    both over the server's own last seconds. A server that is `leaving` ends its requests and takes
    no new ones.
    """

    cpu_usage: float | None
    memory_usage: float | None
    requests_per_second: float | None
    in_flight: int | None
    p95: float | None = None
    error_percent: float | None = None
    leaving: bool = False


class ServerStatus(msgspec.Struct, frozen=True):
    """What the pool makes of the heartbeats; times by the clock of Redis.

    The loads are smoothed. `overloaded`: above a threshold, or not yet well below it again;
    `calm`: beats in a row well below. `kept`: overloaded, but eligible since enough are out.
    `eligible` since `since`, or not eligible since then. `at`: time of the heartbeat.
    """

    cpu_usage: float | None
    memory_usage: float | None
    requests_per_second: float | None
    overloaded: bool
    calm: int
    kept: bool
    eligible: bool
    since: float
    at: float
    why: str = ""


class ServerAdmin(msgspec.Struct, frozen=True):
    """What an operator decided for a server: `ready`, `drain` or `maint`, and since when.

    `weight` is None where the server's own weight holds.
    """

    state: str
    reason: str
    since: float
    by: str = ""
    weight: int | None = None
