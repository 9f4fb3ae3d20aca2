"""Caches as the services tell of them, and what Redis is busy with, with fixed numbers."""

from __future__ import annotations

import math

import msgspec
from sample import NOW, full_snapshot
from sample_services import NOT_TOLD, shop

from perftui.assembly import cache_series
from perftui.cache.prefix_tally import Prefix
from perftui.cache.prefixes import PrefixSamples
from perftui.history import History
from perftui.snapshot import (
    Absent,
    CacheCoherence,
    CacheNamespace,
    CacheProcess,
    CacheTier,
    CommandUse,
    ErrorRate,
    HitRatio,
    Maybe,
    RedisDetail,
    SlowCommand,
    Snapshot,
    State,
)

HOSTILE = "[/x]\x1b[31m名前\n"

LIVE = CacheCoherence("live", "", "", 0.0004, 1.5, NOW - 3600, 0)
SYNCING = CacheCoherence("syncing", "tracking begins", "", 0.0006, 0.0, NOW - 2, 1)
LOST = CacheCoherence(
    "lost",
    "Redis at localhost:6379 did not answer PING for 2.1 s",
    "redis-cli -h localhost -p 6379 PING",
    NOT_TOLD,
    0.0,
    NOW - 12,
    3,
)
OFF = CacheCoherence(
    "off",
    "Redis at localhost:6379 does not allow user shop to run CLIENT TRACKING",
    "redis-cli -h localhost -p 6379 ACL SETUSER shop +client",
    NOT_TOLD,
    5.0,
    NOW - 900,
    0,
)
ALONE = CacheCoherence(
    "off", "there is no Redis tier to differ from", "", NOT_TOLD, NOT_TOLD, NOW - 60, 0
)


def ratios(value: float) -> HitRatio:
    """Return a hit ratio that fell a little of late."""
    return HitRatio(value - 0.004, value, min(1.0, value + 0.002))


def tiers(
    memory: float, redis: float, overall: float, rate: float = 240.0, errors: float = 0.0
) -> tuple[CacheTier, ...]:
    """Return the three tiers of a namespace with limits and rates."""
    looked = round(100 * rate)
    left = round((1 - memory) * looked)
    return (
        CacheTier("memory", ratios(memory), 940, 12_000_000, 3.2, looked, 4000, 256 * 2**20, 1.4,
                  NOT_TOLD, rate),
        CacheTier("redis", ratios(redis), NOT_TOLD, NOT_TOLD, NOT_TOLD, left, NOT_TOLD, NOT_TOLD,
                  NOT_TOLD, errors, left / 100),
        CacheTier("overall", ratios(overall), NOT_TOLD, NOT_TOLD, NOT_TOLD, looked, NOT_TOLD,
                  NOT_TOLD, NOT_TOLD, errors, rate),
    )  # fmt: skip


def process(
    number: int,
    coherence: Maybe[CacheCoherence] = LIVE,
    state: State = State.OK,
    answers: bool = True,
) -> CacheProcess:
    """Return the part of one process."""
    return CacheProcess(
        f"web-1:{number}", "web-1", number, state, tiers(0.9, 0.6, 0.96), coherence, answers
    )


def namespace(
    name: str,
    overall: float,
    rate: float,
    coherence: Maybe[CacheCoherence] = LIVE,
    errors: float = 0.0,
    ghost: Maybe[float] = 0.94,
) -> CacheNamespace:
    """Return a namespace of four processes, the last of which has `coherence`."""
    return CacheNamespace(
        name,
        tiers(overall - 0.05, 0.67, overall, rate, errors),
        (process(4711), process(4712), process(4713), process(4714, coherence)),
        coherence,
        ghost,
        rate * (1 - overall),
        0,
        (f"shop:{name}:",),
    )


