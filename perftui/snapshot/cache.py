"""Caches as the services count them, and the Redis server behind them."""

from __future__ import annotations

from perftui.snapshot.part import NOT_STARTED, Maybe, Part


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
