"""Pools of servers as their heartbeats and operators describe them in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perftui.pool.keys import POOLS_KEY, pool_key
from perftui.snapshot import Pool
from perftui.sources.pool_servers import PoolData, Thresholds, pool_servers
from perftui.sources.redis.connection import Link
from perftui.sources.redis.own_lookups import own_lookups
from perftui.sources.redis.target import RedisTarget

if TYPE_CHECKING:
    import redis

HASHES = ("meta", "load", "admin", "inflight", "picks")
MOST_SERVERS = 10_000


class PoolsSource:
    """Reads all pools in one round trip each; never writes.

    Thresholds are CPU percent, memory percent and requests per second; a server is overloaded
    strictly above one of them. Ages are by the clock of Redis, which also wrote the heartbeats.
    """

    name = "pools"

    def __init__(
        self,
        target: RedisTarget,
        interval: float = 1.0,
        cpu_threshold: float = 80.0,
        memory_threshold: float = 90.0,
        requests_threshold: float = 1000.0,
    ) -> None:
        self.interval = interval
        self.deadline = max(interval, 2.0)
        self._thresholds = Thresholds(cpu_threshold, memory_threshold, requests_threshold)
        self._link = Link(target)
        self._own = own_lookups(target)

    def sample(self) -> tuple[Pool, ...]:
        """Return all pools by name; empty when no server has registered.

        Raises SourceError when Redis cannot be read.
        """
        with self._link.use() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("TIME")
            pipeline.execute_command("SMEMBERS", POOLS_KEY)
            (seconds, micros), names = pipeline.execute()
            self._own.add(1 if names else 0, 0 if names else 1)
            data = [(name, self._read(client, name)) for name in sorted(names)]
        now = int(seconds) + int(micros) / 1e6
        return tuple(
            Pool(
                name.decode("utf-8", "surrogateescape"),
                pool_servers(parts, now, self._thresholds),
            )
            for name, parts in data
        )

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _read(self, client: redis.Redis, name: bytes) -> PoolData:
        pool = name.decode("utf-8", "surrogateescape")

        def key(part: str) -> bytes:
            return pool_key(pool, part).encode("utf-8", "surrogateescape")

        pipeline = client.pipeline(transaction=False)
        for part in HASHES:
            pipeline.execute_command("HGETALL", key(part))
        pipeline.execute_command("ZREVRANGE", key("seen"), 0, MOST_SERVERS - 1, "WITHSCORES")
        pipeline.execute_command("ZRANGE", key("ok"), 0, -1)
        replies: list[list[bytes]] = pipeline.execute()
        found = sum(1 for reply in replies if reply)
        self._own.add(found, len(replies) - found)
        meta, load, admin, inflight, picks = map(_mapping, replies[:5])
        seen = {server: float(score) for server, score in _mapping(replies[5]).items()}
        return PoolData(meta, load, admin, inflight, picks, seen, frozenset(replies[6]))


def _mapping(flat: Any) -> dict[bytes, bytes]:
    """Return the pairs of a RESP2 hash reply: field, value, field, value and so on."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
