"""A worker's place in the pool: registration, heartbeat, and whether it may be picked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from perftui.pool.keys import POOLS_KEY, ServerLoad, ServerMeta, pool_key

if TYPE_CHECKING:
    from redis import Redis

POOL = "web"
CPU_LIMIT = 80.0
MEMORY_LIMIT = 90.0
REQUEST_LIMIT = 1000.0
RETURN_RATIO = 0.9
RETURN_BEATS = 3
"""An overloaded server comes back when all of its load has been below this share of the limits
for so many heartbeats, lest it go in and out with every short rest."""

_PARTS = ("seen", "load", "meta", "ok", "admin", "inflight")

_BEAT = """
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], string.format('%d.%06d', now[1], now[2]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[6], ARGV[1], ARGV[5])
local admin = redis.call('HGET', KEYS[5], ARGV[1])
local state = 'ready'
if admin then
  local read, decoded = pcall(cjson.decode, admin)
  state = read and type(decoded) == 'table' and decoded['state'] or 'ready'
end
if ARGV[4] == '0' and state == 'ready' then
  redis.call('ZADD', KEYS[4], 'NX', 0, ARGV[1])
else
  redis.call('ZREM', KEYS[4], ARGV[1])
end
return state
"""


class PoolMember:
    """One server of the pool, by its id."""

    def __init__(self, name: str, meta: ServerMeta) -> None:
        self._name = name
        self._meta = msgspec.json.encode(meta)
        self._keys = [pool_key(POOL, part) for part in _PARTS]
        self.overloaded = False
        self._calm_beats = 0

    def beat(self, redis: Redis, load: ServerLoad) -> str:
        """Tell the pool about this server and return the operator's state for it.

        Registers each time, so that a Redis that has lost everything knows it again. Raises
        redis.RedisError.
        """
        self._calm_beats = 0 if is_overloaded(load, was=self.overloaded) else self._calm_beats + 1
        self.overloaded = self._calm_beats < (RETURN_BEATS if self.overloaded else 1)
        redis.sadd(POOLS_KEY, POOL)
        state = redis.eval(
            _BEAT,
            len(self._keys),
            *self._keys,
            self._name,
            msgspec.json.encode(load),
            self._meta,
            "1" if self.overloaded else "0",
            load.in_flight or 0,
        )
        return bytes(state).decode()


def is_overloaded(load: ServerLoad, *, was: bool) -> bool:
    """Return whether any load is strictly above its limit, or not yet well below it again."""
    ratio = RETURN_RATIO if was else 1.0
    return (
        (load.cpu_usage or 0.0) > CPU_LIMIT * ratio
        or (load.memory_usage or 0.0) > MEMORY_LIMIT * ratio
        or (load.requests_per_second or 0.0) > REQUEST_LIMIT * ratio
    )
