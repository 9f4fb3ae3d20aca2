"""Deleting keys so that they can be put back: read and delete in one atomic step on the server."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perftui.cache.codecs import is_placeholder
from perftui.cache.conversation import Conversation
from perftui.cache.glob import literal_prefix
from perftui.cache.undo_journal import MOST_BYTES, MOST_KEYS, NO_EXPIRY, Deleted

if TYPE_CHECKING:
    from perftui.cache.estimate import Estimate

CHUNK = 100
"""Keys in one script; 500 hold other clients up for 7 to 9 ms."""
MOST_REPLY = 2_000_000
"""Bytes of values after which one script ends early."""
LARGEST_VALUE = 1_000_000
"""Bytes of memory above which a key is not kept: DUMP of a million fields takes a second."""

# Each key is seen, read and deleted in one step, so that no write in between is lost. Commands of
# a script count as look-ups like those of any client. For each key the answer has the value and
# its expiry; -2: it was not there any more, -3: it is too large to be kept, and with DEL too large
# to be deleted at once.
SCRIPT = """
local verb, clock, largest, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = 0
if clock == 'PTTL' then
  redis.replicate_commands()
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local deleted, bytes, out = 0, 0, {}
for number, key in ipairs(KEYS) do
  local size = redis.call('MEMORY', 'USAGE', key)
  local dump, expiry = false, -2
  if size and size > largest then
    expiry = -3
  elseif size then
    expiry = redis.call(clock, key)
    if expiry > 0 then expiry = expiry + now end
    dump = redis.call('DUMP', key)
  end
  if size and (expiry ~= -3 or verb == 'UNLINK') then
    deleted = deleted + redis.call(verb, key)
  end
  out[2 * number + 1], out[2 * number + 2] = dump, expiry
  if dump then bytes = bytes + #dump end
  if bytes > most then out[1], out[2] = number, deleted; return out end
end
out[1], out[2] = #KEYS, deleted
return out
"""


@dataclass(frozen=True)
class Capture:
    """How a server lets keys be read: `clock` is PEXPIRETIME, or PTTL before Redis 7."""

    clock: str = ""
    refused: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Captured:
    """What one script did with the first `processed` of its keys."""

    processed: int
    deleted: int
    kept: list[Deleted]
    too_large: list[bytes]
    lookups: int


def probe(talk: Conversation, pattern: bytes, verb: str = "UNLINK") -> Capture:
    """Find out with a key that does not exist whether deleted ones could be kept and put back.

    `refused` says why not and `fix` how to change it. Costs three look-ups that miss. Raises what
    Conversation.ask_each raises.
    """
    import redis

    absent = literal_prefix(pattern) + b"absent-" + secrets.token_hex(8).encode()
    clock_reply = talk.ask_each([("PEXPIRETIME", absent)])[0]
    clock = "PTTL" if _unknown(clock_reply) else "PEXPIRETIME"
    # RESTORE of nothing is refused by Redis, too, but not as a matter of permission.
    commands = {
        "RESTORE": ("RESTORE", absent, 0, b""),
        "DUMP": ("DUMP", absent),
        "MEMORY USAGE": ("MEMORY", "USAGE", absent),
        clock: (clock, absent),
        "EVAL": script(verb, clock, [absent]),
    }
    for name, reply in zip(commands, talk.ask_each(commands.values()), strict=True):
        if isinstance(reply, redis.exceptions.NoPermissionError) and "key" not in str(reply):
            fix = f"ACL SETUSER USER +{name.lower().replace(' ', '|')}"
            return Capture(refused=f"this user may not run {name}", fix=fix)
        if _unknown(reply):
            return Capture(refused=f"this server has no {name}")
    return Capture(clock)


def outlook(found: Estimate, capture: Capture, sizes: list[int]) -> str:
    """Return why what was found could not be put back, or not all of it; empty when it could.

    `sizes` are bytes of memory of some of the keys.
    """
    if capture.refused:
        return capture.refused
    if found.matched > MOST_KEYS:
        return f"more than {MOST_KEYS:,} keys"
    large = sum(size > LARGEST_VALUE for size in sizes)
    small = [size for size in sizes if size <= LARGEST_VALUE]
    if small and sum(small) / len(small) * found.matched > MOST_BYTES:
        return f"values of more than {MOST_BYTES // 1_000_000} MB in all"
    if large:
        return f"values above {LARGEST_VALUE // 1_000_000} MB are among them and are not kept"
    return ""


def script(verb: str, clock: str, keys: list[bytes]) -> tuple[bytes | str | int, ...]:
    """Return the command that reads and deletes these keys."""
    return ("EVAL", SCRIPT, len(keys), *keys, verb, clock, LARGEST_VALUE, MOST_REPLY)


def captured(keys: list[bytes], reply: Any) -> Captured:
    """Return what the answer to `script` says."""
    processed, deleted = int(reply[0]), int(reply[1])
    kept: list[Deleted] = []
    too_large: list[bytes] = []
    lookups = 0
    for number, key in enumerate(keys[:processed]):
        dump, expiry = reply[2 * number + 2], int(reply[2 * number + 3])
        if expiry == -3:
            too_large.append(key)
        elif dump is not None:
            lookups += 2
            # Put back, it would let a loader store what it read before the deletion.
            if not _dumps_placeholder(dump):
                kept.append(Deleted(key, expiry if expiry > 0 else NO_EXPIRY, dump))
    return Captured(processed, deleted, kept, too_large, lookups)


def _dumps_placeholder(dump: bytes) -> bool:
    """Return whether DUMP shows the lease of a loader: type and length come first, a byte each.

    See RDB_TYPE_STRING and RDB_6BITLEN in rdb.h of Redis.
    """
    return len(dump) > 2 and dump[0] == 0 and dump[1] < 64 and is_placeholder(dump[2:])


def _unknown(reply: object) -> bool:
    return isinstance(reply, Exception) and "unknown command" in str(reply).lower()
