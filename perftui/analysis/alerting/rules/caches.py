"""Rules for Redis and for the caches of services."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from perftui.analysis.alerting.baselines import Baselines
from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules.coherence import about_cache, cache_name, coherence_rule
from perftui.analysis.alerting.rules.operations import judged_services
from perftui.format import measure
from perftui.snapshot import Absent, Maybe, RedisServer, Snapshot

REDIS = frozenset({"redis"})
PANE = "cache"
LOOKUPS = 1000
WINDOW = 100.0
"""Seconds of the hit ratio that is judged."""
EVICTIONS = 0.1
"""Keys per second; fewer are one key now and then."""
PINGS, PINGS_LEAST = 60, 30
SLOW_PING = 0.005
"""Seconds below which a round trip to Redis is not what anybody waits for."""


def _server(snapshot: Snapshot) -> RedisServer | None:
    return None if isinstance(snapshot.redis, Absent) else snapshot.redis


def _one(address: str, value: Maybe[float]) -> Iterator[Reading]:
    if not isinstance(value, Absent):
        yield Reading(address, value)


def _evictions(snapshot: Snapshot) -> Iterator[Reading]:
    redis = _server(snapshot)
    if redis is not None:
        yield from _one(redis.address, redis.evictions_rate)


def _rejections(snapshot: Snapshot) -> Iterator[Reading]:
    redis = _server(snapshot)
    if redis is not None:
        yield from _one(redis.address, redis.rejections_rate)


def _memory(snapshot: Snapshot) -> Iterator[Reading]:
    redis = _server(snapshot)
    # A cache that may evict any key is full by design; evictions and hit ratio tell of its want.
    if redis is not None and redis.memory_limit and not redis.memory_policy.startswith("allkeys"):
        yield Reading(redis.address, 100 * redis.memory_used / redis.memory_limit)


def _about(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    redis = _server(snapshot)
    if redis is None:
        return ()
    limit = "no limit" if redis.memory_limit is None else measure(redis.memory_limit, "bytes")
    lines = [
        f"{redis.flavour} {redis.version} holds {redis.keys:,} keys in "
        f"{measure(redis.memory_used, 'bytes')} of {limit}, policy {redis.memory_policy}",
        f"{redis.clients:,} clients, {redis.blocked_clients:,} of them wait",
    ]
    for what, value in (
        ("commands", redis.commands_rate),
        ("expirations", redis.expirations_rate),
        ("evictions", redis.evictions_rate),
    ):
        if not isinstance(value, Absent):
            lines.append(f"{what} {measure(value, '/s')}")
    return tuple(lines)


class HitRatios:
    """R24: hit ratio of each cache over 100 seconds, against its own past."""

    def __init__(self) -> None:
        self._baselines = Baselines(lambda value, usual: value < 0.9 * usual)
        self._usual: dict[str, float] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R24",
            name="hit_ratio",
            title="Cache misses",
            kind=Kind.SATURATION,
            unit="x",
            levels=Levels(0.8, 0.9, 0.5, 0.65, above=False),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: (
                "4 Cache shows tiers and expirations: did keys change, a TTL shrink, a flush or "
                "restart empty it?"
            ),
            sources=frozenset({"redis", "services"}),
            pane=PANE,
            hold=120.0,
            keep=300.0,
            least=LOOKUPS,
            evidence=lambda snapshot, reading: (
                *about_cache(snapshot, reading),
                *_about(snapshot, reading),
            ),
            measured_in="ratio",
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        known = {}
        for subject, ratio, lookups, group in _ratios(snapshot):
            # The baseline takes in only what is worth a verdict.
            if lookups < LOOKUPS:
                continue
            usual = self._baselines.usual(subject, snapshot.monotonic, ratio)
            if usual is None or usual <= 0:
                continue
            known[subject] = usual
            yield Reading(
                subject, ratio / usual, lookups, None, WINDOW, group, measured=ratio, usual=usual
            )
        self._usual = known

    def message(self, reading: Reading, level: float) -> str:
        usual = self._usual.get(reading.subject)
        if usual is None:
            return f"hit ratio is {reading.value:.2f} x its usual, limit {level:g} x"
        return (
            f"hit ratio {reading.value * usual:.2f} is {reading.value:.2f} x its usual "
            f"{usual:.2f}, limit {level:g} x (n={reading.n or 0:,} look-ups)"
        )


def _ratios(snapshot: Snapshot) -> Iterator[tuple[str, float, int, str]]:
    """Return subject, hit ratio, look-ups and group of each cache that is known by name.

    The server as a whole counts only where no service tells of a cache of its own.
    """
    told = False
    for service in judged_services(snapshot):
        for namespace in service.caches:
            for tier in namespace.tiers:
                if tier.tier != "overall":
                    continue
                told = True
                ratio, lookups = tier.hit_ratio.seconds_100, tier.lookups_100
                if not isinstance(ratio, Absent) and not isinstance(lookups, Absent):
                    yield cache_name(service.name, namespace), ratio, lookups, service.name
    redis = _server(snapshot)
    if told or redis is None or isinstance(redis.hit_ratio.seconds_100, Absent):
        return
    if not isinstance(redis.hits_rate, Absent) and not isinstance(redis.misses_rate, Absent):
        lookups = round(WINDOW * (redis.hits_rate + redis.misses_rate))
        yield redis.address, redis.hit_ratio.seconds_100, lookups, ""


class RedisLatency:
    """R25b: p95 of the last round trips to Redis, one with each reading, against their past."""

    def __init__(self) -> None:
        self._baselines = Baselines(lambda value, usual: value > 2 * usual)
        self._pings: deque[tuple[float, float]] = deque(maxlen=PINGS)
        self._address = ""
        self._last: RedisServer | None = None
        self._usual: float | None = None

    def rule(self) -> Rule:
        return Rule(
            id="R25b",
            name="redis_latency",
            title="Redis slow",
            kind=Kind.SATURATION,
            unit="x",
            levels=Levels(5.0, 3.0),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: (
                "redis-cli SLOWLOG GET 10 shows the commands that hold it up; 4 Cache its load"
            ),
            sources=REDIS,
            pane=PANE,
            hold=60.0,
            keep=120.0,
            least=PINGS_LEAST,
            evidence=_about,
            measured_in="seconds",
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        redis = _server(snapshot)
        if redis is None:
            return
        if redis.address != self._address:
            self._pings.clear()
            self._address = redis.address
        # A snapshot may come twice with the same reading.
        if redis is not self._last:
            self._last = redis
            self._pings.append((snapshot.monotonic, redis.latency))
        if len(self._pings) < PINGS_LEAST:
            return
        latencies = sorted(latency for _, latency in self._pings)
        p95 = latencies[int(0.95 * (len(latencies) - 1))]
        usual = self._baselines.usual(redis.address, snapshot.monotonic, p95)
        if usual is None or usual <= 0:
            return
        self._usual = usual
        value = p95 / usual if p95 > SLOW_PING else min(1.0, p95 / usual)
        yield Reading(
            redis.address,
            value,
            len(self._pings),
            window=snapshot.monotonic - self._pings[0][0],
            measured=p95,
            usual=usual,
        )

    def message(self, reading: Reading, level: float) -> str:
        usual = self._usual
        if usual is None:
            return f"round trips take {reading.value:.1f} x as long as usual, limit {level:g} x"
        return (
            f"p95 of round trips {measure(reading.value * usual, 'seconds')} is "
            f"{reading.value:.1f} x the usual {measure(usual, 'seconds')}, "
            f"limit {level:g} x (n={reading.n or 0})"
        )


def cache_rules() -> tuple[Rule, ...]:
    """Return the rules for Redis and caches, with memories of their own."""
    return (
        Rule(
            id="R23",
            name="redis_evictions",
            title="Redis evicts",
            kind=Kind.SATURATION,
            unit="/s",
            levels=Levels(EVICTIONS, EVICTIONS / 2),
            measure=_evictions,
            message=lambda reading, level: (
                f"{measure(reading.value, '/s')} keys are thrown out for want of memory, "
                f"limit {level:g} /s"
            ),
            hint=lambda reading: (
                "raise maxmemory, shorten TTLs; 4 Cache shows hit ratio and memory"
            ),
            sources=REDIS,
            pane=PANE,
            smoothing=10.0,
            hold=30.0,
            keep=300.0,
            evidence=_about,
        ),
        Rule(
            id="R23b",
            name="redis_rejections",
            title="Redis rejects clients",
            kind=Kind.ERROR,
            unit="/s",
            levels=Levels(crit=0.01, crit_clear=0.01),
            measure=_rejections,
            message=lambda reading, level: (
                f"{measure(reading.value, '/s')} connections are refused: maxclients is reached"
                if reading.value > level
                else "connections are not refused any more; maxclients was reached"
            ),
            hint=lambda reading: (
                "redis-cli CLIENT LIST shows who holds them; raise maxclients, or pool connections"
            ),
            sources=REDIS,
            pane=PANE,
            # Over a minute, so that a short burst is not lost before it has lasted long enough.
            smoothing=60.0,
            hold=30.0,
            keep=300.0,
            evidence=_about,
        ),
        HitRatios().rule(),
        coherence_rule(),
        Rule(
            id="R25",
            name="redis_memory",
            title="Redis memory",
            kind=Kind.CAPACITY,
            unit="percent",
            levels=Levels(80.0, 75.0, 90.0, 85.0),
            measure=_memory,
            message=lambda reading, level: (
                f"memory at {reading.value:.1f} % of maxmemory, limit {level:g} %; "
                "at 100 % writes fail"
            ),
            hint=lambda reading: "raise maxmemory, set TTLs, or a policy that evicts; 4 Cache",
            sources=REDIS,
            pane=PANE,
            hold=60.0,
            keep=120.0,
            evidence=_about,
        ),
        RedisLatency().rule(),
    )