def shop_caches(
    coherence: Maybe[CacheCoherence] = LIVE, errors: float = 0.0
) -> tuple[CacheNamespace, ...]:
    """Return five namespaces of very different size, one without limits or any number of late."""
    return (
        namespace("price", 0.962, 310.0, coherence, errors),
        namespace("basket", 0.42, 12.0, coherence),
        namespace("product", 0.991, 1240.0, coherence, ghost=0.9412),
        namespace(HOSTILE, 0.88, 3.0, coherence),
        CacheNamespace(
            "old",
            (
                CacheTier("memory", HitRatio(NOT_TOLD, NOT_TOLD, 0.5), 12, 40_000, NOT_TOLD),
                CacheTier("redis", HitRatio(NOT_TOLD, NOT_TOLD, NOT_TOLD), NOT_TOLD, NOT_TOLD,
                          NOT_TOLD),
                CacheTier("overall", HitRatio(NOT_TOLD, NOT_TOLD, 0.5), NOT_TOLD, NOT_TOLD,
                          NOT_TOLD),
            ),
        ),
    )  # fmt: skip


def redis_detail() -> RedisDetail:
    """Return what a server is busy with."""
    return RedisDetail(
        commands=(
            CommandUse("get", 640.0, 4.1e-6, 0.26, 0.0, 0.0, 12e-6),
            CommandUse("scan", 2.0, 0.00063, 0.13, 0.0, 0.0, 0.0011),
            CommandUse("client|tracking", 0.1, NOT_TOLD, 0.0, 0.0, 0.4, NOT_TOLD),
            CommandUse("set", 31.0, 6.3e-6, 0.02, 1.5, 0.0, 21e-6),
        ),
        slow=(
            SlowCommand(31, NOW - 9, 0.248, "DEL report:2026-11", "10.0.0.7:51812"),
            SlowCommand(30, NOW - 90_000, 0.0121, f"HGETALL {HOSTILE}" + "x" * 120, "web-2:6001"),
        ),
        slower_than=0.01,
        errors=(ErrorRate("OOM", 1.5, 1204), ErrorRate("WRONGTYPE", 0.0, 3)),
    )


def cached(
    caches: tuple[CacheNamespace, ...] | None = None,
    detail: Maybe[RedisDetail] | None = None,
    redis: Absent | None = None,
) -> Snapshot:
    """Return the full snapshot with caches of the shop and what Redis is busy with."""
    service = msgspec.structs.replace(shop(), caches=shop_caches() if caches is None else caches)
    snapshot = msgspec.structs.replace(
        full_snapshot(), services=(service,), redis_detail=detail or redis_detail()
    )
    return snapshot if redis is None else msgspec.structs.replace(snapshot, redis=redis)


def prefix_samples(complete: bool = False, cancelled: bool = False) -> PrefixSamples:
    """Return prefixes as a sampling finds them, one with parts, one that is no text."""

    def prefix(
        pattern: bytes, keys: int, size: int | None, parent: bytes = b"", largest: bytes = b"k"
    ) -> Prefix:
        depth = 2 if parent else 1
        return Prefix(pattern, depth, parent, keys // 20, keys, keys - keys // 50,
                      keys + keys // 50, size, size, size, largest, 90_000)  # fmt: skip

    return PrefixSamples(
        prefixes=(
            prefix(b"shop:price:*", 610_000, 180_000_000, largest=b"shop:price:9917"),
            prefix(b"session:*", 300_000, 60_000_000, largest=b"session:\xff\x00\x1b[31m"),
            prefix(b"\xff\xfe*", 90_000, 9_000_000),
            prefix(b"shop:price:eu:*", 400_000, 120_000_000, b"shop:price:*"),
            prefix(b"shop:price:us:*", 210_000, 60_000_000, b"shop:price:*"),
        ),
        keys=1_000_000,
        size=249_000_000,
        sampled=50_000,
        merged=412,
        seconds=1.9,
        complete=complete,
        cancelled=cancelled,
        p99=0.0009,
    )


def cached_history() -> History:
    """Return five minutes in which the hit ratio of the price fell and commands came in waves."""
    history = History(600)
    service = shop()
    for tick in range(300):
        wave = 20 * math.sin(tick / 15)
        gap = 100 <= tick < 110
        history.record(
            float(tick),
            {
                "redis.hit_percent": 90 - tick / 30,
                "redis.commands": 812 + 5 * wave,
                "redis.memory": 290e6 + 1e5 * tick,
                cache_series(service, "price", "overall"): None if gap else 97 - tick / 60,
                cache_series(service, "price", "memory"): None if gap else 93 - tick / 40,
            },
        )
    return history
