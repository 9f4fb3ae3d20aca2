"""Numbers on the command line; one that cannot be is told with what it may be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perftui.parser import USAGE, CommandError

if TYPE_CHECKING:
    import argparse

LONGEST_WINDOW = 3600.0


def seconds_of(
    options: argparse.Namespace,
    default: float,
    longest: float = LONGEST_WINDOW,
    least: float = 0.1,
) -> float:
    """Return --seconds, `default` when it is not given; raises CommandError."""
    text = options.seconds
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not least <= seconds <= longest:
        limits = f" from {least:g} to {longest:g}" if math.isfinite(longest) else " of at least 0.1"
        raise CommandError(f"--seconds is {text!r}; it must be a number{limits}", USAGE)
    return seconds


def size_of(options: argparse.Namespace) -> tuple[int, int]:
    """Return columns and rows of --size, 120x40 when it is not given; raises CommandError."""
    text = options.size or "120x40"
    columns, cross, rows = text.partition("x")
    if cross and columns.isdecimal() and rows.isdecimal():
        size = (int(columns), int(rows))
        if 20 <= size[0] <= 500 and 6 <= size[1] <= 200:
            return size
    raise CommandError(f"--size is {text!r}; it must be like 120x40, at most 500x200", USAGE)
