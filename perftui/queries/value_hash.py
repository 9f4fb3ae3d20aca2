"""One number for the values of a query, to tell whether two queries are the same."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

from perftui.queries.value_limits import DEEPEST, MOST_VALUES, refuse

_KEY: Final = secrets.token_bytes(32)
_SIMPLE: Final = (str, int, float, bool, bytes, type(None))


def hash_of_values(*parts: object) -> int:
    """Return a keyed hash of 63 bits; equal parts have equal hashes within this process.

    The key is random and leaves the process never, so that values cannot be found by trying.
    The order of the keys of mappings does not matter. Raises ValueError for parts that are
    nested too deeply or that hold too much.
    """
    digest = blake2b(key=_KEY, digest_size=8)
    left = MOST_VALUES * 4

    def add(part: object, depth: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise refuse("query", "it holds too many values")
        if depth > DEEPEST:
            raise refuse("query", f"it is nested more than {DEEPEST} levels deep")
        if isinstance(part, _SIMPLE):
            text = part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogatepass")
            digest.update(b"%s:%d:" % (type(part).__name__.encode(), len(text)))
            digest.update(text)
        elif isinstance(part, Mapping):
            digest.update(b"{")
            for key in sorted(part, key=repr):
                add(key, depth + 1)
                add(part[key], depth + 1)
            digest.update(b"}")
        elif isinstance(part, Iterable):
            digest.update(b"[")
            for each in part:
                add(each, depth + 1)
            digest.update(b"]")
        else:
            # A repr may hold an address: two equal values of such a type would differ anyway.
            add(str(part), depth + 1)

    for part in parts:
        add(part, 0)
    return int.from_bytes(digest.digest(), "big") >> 1
