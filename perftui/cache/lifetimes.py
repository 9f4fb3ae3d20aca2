"""How long a value lives: durations of callers, Unix time in Redis, monotonic time in memory."""

from __future__ import annotations

import math
import time

LONGEST_MS = 10 * 365 * 86_400_000
"""Milliseconds above which a value does not end at all: ten years."""


def lifetime_ms(ttl: float | None, default: float) -> int | None:
    """Return the milliseconds that a value lives, None for ever.

    `ttl` is in seconds; None means the default and 0 not at all, infinity for ever. Raises
    ValueError for NaN and below zero, TypeError for what is no number.
    """
    seconds = default if ttl is None else ttl
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"ttl is a number of seconds, not {type(seconds).__name__}")
    if math.isnan(seconds) or seconds < 0:
        raise ValueError(f"ttl is {seconds!r} seconds; give 0 or more, or None for the default")
    if seconds * 1000 > LONGEST_MS:
        return None
    return math.ceil(seconds * 1000)


def expiry_ms(lifetime: int | None) -> int | None:
    """Return the Unix time in milliseconds when a value written now ends, None for never."""
    return None if lifetime is None else time.time_ns() // 1_000_000 + lifetime


def deadline_of(expiry: int | None) -> float:
    """Return the moment of the monotonic clock that a Unix time in milliseconds is."""
    if not expiry:
        return math.inf
    return time.monotonic() + expiry / 1000 - time.time()


def deadline_after(left_ms: int | None) -> float:
    """Return the moment of the monotonic clock after so many milliseconds, None for never."""
    return math.inf if left_ms is None else time.monotonic() + left_ms / 1000
