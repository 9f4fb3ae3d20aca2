"""The slow log of a server without anything in it that may be a secret.

An entry is id, Unix time, microseconds, arguments, address and name of the client; see
https://redis.io/docs/latest/commands/slowlog-get/.
"""

from __future__ import annotations

from typing import Any

from perftui.snapshot import SlowCommand

ENTRIES = 32
"""Newest entries that are read."""
LONGEST_NAME = 40
LONGEST_KEY = 128
"""Bytes of a key; Redis itself cuts off arguments there."""

_KEY_AT_1 = frozenset(
    b"APPEND BITCOUNT BITFIELD BITFIELD_RO BITPOS BLMOVE BLPOP BRPOP BRPOPLPUSH BZPOPMAX BZPOPMIN "
    b"COPY DECR DECRBY DEL DUMP EXISTS EXPIRE EXPIREAT EXPIRETIME GEOADD GEODIST GEOHASH GEOPOS "
    b"GEORADIUS GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GEOSEARCHSTORE GET "
    b"GETBIT GETDEL GETEX GETRANGE GETSET HDEL HEXISTS HEXPIRE HEXPIREAT HGET HGETALL HGETDEL "
    b"HGETEX HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HPERSIST HPEXPIRE HPTTL HRANDFIELD HSCAN "
    b"HSET HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT KEYS LCS LINDEX LINSERT LLEN "
    b"LMOVE LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MGET MOVE MSET MSETNX PERSIST PEXPIRE "
    b"PEXPIREAT PEXPIRETIME PFADD PFCOUNT PFMERGE PSETEX PTTL RENAME RENAMENX RESTORE RPOP "
    b"RPOPLPUSH RPUSH RPUSHX SADD SCARD SDIFF SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTER "
    b"SINTERSTORE SISMEMBER SMEMBERS SMISMEMBER SMOVE SORT SORT_RO SPOP SRANDMEMBER SREM SSCAN "
    b"STRLEN SUBSTR SUNION SUNIONSTORE TOUCH TTL TYPE UNLINK WATCH XACK XADD XAUTOCLAIM XCLAIM "
    b"XDEL XLEN XPENDING XRANGE XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZDIFFSTORE ZINCRBY "
    b"ZINTERSTORE ZLEXCOUNT ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX "
    b"ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE "
    b"ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNIONSTORE".split()
)
"""Commands whose first argument is a key, or the pattern of KEYS."""
_KEY_AT_2 = frozenset(b"BITOP LMPOP SINTERCARD ZDIFF ZINTER ZINTERCARD ZMPOP ZUNION".split())
"""Commands with an operation or a count before the first key."""
_KEY_AT_3 = frozenset(b"BLMPOP BZMPOP".split())
_AFTER_STREAMS = frozenset(b"XREAD XREADGROUP".split())
_NAMED = frozenset(
    b"CLIENT CLUSTER COMMAND DEBUG FUNCTION LATENCY MEMORY OBJECT PUBSUB SCRIPT SLOWLOG XGROUP "
    b"XINFO".split()
)
"""Commands of which the second word is a part of the name."""
_NAMED_WITH_KEY = frozenset(
    (first, second)
    for first, seconds in (
        (b"DEBUG", b"OBJECT"),
        (b"MEMORY", b"USAGE"),
        (b"OBJECT", b"ENCODING FREQ IDLETIME REFCOUNT"),
        (b"XGROUP", b"CREATE CREATECONSUMER DELCONSUMER DESTROY SETID"),
        (b"XINFO", b"CONSUMERS GROUPS STREAM"),
    )
    for second in seconds.split()
)


def slow_commands(reply: object) -> tuple[SlowCommand, ...]:
    """Return the entries of a reply to SLOWLOG GET, the newest first, as Redis has them.

    Entries in a form that no known server sends are left out.
    """
    if not isinstance(reply, list):
        return ()
    entries = [_entry(one) for one in reply if isinstance(one, list) and len(one) >= 4]
    return tuple(entry for entry in entries if entry is not None)


def command_with_key(arguments: list[Any]) -> str:
    """Return a command with its first key, and nothing else of what was given to it.

    What is not known by name may have a secret anywhere: of AUTH, HELLO, CONFIG, ACL, MIGRATE,
    scripts and commands of modules there is the name alone.
    """
    words = [one for one in arguments if isinstance(one, bytes)]
    if not words:
        return "?"
    name = words[0][:LONGEST_NAME].upper()
    shown = [name]
    key = b""
    if name in _KEY_AT_1:
        key = _at(words, 1)
    elif name in _KEY_AT_2:
        key = _at(words, 2)
    elif name in _KEY_AT_3:
        key = _at(words, 3)
    elif name in _AFTER_STREAMS:
        streams = [index for index, word in enumerate(words) if word.upper() == b"STREAMS"]
        key = _at(words, streams[0] + 1) if streams else b""
    elif name in _NAMED and len(words) > 1:
        second = words[1][:LONGEST_NAME].upper()
        shown.append(second)
        key = _at(words, 2) if (name, second) in _NAMED_WITH_KEY else b""
    shown += [key] if key else []
    return " ".join(_text(word) for word in shown)


def _entry(fields: list[Any]) -> SlowCommand | None:
    number, moment, micros, arguments = fields[:4]
    if not (
        isinstance(number, int)
        and isinstance(moment, int)
        and isinstance(micros, int)
        and isinstance(arguments, list)
    ):
        return None
    address, name = (_text(one) if isinstance(one, bytes) else "" for one in _padded(fields[4:6]))
    return SlowCommand(
        id=number,
        time=float(moment),
        seconds=micros / 1e6,
        command=command_with_key(arguments),
        client=f"{name} {address}" if name and address else name or address,
    )


def _padded(found: list[Any]) -> list[Any]:
    return [*found, b"", b""][:2]


def _at(words: list[bytes], index: int) -> bytes:
    """Return the key, cut off; nothing where Redis has not kept so many arguments."""
    if index >= len(words) or (words[index].startswith(b"... (") and index == len(words) - 1):
        return b""
    return words[index] if len(words[index]) <= 2 * LONGEST_KEY else words[index][:LONGEST_KEY]


def _text(word: bytes) -> str:
    return word.decode("utf-8", "backslashreplace")
