"""Which values JSON and MessagePack give back exactly as they were.

msgspec writes more than it can read back: a tuple or a set returns as a list, an int key as a
string, NaN as None, a Decimal, a date or an enum as text or a number, an object as a dict. A cache
that does so answers differently on a hit than on a miss.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, Literal, TypeAlias

Format: TypeAlias = Literal["json", "msgpack"]

DEEPEST = 200
"""Levels of nesting; the readers give up near a thousand, counted with the caller's own frames."""
LONGEST_INT = 14_000
"""Bits; msgspec reads no JSON integer of 4,300 or more digits."""
MANY_DIGITS = 4_000
"""Bytes of JSON in which no integer can be too long."""

_JSON: frozenset[object] = frozenset({str, bool, type(None), int, float})
_JSON_BUT_FLOAT = _JSON - {float}
_JSON_KEYS: frozenset[object] = frozenset({str})
# Integers that are too long for MessagePack are refused when they are written.
_MSGPACK: frozenset[object] = frozenset({str, bool, type(None), int, float, bytes})
_HINTS: dict[type, str] = {
    tuple: "it would come back as a list: pass list(value)",
    set: "it would come back as a list: pass sorted(value)",
    frozenset: "it would come back as a list: pass sorted(value)",
    bytearray: "it would come back as bytes: pass bytes(value)",
    memoryview: "it would come back as bytes: pass bytes(value)",
}


def is_lossless(value: object, form: Format, payload: bytes) -> bool:
    """Tell whether the payload that a value was written to is read back equal, type by type.

    That of JSON must be readable, which it always is below 4,000 bytes.
    """
    if form == "msgpack":
        return _is_made_of(value, _MSGPACK, _MSGPACK, DEEPEST)
    # NaN and infinity are written as null.
    simple = _JSON_BUT_FLOAT if b"null" in payload else _JSON
    return _is_made_of(value, simple, _JSON_KEYS, DEEPEST)


def _is_made_of(
    value: Any, simple: frozenset[object], keys: frozenset[object], levels: int
) -> bool:
    """Tell whether a value is simple, or nothing but dicts and lists of simple values."""
    kind = type(value)
    # The types of a whole container at once are several times faster than one after the other.
    if kind is dict:
        if not keys.issuperset(map(type, value)):
            return False
        items: Collection[Any] = value.values()
    elif kind is list:
        items = value
    else:
        return kind in simple or (kind is float and math.isfinite(value))
    if simple.issuperset(map(type, items)):
        return True
    if not levels:
        return False
    for item in items:
        if type(item) not in simple and not _is_made_of(item, simple, keys, levels - 1):
            return False
    return True


def loss(value: object, form: Format) -> str:
    """Return where a value would change and how, in words; empty when it would not."""
    found = _first_loss(value, form, "", 0)
    if not found:
        return ""
    path, reason = found
    return f"{path.lstrip('.')}: {reason}" if path else reason


def _first_loss(value: object, form: Format, path: str, depth: int) -> tuple[str, str] | None:
    kind = type(value)
    if depth > DEEPEST and kind in (dict, list):
        return "", f"it is nested deeper than {DEEPEST} levels"
    if kind is dict:
        assert isinstance(value, dict)
        return _loss_in_dict(value, form, path, depth)
    if kind is list:
        assert isinstance(value, list)
        for index, item in enumerate(value):
            found = _first_loss(item, form, f"{path}[{index}]", depth + 1)
            if found:
                return found
        return None
    reason = _loss_of_item(value, form)
    return (path, reason) if reason else None


def _loss_in_dict(
    value: dict[Any, Any], form: Format, path: str, depth: int
) -> tuple[str, str] | None:
    for key, item in value.items():
        if type(key) is not str and (form == "json" or type(key) not in _MSGPACK):
            came = "it would come back as a str" if type(key) is int else "only str can be a key"
            rest = "" if form == "json" else " of the simple types"
            return path, f"the key {_cut(key)} is of type {type(key).__name__}, {came}{rest}"
        reason = _loss_of_item(key, form)
        if reason:
            return path, f"the key {_cut(key)}: {reason}"
        found = _first_loss(item, form, f"{path}.{_cut_key(key)}", depth + 1)
        if found:
            return found
    return None


def _loss_of_item(value: object, form: Format) -> str:
    kind = type(value)
    if kind is str:
        assert isinstance(value, str)
        return "" if _is_text(value) else "a str with a lone surrogate cannot be written as UTF-8"
    if kind is float:
        assert isinstance(value, float)
        finite = form == "msgpack" or math.isfinite(value)
        return "" if finite else f"float {value!r} would come back as None"
    if kind is int:
        assert isinstance(value, int)
        if form == "json":
            return "" if value.bit_length() <= LONGEST_INT else "the int has too many digits"
        return "" if -(2**63) <= value < 2**64 else "the int has more than 64 bits"
    if kind in (_JSON if form == "json" else _MSGPACK):
        return ""
    if kind is bytes:
        return "bytes would come back as text: use codec='msgpack'"
    hint = _HINTS.get(kind, "it would not come back as what it is: convert it to str, int or dict")
    return f"type {kind.__module__}.{kind.__qualname__}, {hint}".replace("type builtins.", "type ")


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _cut(key: object) -> str:
    try:
        text = ascii(key)
    except ValueError:
        # An int of more than 4,300 digits has no text.
        text = "of too many digits"
    return text if len(text) <= 40 else text[:39] + "…"


def _cut_key(key: object) -> str:
    return _cut(key).strip("'") if isinstance(key, str) else _cut(key)
