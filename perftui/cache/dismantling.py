"""Deleting a very large key without UNLINK: DEL of a million fields stops Redis for 250 ms."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

from perftui.cache.conversation import Conversation

LARGE = 1_000_000
"""Bytes of memory from which a key that is not a string is taken apart."""
STEP = 500
MARK = b":perftui-deleting-"


def large_keys(talk: Conversation, keys: list[bytes]) -> list[bytes]:
    """Return the keys that DEL must not free at once; strings are freed in no time.

    Where MEMORY USAGE is not allowed none are known. Costs a look-up for each large key.
    """
    sizes = talk.ask_each(("MEMORY", "USAGE", key) for key in keys)
    large = [
        key for key, size in zip(keys, sizes, strict=True) if isinstance(size, int) and size > LARGE
    ]
    kinds = talk.ask_each(("TYPE", key) for key in large)
    return [key for key, kind in zip(large, kinds, strict=True) if kind != b"string"]


def dismantle(talk: Conversation, key: bytes, cancelled: threading.Event) -> bool:
    """Delete one large key in small steps; False when it was not there or is not permitted.

    It is renamed first, so that nobody ever reads a half of it. A run that is broken off leaves
    the rest under a name that begins with that of the key. Raises what Conversation.ask raises.
    """
    import redis

    rest = key + MARK + secrets.token_hex(8).encode()
    renamed = talk.ask_each([("RENAME", key, rest)])[0]
    if isinstance(renamed, redis.ResponseError):
        if "no such key" in str(renamed):
            return False
        # Another slot of a cluster, or a name this user may not write: then at once after all.
        return bool(talk.ask("DEL", key))
    kind = talk.ask("TYPE", rest)
    for _ in _steps(talk, rest, kind):
        if cancelled.is_set():
            return True
    talk.ask("DEL", rest)
    return True


def _steps(talk: Conversation, key: bytes, kind: bytes) -> Iterator[None]:
    """Take some members off at each step, until hardly any are left."""
    if kind == b"hash":
        cursor = b""
        # Going on from the cursor, because the buckets before it are empty already.
        while cursor != b"0":
            cursor, fields = talk.ask("HSCAN", key, cursor or 0, "COUNT", STEP)
            if fields:
                talk.ask("HDEL", key, *fields[::2])
            yield
    elif kind == b"set":
        while talk.ask("SPOP", key, STEP):
            yield
    elif kind == b"zset":
        while talk.ask("ZREMRANGEBYRANK", key, 0, STEP - 1):
            yield
    elif kind == b"list":
        while talk.ask("LLEN", key):
            talk.ask("LTRIM", key, STEP, -1)
            yield
    elif kind == b"stream":
        length = int(talk.ask("XLEN", key))
        while length > STEP:
            length -= STEP
            talk.ask("XTRIM", key, "MAXLEN", length)
            yield
