"""The glob patterns of Redis (KEYS, SCAN MATCH) as regular expressions on bytes.

`*` any bytes, `?` one byte, `[abc]`, `[a-z]`, `[^a]` one of a class, backslash takes the next
byte literally. Python's fnmatch differs in nearly a quarter of odd patterns. The corner cases
follow the behaviour of Redis 6.2 and 7.0: a class that is never closed ends with the pattern, a
range may be written backwards, and ranges compare signed bytes, as on x86.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

SPECIAL = b"*?[]\\^"


def matcher(pattern: bytes) -> Callable[[bytes], bool]:
    """Return a function that tells whether Redis would find a key with this pattern."""
    compiled = _compiled(pattern)

    def matches(key: bytes) -> bool:
        return compiled.fullmatch(key) is not None

    return matches


def escape(literal: bytes) -> bytes:
    """Return a pattern that matches exactly these bytes."""
    return b"".join(b"\\" + bytes((c,)) if c in SPECIAL else bytes((c,)) for c in literal)


def literal(pattern: bytes) -> bytes | None:
    """Return the one key a pattern without wildcards stands for, None if it has wildcards."""
    prefix, whole = _literal_start(pattern)
    return prefix if whole else None


def is_literal(pattern: bytes) -> bool:
    """Tell whether a pattern has no wildcards."""
    return _literal_start(pattern)[1]


def literal_prefix(pattern: bytes) -> bytes:
    """Return the bytes with which every key that matches begins."""
    return _literal_start(pattern)[0]


def _literal_start(pattern: bytes) -> tuple[bytes, bool]:
    """Return what comes before the first wildcard, unescaped, and whether that is everything."""
    prefix = bytearray()
    position = 0
    while position < len(pattern):
        byte = pattern[position]
        if byte in b"*?[":
            return bytes(prefix), False
        if byte == 0x5C and position + 1 < len(pattern):
            position += 1
        prefix.append(pattern[position])
        position += 1
    return bytes(prefix), True


@functools.lru_cache(maxsize=64)
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    """Translate; each part between stars matches as early as it can and never again.

    Taking the earliest place is enough for globs, and the atomic groups keep a pattern of many
    stars from costing exponential time.
    """
    if len(pattern) > 1 and not pattern.strip(b"*"):
        # Redis finds the empty key with one star, but not with two.
        return re.compile(b".+", re.DOTALL)
    parts = _parts(pattern)
    if len(parts) == 1:
        return re.compile(parts[0], re.DOTALL)
    first, *middle, last = parts
    found = b"".join(b"(?>.*?" + part + b")" for part in middle if part)
    return re.compile(first + found + b".*" + last, re.DOTALL)


def _parts(pattern: bytes) -> list[bytes]:
    """Return the regular expressions of the parts between stars, all of fixed length."""
    parts: list[bytes] = []
    current = b""
    position = 0
    while position < len(pattern):
        byte = pattern[position]
        if byte == 0x2A:  # *
            parts.append(current)
            current = b""
        elif byte == 0x3F:  # ?
            current += b"."
        elif byte == 0x5B:  # [
            expression, position = _one_of(pattern, position + 1)
            current += expression
        else:
            if byte == 0x5C and position + 1 < len(pattern):
                position += 1
            current += re.escape(pattern[position : position + 1])
        position += 1
    parts.append(current)
    return parts


def _one_of(pattern: bytes, position: int) -> tuple[bytes, int]:
    """Return the class that begins at `position` and where its last byte is."""
    end = len(pattern)
    negated = position < end and pattern[position] == 0x5E  # ^
    position += negated
    members: set[int] = set()
    while position < end:
        byte = pattern[position]
        if byte == 0x5C and position + 1 < end:
            position += 1
            members.add(pattern[position])
        elif byte == 0x5D:  # ]
            break
        elif position + 2 < end and pattern[position + 1] == 0x2D:  # -
            first, last = sorted((_signed(byte), _signed(pattern[position + 2])))
            members.update(code & 0xFF for code in range(first, last + 1))
            position += 2
        else:
            members.add(byte)
        position += 1
    if negated:
        members = set(range(256)) - members
    if not members:
        return b"(?!)", position
    return b"[" + b"".join(b"\\x%02x" % code for code in sorted(members)) + b"]", position


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte
