"""Who may load a value that nobody has: one process, until anything happens to the key.

The lease stands where the value will be: a placeholder with a token, `SET <key> <placeholder> PX`
for a missing key, and in one script the value takes its place only while it is still there. So
whatever deletes or writes the key ends the lease with it, also a sweep by pattern, which knows
nothing of leases, and a program that knows nothing of perftui: what was read before an invalidation
cannot be written after it. SCAN promises to return a key that is there from its begin to its end,
and replacing a value changes nothing of that, so a sweep meets either the placeholder or the value.
See "Leases" in Nishtala et al., Scaling Memcache at Facebook, NSDI 2013, and SCAN of the Redis
manual, "Scan guarantees".
"""

from __future__ import annotations

import hashlib
import secrets

from perftui.cache.codecs import placeholder
from perftui.cache.redis_tier import RedisTier

ACQUIRE = """
local there = redis.call('GET', KEYS[1])
if there and (ARGV[3] == '' or redis.sha1hex(there) ~= ARGV[3]) then return there end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
FILL = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
EXTEND = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class FillLease:
    """The right to load one key, once it was acquired.

    Every method raises what RedisTier.ask raises.
    """

    def __init__(self, redis: RedisTier, key: bytes, seconds: float) -> None:
        self.refusal = redis.refusal
        self._redis = redis
        self._key = key
        self._ms = max(1, int(seconds * 1000))
        self._placeholder = placeholder(secrets.token_hex(8).encode())

    async def acquire(self, unreadable: bytes = b"") -> bytes | None:
        """Take the lease; otherwise return what the key has: a value, or another's placeholder.

        A value that is just these `unreadable` bytes makes room for the lease.
        """
        # A large value need not be sent back to be recognised.
        known = hashlib.sha1(unreadable, usedforsecurity=False).hexdigest() if unreadable else b""
        reply = await self._redis.ask(
            "EVAL", ACQUIRE, 1, self._key, self._placeholder, self._ms, known
        )
        return reply if isinstance(reply, bytes) else None

    async def extend(self) -> bool:
        """Begin the time of the lease anew; False when it is lost."""
        reply = await self._redis.ask("EVAL", EXTEND, 1, self._key, self._placeholder, self._ms)
        return bool(reply)

    async def fill(self, data: bytes, ttl_ms: int | None) -> bool:
        """Put the value in place of the lease; False when it was lost, and nothing is written."""
        left = b"" if ttl_ms is None else ttl_ms
        return bool(
            await self._redis.ask("EVAL", FILL, 1, self._key, self._placeholder, data, left)
        )

    async def release(self) -> None:
        """Give the lease back without a value."""
        await self._redis.ask("EVAL", RELEASE, 1, self._key, self._placeholder)
