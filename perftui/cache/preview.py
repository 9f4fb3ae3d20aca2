"""What a key holds: read on request, only its beginning, and shown without harm.

A string is read with GETRANGE, a collection by its first elements, as many as its size lets expect
within the limit; the fields of a large hash are measured before they are read. Redis counts each
of these commands as a hit or a miss, so what they were counted as comes with the preview.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from perftui.cache.conversation import Conversation
from perftui.cache.key_details import GONE, ask_details
from perftui.cache.value_text import one_line, value_text

if TYPE_CHECKING:
    from perftui.cache.topology import Topology

LIMIT = 65_536
"""Bytes of a value that are read."""
MOST_ELEMENTS = 100
LARGEST_ELEMENT = 4_096
"""Bytes of one field of a large hash that are read with it."""
PACKED = frozenset({"listpack", "ziplist"})
"""Encodings of which Redis knows the exact size, and hands out all elements at once."""

Word: TypeAlias = bytes | str | int


class Preview(msgspec.Struct, frozen=True):
    """The beginning of a value.

    `type` is a name of Redis, `none` for a key that is not there. `size` is bytes of memory,
    `length` the bytes of a string or the number of elements, `ttl` and `idle` seconds; None is for
    ever or not known. `shown` of `length` were read. `lines` are harmless to a terminal. `expiry`
    is the Unix time in seconds when the value ends by its own header, 0 for never. `refused` is the
    error by which Redis refused to tell more. `hits` and `misses` are what reading has been counted
    as.
    """

    key: bytes
    type: str
    lines: tuple[str, ...] = ()
    form: str = ""
    encoding: str = ""
    size: int | None = None
    length: int | None = None
    shown: int = 0
    unit: str = ""
    cut: bool = False
    ttl: float | None = None
    idle: int | None = None
    expiry: float | None = None
    notes: tuple[str, ...] = ()
    refused: str = ""
    hits: int = 0
    misses: int = 0


def preview(where: Topology, key: bytes, cancelled: threading.Event | None = None) -> Preview:
    """Return the beginning of what a key holds.

    Raises redis.ConnectionError or redis.TimeoutError when Redis is gone, CancelledError when the
    caller cancels.
    """
    owner = where.owner(key)
    with Conversation(owner.client, cancelled or threading.Event()) as talk:
        return _Reader(talk, key).read()


class _Reader:
    """Reads one key and keeps count of the look-ups."""

    def __init__(self, talk: Conversation, key: bytes) -> None:
        self._talk = talk
        self._key = key
        self._hits = 0
        self._notes: list[str] = []
        self._size: int | None = None
        self._encoding = ""
        self._length = 0

    def read(self) -> Preview:
        """Return the preview; see `preview`."""
        import redis.exceptions as redis

        # Before anything is read: the value shall not count as used because somebody looked at it
        # (version 7.2), and where that cannot be said, its idle time is asked for first.
        idle, encoding, size, _ = self._talk.ask_each(
            [
                ("OBJECT", "IDLETIME", self._key),
                ("OBJECT", "ENCODING", self._key),
                ("MEMORY", "USAGE", self._key, "SAMPLES", MOST_ELEMENTS),
                ("CLIENT", "NO-TOUCH", "ON"),
            ]
        )
        details = ask_details(self._talk, [self._key])
        detail = details.found[self._key]
        # OBJECT counts too, also where it then refuses for want of an LRU policy.
        looked = sum(not isinstance(one, redis.NoPermissionError) for one in (idle, encoding))
        if detail.type == GONE:
            return Preview(self._key, GONE, misses=details.misses + looked)
        self._hits += details.hits + looked
        self._size = size if isinstance(size, int) else None
        if isinstance(size, Exception):
            self._notes.append(f"its size is not known: {size}")
        if isinstance(encoding, bytes):
            self._encoding = encoding.decode("ascii", "replace")
        refused = details.refused
        found = Preview(self._key, detail.type)
        if detail.type:
            try:
                found = self._value(detail.type)
            except redis.ResponseError as error:
                refused = str(error)
        return msgspec.structs.replace(
            found,
            encoding=self._encoding,
            size=self._size,
            ttl=detail.ttl,
            idle=idle if isinstance(idle, int) else None,
            notes=(*found.notes, *self._notes),
            refused=refused,
            hits=self._hits,
            misses=details.misses,
        )

    def _value(self, kind: str) -> Preview:
        if kind == "string":
            return self._string()
        readers = {
            "list": ("LLEN", self._list, "elements"),
            "set": ("SCARD", self._set, "members"),
            "zset": ("ZCARD", self._sorted_set, "members"),
            "hash": ("HLEN", self._hash, "fields"),
            "stream": ("XLEN", self._stream, "entries"),
        }
        if kind not in readers:
            self._notes.append(f"{kind} is of a module of this Redis, whose values are not read")
            return Preview(self._key, kind)
        command, read, unit = readers[kind]
        self._length = int(self._ask(command, self._key))
        # A large hash is measured field by field.
        count = MOST_ELEMENTS if kind == "hash" else self._count()
        if self._length and not count:
            self._notes.append(
                f"not read: its elements take about {self._size_of_one():,} bytes each"
            )
            lines: Sequence[str] = ()
        else:
            lines = read(count)
        shown = min(len(lines), self._length)
        return Preview(
            self._key,
            kind,
            tuple(lines),
            form=kind,
            length=self._length,
            shown=shown,
            unit=unit,
            cut=shown < self._length,
        )

    def _ask(self, *command: Word) -> Any:
        reply = self._talk.ask(*command)
        self._hits += 1
        return reply

    def _size_of_one(self) -> int:
        """Return the bytes of memory of one of the first elements, about."""
        return (self._size or 0) // max(1, self._length)

    def _count(self) -> int:
        """Return how many elements are read, none when one alone is beyond the limit."""
        one = self._size_of_one()
        return min(MOST_ELEMENTS, LIMIT // max(1, one))

    # One for each type

    def _string(self) -> Preview:
        length = int(self._ask("STRLEN", self._key))
        data: bytes = self._ask("GETRANGE", self._key, 0, LIMIT - 1) if length else b""
        whole = len(data) >= length
        if data.startswith(b"HYLL") and len(data) >= 16:
            return self._hyperloglog(data, length)
        found = value_text(data, whole)
        expiry = None if found.expiry_ms is None else found.expiry_ms / 1000
        return Preview(
            self._key, "string", found.lines, form=found.form, length=length, shown=len(data),
            unit="bytes", cut=found.cut or not whole, expiry=expiry, notes=found.notes,
        )  # fmt: skip

    def _hyperloglog(self, data: bytes, length: int) -> Preview:
        # Header of hyperloglog.c: magic, encoding, three unused bytes, the cached cardinality with
        # its highest bit set when it is out of date. PFCOUNT would write it.
        form = {0: "dense", 1: "sparse"}.get(data[4], "of an unknown encoding")
        counted = int.from_bytes(data[8:16], "little")
        known = "not counted since the last change" if counted >> 63 else f"about {counted:,}"
        return Preview(
            self._key, "string", (f"different elements: {known}",),
            form=f"HyperLogLog, {form}", length=length, shown=length, unit="bytes",
        )  # fmt: skip

    def _list(self, count: int) -> list[str]:
        return [one_line(item) for item in self._ask("LRANGE", self._key, 0, count - 1)]

    def _set(self, count: int) -> list[str]:
        _, members = self._ask("SSCAN", self._key, 0, "COUNT", count)
        return [one_line(member) for member in members[:MOST_ELEMENTS]]

    def _sorted_set(self, count: int) -> list[str]:
        # From the lowest score up, which is where MEMORY USAGE looked how large the members are.
        found = self._ask("ZRANGE", self._key, 0, count - 1, "WITHSCORES")
        if found and isinstance(found[0], list):
            # RESP3 sends pairs.
            found = [each for pair in found for each in pair]
        return [
            f"{_score(score):>12}  {one_line(member)}"
            for member, score in zip(found[::2], found[1::2], strict=True)
        ]

    def _hash(self, count: int) -> list[str]:
        pairs = self._small_hash(count) if self._is_small() else self._large_hash(count)
        lines = []
        for name, value in pairs[:MOST_ELEMENTS]:
            shown = f"({value:,} bytes, not read)" if isinstance(value, int) else one_line(value)
            lines.append(f"{one_line(name)} = {shown}")
        return lines

    def _is_small(self) -> bool:
        known = self._encoding in PACKED or self._length <= MOST_ELEMENTS
        return known and self._size is not None and self._size <= LIMIT

    def _small_hash(self, count: int) -> list[tuple[bytes, bytes | int]]:
        _, found = self._ask("HSCAN", self._key, 0, "COUNT", count)
        return list(zip(found[::2], found[1::2], strict=True))

    def _large_hash(self, count: int) -> list[tuple[bytes, bytes | int]]:
        """Return some fields of a hash whose values may be of any size, the larger ones unread."""
        import redis

        try:
            names: list[bytes] = self._ask("HRANDFIELD", self._key, count)
        except redis.exceptions.NoPermissionError:
            raise
        except redis.ResponseError:
            # Redis before 6.2 does not know it.
            return self._small_hash(max(1, min(count, 10)))
        names.sort()
        lengths = self._talk.ask_each(("HSTRLEN", self._key, name) for name in names)
        self._hits += len(names)
        small: list[bytes] = []
        room = LIMIT
        for name, length in zip(names, lengths, strict=True):
            if not isinstance(length, int):
                raise length
            if length <= min(room, LARGEST_ELEMENT):
                small.append(name)
                room -= length
        values = self._ask("HMGET", self._key, *small) if small else []
        read = dict(zip(small, values, strict=True))
        return [
            (name, length if read.get(name) is None else read[name])
            for name, length in zip(names, lengths, strict=True)
        ]

    def _stream(self, count: int) -> list[str]:
        lines = []
        newest = self._ask("XREVRANGE", self._key, "+", "-", "COUNT", count)
        for name, fields in newest:
            at = _moment(name)
            pairs = ", ".join(
                f"{one_line(field)} = {one_line(value)}"
                for field, value in zip(fields[::2], fields[1::2], strict=True)
            )
            lines.append(f"{name.decode('ascii', 'replace')}  {at}{pairs}")
        return lines


def _score(score: bytes | float) -> str:
    return score.decode("ascii", "replace") if isinstance(score, bytes) else f"{score:.17g}"


def _moment(name: bytes) -> str:
    """Return when a stream entry was added as far as its id says."""
    milliseconds = name.partition(b"-")[0]
    if not milliseconds.isdigit() or not 10**12 <= int(milliseconds) < 10**13:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S  ", time.localtime(int(milliseconds) / 1000))
