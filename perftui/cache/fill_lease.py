"""Who may load a value that nobody has: one process, until somebody invalidates the key.

`SET <prefix>__lock:<key> <token> NX PX`; the value is written only while the lock still holds the
token and the key is still missing, in one script. Deleting the lock with the key therefore keeps a
loader that began before an invalidation from writing what it read before it. See "Leases" in
Nishtala et al., Scaling Memcache at Facebook, NSDI 2013.
"""

from __future__ import annotations

import secrets

from perftui.cache.redis_tier import RedisTier

LOCK = b"__lock:"
FILL = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
local there = redis.call('GET', KEYS[2])
if there and there ~= ARGV[4] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[2], ARGV[2])
else redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
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


def lock_of(prefix: bytes, key: bytes) -> bytes:
    """Return the lock of a whole key, under the same prefix and in the same slot of a cluster.

    A key with a hash tag keeps it, any other becomes the tag. Only a key with a closing brace and
    no tag has its lock elsewhere, where a cluster refuses the script.
    """
    rest = key.removeprefix(prefix)
    opened = key.find(b"{")
    tagged = opened >= 0 and key.find(b"}", opened + 1) > opened + 1
    return prefix + LOCK + (rest if tagged else b"{" + key + b"}")


class FillLease:
    """The right to load one key, once it was acquired."""

    def __init__(self, redis: RedisTier, prefix: bytes, key: bytes, seconds: float) -> None:
        self.refusal = redis.refusal
        self._redis = redis
        self._key = key
        self._lock = lock_of(prefix, key)
        self._ms = max(1, int(seconds * 1000))
        self._token = secrets.token_hex(8).encode()

    async def acquire(self) -> bool:
        """Take the lease; False while another process has it."""
        reply = await self._redis.ask("SET", self._lock, self._token, "NX", "PX", self._ms)
        return reply is not None

    async def extend(self) -> bool:
        """Begin the time of the lease anew; False when it is lost."""
        return bool(await self._redis.ask("EVAL", EXTEND, 1, self._lock, self._token, self._ms))

    async def fill(self, data: bytes, ttl_ms: int | None, unreadable: bytes = b"") -> bool:
        """Write the value and give the lease back; False when it was lost, and nothing written.

        Of what is there meanwhile only these `unreadable` bytes are replaced.
        """
        left = b"" if ttl_ms is None else ttl_ms
        return bool(
            await self._redis.ask(
                "EVAL", FILL, 2, self._lock, self._key, self._token, data, left, unreadable
            )
        )

    async def release(self) -> None:
        """Give the lease back without a value."""
        await self._redis.ask("EVAL", RELEASE, 1, self._lock, self._token)
