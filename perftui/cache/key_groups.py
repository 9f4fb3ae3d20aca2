"""Which groups a key counts in: its prefix, and one level deeper the shape of what follows.

Parts of a key that tell one thing from another of its kind are taken for `*`: numbers, UUIDs,
hexadecimal runs, long mixed tokens, e-mail addresses, and bytes that are not text. So
`user:123:cart` is in `user:*` and in `user:*:cart`, and `page:en:home` in `page:*` and `page:en:*`.
A group is a glob pattern of Redis that matches all of its keys; being a glob, it may match others
too, since `*` goes across separators.
"""

from __future__ import annotations

import re

from perftui.cache.glob import escape

LONGEST_PART = 48
"""Bytes of a part that a group keeps; what is longer is cut off with `*`."""
LONGEST_KEY = 512
"""Bytes of a key that are looked at."""

_UUID = rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_HEX = rb"(?<![0-9a-zA-Z])(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}(?![0-9a-zA-Z])"
# One letter before a number is a version or a shard, such as v2, and says what a key is for.
_NUMBER = rb"(?<![0-9])(?:[0-9]{3,}|(?<=[^0-9][^0-9])[0-9]+)(?:[-_.][0-9]+)*"
_VARYING = re.compile(rb"|".join((_UUID, _HEX, _NUMBER)))
_WHOLE = re.compile(
    rb"[0-9][0-9.,_+-]*"
    rb"|(?=[A-Za-z]*[0-9])[A-Za-z0-9]{20,}"
    rb"|[^@]+@[^@]+"
)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
ANY = b"*"
JOINTS = (b"", b"-", b"_", b".")


class KeyGroups:
    """Finds the groups of keys, whose parts are separated by one of the bytes of `separators`.

    Raises ValueError when there is no separator.
    """

    def __init__(self, separators: bytes = b":") -> None:
        if not separators:
            raise ValueError("prefixes need at least one separator")
        self._split = re.compile(b"([" + re.escape(separators) + b"])")
        self._known: dict[bytes, bytes] = {}

    def of(self, key: bytes) -> tuple[bytes, bytes | None]:
        """Return the group of the prefix, and the deeper one where the key has three parts."""
        # Two separators are as far as it goes, whatever may follow.
        parts = self._split.split(key[:LONGEST_KEY], maxsplit=3)
        first = self._shape(parts[0])
        if len(parts) == 1:
            return first, None
        prefix = first + parts[1] + ANY
        if len(parts) < 5:
            return prefix, None
        second = self._shape(parts[2])
        if second != ANY:
            return prefix, first + parts[1] + second + parts[3] + ANY
        rest = self._shape(parts[4]) + (parts[5] + ANY if len(parts) > 5 else b"")
        return prefix, first + parts[1] + second + parts[3] + rest

    def _shape(self, part: bytes) -> bytes:
        known = self._known.get(part)
        if known is None:
            known = shape(part)
            # Names come again and again, identities do not: only the former are worth keeping.
            if len(self._known) < 1000 and not known.endswith(ANY):
                self._known[part] = known
        return known


def shape(part: bytes) -> bytes:
    """Return a part of a key as a pattern, with `*` for what tells one key from the next."""
    if _WHOLE.fullmatch(part) or _CONTROL.search(part) or not _is_text(part):
        return ANY
    cut = len(part) > LONGEST_PART
    pieces = _VARYING.split(part[:LONGEST_PART])
    if cut and pieces[-1]:
        pieces.append(b"")
    # What varies in several pieces, such as a date with a time, is one thing all the same.
    between = [piece for piece in pieces[1:-1] if piece not in JOINTS]
    named = [pieces[0], *between, *pieces[1:][-1:]]
    return ANY.join(escape(piece) for piece in named)


def _is_text(part: bytes) -> bool:
    try:
        part.decode()
    except UnicodeDecodeError:
        return False
    return True
