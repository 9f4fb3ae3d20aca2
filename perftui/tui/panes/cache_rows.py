"""The records of the cache pane: tiers of each namespace, processes, and the Redis server."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from perftui.snapshot import (
    NOT_STARTED,
    Absent,
    CacheNamespace,
    CacheProcess,
    CacheTier,
    Maybe,
    RedisServer,
    Service,
    Snapshot,
    State,
)
from perftui.tui.panes.operation_columns import SteadyValues

TIERS = ("memory", "redis", "overall")
SERVER = "server"
SERVER_NAME = "all clients"
SERVER_KEY = ("", "", "", SERVER)
"""Key of the row of the Redis server."""
NOT_OF_SERVER = Absent(State.NOT_COLLECTED, "a server does not tell")


@dataclass(frozen=True)
class TierRow:
    """One line of the table: a tier of a namespace, or the server, which has no namespace.

    `place` is its number in the order of urgency.
    """

    tier: CacheTier
    namespace: CacheNamespace | None = None
    service: Service | None = None
    place: int = 0

    @property
    def key(self) -> Hashable:
        """What stays the same from reading to reading."""
        if self.service is None or self.namespace is None:
            return SERVER_KEY
        return tier_key(self.service, self.namespace.namespace, self.tier.tier)

    @property
    def name(self) -> str:
        """What the cache is called, without its tier."""
        return SERVER_NAME if self.namespace is None else self.namespace.namespace


@dataclass(frozen=True)
class ProcessRow:
    """One process of one namespace."""

    process: CacheProcess
    namespace: CacheNamespace
    service: Service
    place: int = 0

    @property
    def key(self) -> Hashable:
        """What stays the same from reading to reading."""
        service = self.service
        return (service.origin, service.name, self.namespace.namespace, self.process.instance)


@dataclass(frozen=True)
class CacheGroup:
    """One namespace of one service."""

    service: Service
    namespace: CacheNamespace

    @property
    def key(self) -> Hashable:
        """What stays the same from reading to reading."""
        return (self.service.origin, self.service.name, self.namespace.namespace)

    @property
    def rows(self) -> list[TierRow]:
        """One row a tier: memory, Redis, overall, then what is unknown here."""
        order = {name: place for place, name in enumerate(TIERS)}
        tiers = sorted(self.namespace.tiers, key=lambda t: order.get(t.tier, len(order)))
        return [TierRow(tier, self.namespace, self.service) for tier in tiers]


def tier_key(service: Service, namespace: str, tier: str) -> Hashable:
    """Return the key of the row of a tier."""
    return (service.origin, service.name, namespace, tier)


def find_tier(tiers: Sequence[CacheTier], name: str) -> CacheTier | None:
    """Return one of the tiers, None where there is no such."""
    return next((tier for tier in tiers if tier.tier == name), None)


def missed(namespace: CacheNamespace) -> float:
    """Return how many look-ups of the last 100 s no tier could answer; 0 where nobody can tell."""
    overall = find_tier(namespace.tiers, "overall")
    if overall is None:
        return 0.0
    ratio, lookups = overall.hit_ratio.seconds_100, overall.lookups_100
    if isinstance(ratio, Absent):
        return 0.0
    # Without a number of look-ups the share alone orders them, behind all that have one.
    return (1.0 - ratio) * (1.0 if isinstance(lookups, Absent) else lookups)


def cache_groups(snapshot: Snapshot, steady: SteadyValues) -> tuple[CacheGroup, ...]:
    """Return all namespaces, the one with most missed look-ups first."""
    groups = [
        CacheGroup(service, namespace)
        for service in snapshot.all_services
        for namespace in service.caches
    ]

    def order(group: CacheGroup) -> tuple[float, str, str, str]:
        value = steady.steady(group, "missed", missed(group.namespace), noise=3.0)
        service = group.service
        return (-value, service.name, group.namespace.namespace, service.origin)

    return tuple(sorted(groups, key=order))


def server_row(redis: Maybe[RedisServer]) -> TierRow | None:
    """Return the row of the server, whose ratio is over the look-ups of all its clients."""
    if isinstance(redis, Absent):
        return None
    hits, misses = redis.hits_rate, redis.misses_rate
    lookups: Maybe[float] = NOT_STARTED
    if not isinstance(hits, Absent) and not isinstance(misses, Absent):
        lookups = hits + misses
    limit = redis.memory_limit
    return TierRow(
        CacheTier(
            tier=SERVER,
            hit_ratio=redis.hit_ratio,
            items=redis.keys,
            size=redis.memory_used,
            evictions_rate=redis.evictions_rate,
            lookups_100=NOT_OF_SERVER,
            items_limit=NOT_OF_SERVER,
            size_limit=NOT_OF_SERVER if limit is None else limit,
            expirations_rate=redis.expirations_rate,
            errors_rate=NOT_OF_SERVER,
            lookups_rate=lookups,
        )
    )


def numbered(rows: Sequence[TierRow]) -> list[TierRow]:
    """Return the rows with their places in this order."""
    return [replace(row, place=place) for place, row in enumerate(rows)]


def all_tiers(groups: Sequence[CacheGroup], server: TierRow | None) -> list[TierRow]:
    """Return all tiers of all namespaces and the server last."""
    rows = [row for group in groups for row in group.rows]
    return numbered([*rows, *([server] if server else [])])


def urgent_tiers(groups: Sequence[CacheGroup], server: TierRow | None, room: int) -> list[TierRow]:
    """Return all tiers so that the first `room` rows tell most.

    Those are the ratio of every namespace over all its tiers, as far as they fit, with the tiers
    of the first namespaces where there is room for them, and the server; the others follow.
    """
    everything = all_tiers(groups, server)
    if len(everything) <= room:
        return everything
    left = room - (1 if server else 0)
    spare = left - len(groups)
    first: list[TierRow] = []
    later: list[TierRow] = []
    for group in groups:
        rows = group.rows
        overall = [row for row in rows if row.tier.tier == "overall"] or rows[-1:]
        if spare >= len(rows) - len(overall):
            spare -= len(rows) - len(overall)
            chosen = rows
        else:
            spare = 0
            chosen = overall
        if len(first) + len(chosen) > left:
            later += rows
            continue
        first += chosen
        later += [row for row in rows if row not in chosen]
    return numbered([*first, *([server] if server else []), *later])
