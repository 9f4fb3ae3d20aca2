"""What a query may hold at most, and how what it must not hold is told of."""

from __future__ import annotations

import math
from typing import Final

MOST_NAMES: Final = 1_000
"""Parameters, fields, conditions or sort keys of one query."""

MOST_VALUES: Final = 100_000
"""Values of one list in a filter."""

LONGEST_NAME: Final = 500
DEEPEST: Final = 12
"""Levels of mappings and lists within one another."""


def refuse(path: str, what: str) -> ValueError:
    """Return the error that names the part of a query and what is wrong with it."""
    return ValueError(f"query: {path}: {what}" if path != "query" else f"query: {what}")


def type_name(value: object) -> str:
    """Return what a value is in a word."""
    return "nothing" if value is None else type(value).__name__


def shown(value: object) -> str:
    """Return a value for a message: short, whatever it is."""
    text = repr(value) if isinstance(value, str | int | float | bool) else type_name(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def name_at(value: object, path: str) -> str:
    """Return a name, which must be text of sensible length. Raises ValueError naming the part."""
    if not isinstance(value, str):
        raise refuse(path, f"a name is wanted, not {type_name(value)}")
    if not value.strip():
        raise refuse(path, "a name is empty")
    if len(value) > LONGEST_NAME:
        raise refuse(path, f"a name of {len(value)} characters is longer than {LONGEST_NAME}")
    return value


def whole_number(value: object, path: str, least: int) -> int:
    """Return a whole number, also from its digits. Raises ValueError naming the part."""
    number: float | int
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise refuse(path, f"a whole number is wanted, not {type_name(value)}")
    if isinstance(value, str):
        try:
            number = int(value.strip())
        except ValueError:
            raise refuse(path, f"a whole number is wanted, not {shown(value)}") from None
    else:
        number = value
    if isinstance(number, float):
        if not math.isfinite(number) or not number.is_integer():
            raise refuse(path, f"a whole number is wanted, not {number!r}")
        number = int(number)
    if number < least:
        raise refuse(path, f"{number} is less than {least}")
    if number > 2**53:
        raise refuse(path, "the number is greater than 2**53")
    return number
