"""Numbers with a unit as people write them in settings and expressions: `500ms`, `10MB`, `80%`."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

SECONDS = "seconds"
PERCENT = "percent"
RATIO = "ratio"
BYTES = "bytes"
BYTE_RATE = "bytes/s"
RATE = "per second"
PLAIN = ""
YES_NO = "yes/no"
"""Unit of what holds or does not: 1 is yes, 0 no, in between it is the part of the time."""

SUFFIXES: dict[str, tuple[float, str]] = {
    "us": (1e-6, SECONDS),
    "ms": (1e-3, SECONDS),
    "s": (1.0, SECONDS),
    "min": (60.0, SECONDS),
    "h": (3600.0, SECONDS),
    "d": (86400.0, SECONDS),
    "%": (1.0, PERCENT),
    "B": (1.0, BYTES),
    "kB": (1e3, BYTES),
    "KB": (1e3, BYTES),
    "MB": (1e6, BYTES),
    "GB": (1e9, BYTES),
    "TB": (1e12, BYTES),
    "KiB": (1024.0, BYTES),
    "MiB": (1024.0**2, BYTES),
    "GiB": (1024.0**3, BYTES),
    "TiB": (1024.0**4, BYTES),
    "/s": (1.0, RATE),
    "B/s": (1.0, BYTE_RATE),
    "kB/s": (1e3, BYTE_RATE),
    "KB/s": (1e3, BYTE_RATE),
    "MB/s": (1e6, BYTE_RATE),
    "GB/s": (1e9, BYTE_RATE),
    "KiB/s": (1024.0, BYTE_RATE),
    "MiB/s": (1024.0**2, BYTE_RATE),
    "GiB/s": (1024.0**3, BYTE_RATE),
}
"""Factor and unit of each suffix; SI prefixes are decimal, those of IEC 80000-13 binary."""

WRITTEN = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(%|[A-Za-z]+(?:/s\b)?|/s\b)?")
"""A number with its suffix, which stands right behind it."""


class Quantity(NamedTuple):
    """A finite number in the base unit: seconds, bytes, percent (0..100) or a plain number."""

    value: float
    unit: str


def quantity(number: str, suffix: str) -> Quantity:
    """Return a number that was written with a suffix, which may be empty.

    Raises ValueError with what is wrong.
    """
    if suffix and suffix not in SUFFIXES:
        raise ValueError(f"unknown unit {suffix!r} (units: {', '.join(SUFFIXES)})")
    factor, unit = SUFFIXES[suffix] if suffix else (1.0, PLAIN)
    value = float(number) * factor
    if not math.isfinite(value):
        raise ValueError(f"{number}{suffix} is too large")
    return Quantity(value, unit)


def parse_quantity(text: str) -> Quantity:
    """Return a number with or without a suffix, and perhaps a sign and blanks around it.

    Raises ValueError with what is wrong.
    """
    word = text.strip()
    sign = -1.0 if word.startswith("-") else 1.0
    match = WRITTEN.fullmatch(word.removeprefix("-"))
    if match is None:
        raise ValueError(f"{text!r} is not a number with a unit such as 500ms, 10MB or 80%")
    value, unit = quantity(match[1], match[2] or "")
    return Quantity(sign * value, unit)


def in_unit(given: Quantity, unit: str) -> float:
    """Return a quantity as a number of `unit`; a plain number counts as one of that unit.

    Raises ValueError where the two do not go together.
    """
    if given.unit in (unit, PLAIN):
        return given.value
    if unit == PLAIN and given.unit == RATE:
        return given.value
    if given.unit == PERCENT and unit == RATIO:
        return given.value / 100
    if unit in SUFFIXES:
        # A rule may count in hours or milliseconds, which are no base units.
        factor, base = SUFFIXES[unit]
        return in_unit(given, base) / factor
    if given.unit == RATIO and unit == PERCENT:
        return given.value * 100
    raise ValueError(f"is in {given.unit}; it must be {said(unit)}")


def said(unit: str) -> str:
    """Return a unit in words for a message."""
    return {
        SECONDS: "in seconds, such as 0.5 or 500ms",
        PERCENT: "in percent, such as 80 or 80%",
        RATIO: "a ratio, such as 0.05 or 5%",
        BYTES: "in bytes, such as 10MB",
        BYTE_RATE: "in bytes per second, such as 10MB/s",
        RATE: "a number per second, such as 100 or 100/s",
    }.get(unit, "a number without a unit")
