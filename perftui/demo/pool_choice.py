"""Which server gets the next request: round robin over those the pool in Redis holds eligible.

The pool is read a few times a second and picks are made from that, so that neither a pick nor a
Redis outage costs a request anything; without Redis all workers the supervisor knows take turns.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from perftui.demo.pool_member import POOL
from perftui.demo.pool_redis import PoolRedis
from perftui.pool.keys import ServerMeta, pool_key

if TYPE_CHECKING:
    from redis import Redis

REFRESH_SECONDS = 0.25
STALE_AFTER = 3.0
"""Seconds without a heartbeat after which a server gets no requests."""
AVOID_SECONDS = 1.0


class Server(msgspec.Struct, frozen=True):
    """A server that can be picked."""

    name: str
    address: str


class PoolChoice:
    """Picks servers and counts the picks in the pool; safe between threads."""

    def __init__(self, redis: PoolRedis) -> None:
        self._redis = redis
        self._lock = threading.Lock()
        self._known: tuple[Server, ...] = ()
        self._eligible: tuple[Server, ...] | None = None
        self._avoided: dict[str, float] = {}
        self._turn = 0
        self._picks: Counter[str] = Counter()

    def start(self) -> None:
        """Keep reading the pool on a thread of its own."""
        threading.Thread(target=self._refresh_forever, name="pool", daemon=True).start()

    def know(self, workers: dict[str, str]) -> None:
        """Take over the workers there are, by name, for the time without a pool."""
        self._known = tuple(Server(name, address) for name, address in sorted(workers.items()))

    def pick(self) -> Server | None:
        """Return whose turn it is, None when there is no server to ask."""
        servers = self._known if self._eligible is None else self._eligible
        now = time.monotonic()
        with self._lock:
            for _ in servers:
                self._turn += 1
                server = servers[self._turn % len(servers)]
                if self._avoided.get(server.name, 0.0) <= now:
                    self._picks[server.name] += 1
                    return server
        return None

    def avoid(self, name: str) -> None:
        """Give a server a moment without requests."""
        with self._lock:
            self._avoided[name] = time.monotonic() + AVOID_SECONDS

    def refresh(self) -> None:
        """Read who is eligible and add the picks since the last time to the pool's counts."""
        self._eligible = self._redis.ask(self._read)
        with self._lock:
            picks, self._picks = self._picks, Counter()
        if picks and self._redis.ask(lambda redis: self._count(redis, picks)) is None:
            with self._lock:
                self._picks.update(picks)

    def _refresh_forever(self) -> None:
        while True:
            self.refresh()
            time.sleep(REFRESH_SECONDS)

    def _read(self, redis: Redis) -> tuple[Server, ...] | None:
        seconds, microseconds = redis.time()
        pipeline = redis.pipeline(transaction=False)
        pipeline.zrange(pool_key(POOL, "ok"), 0, -1)
        pipeline.hgetall(pool_key(POOL, "meta"))
        pipeline.zrangebyscore(
            pool_key(POOL, "seen"), seconds + microseconds / 1e6 - STALE_AFTER, "+inf"
        )
        eligible, meta, seen = pipeline.execute()
        if not seen:
            # A Redis that has just started knows nobody yet.
            return None
        alive = set(seen)
        return tuple(
            Server(name.decode(), msgspec.json.decode(meta[name], type=ServerMeta).address)
            for name in eligible
            if name in alive and name in meta
        )

    def _count(self, redis: Redis, picks: Counter[str]) -> bool:
        pipeline = redis.pipeline(transaction=False)
        for name, count in picks.items():
            pipeline.hincrby(pool_key(POOL, "picks"), name, count)
        pipeline.execute()
        return True
