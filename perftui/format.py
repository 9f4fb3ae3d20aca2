"""Numbers as people read them: three significant digits, a unit, and a width that never changes.

Every function returns the same number of cells for every value, right-aligned, so that a column
does not jump; what is missing or not finite is a dash. Memory counts in powers of 1024 with the
IEC names (IEC 80000-13), rates and counts in powers of 1000. All output is ASCII.
"""

from __future__ import annotations

import math
import time

from perftui.quantities import YES_NO
from perftui.snapshot import Absent, State

MISSING = "-"

PERCENT_WIDTH = 5
SIZE_WIDTH = 8
SIZE_SHORT_WIDTH = 5
RATE_WIDTH = 8
COUNT_WIDTH = 6
DURATION_WIDTH = 7
RATIO_WIDTH = 5
RATE_SHORT_WIDTH = 5
LATENCY_WIDTH = 6
SHARE_WIDTH = 4

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_BINARY_SHORT = ("B", "K", "M", "G", "T", "P", "E")
_DECIMAL = ("", "k", "M", "G", "T", "P", "E")

Number = float | int | Absent | None
"""What the functions here take: a field of a snapshot goes in as it is."""


def _finite(value: Number) -> float | None:
    if value is None or isinstance(value, Absent):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _digits(value: float) -> str:
    # The thresholds are where rounding would give a fourth digit: 9.995 is 10.0, not 9.99 or 10.00.
    size = abs(value)
    if size < 9.995:
        return f"{value:.2f}"
    if size < 99.95:
        return f"{value:.1f}"
    return f"{value:.0f}"


def _scaled(value: float, base: float, units: tuple[str, ...]) -> tuple[str, str]:
    """Return three significant digits in at most four characters, and the unit they are in."""
    value = max(value, 0.0)
    if value < 999.5 and value == int(value):
        return str(int(value)), units[0]
    for unit in units:
        if value < 999.5:
            return _digits(value), unit
        value /= base
    return ">999", units[-1]


def percent(value: Number) -> str:
    """Return percent with one decimal, 5 cells, without the sign: ` 58.2`, `100.0`, ` 1600`."""
    number = _finite(value)
    if number is None:
        return MISSING.rjust(PERCENT_WIDTH)
    if number >= 99999.5:
        return ">99k".rjust(PERCENT_WIDTH)
    number = max(number, -999.0)
    text = f"{number:.1f}" if -99.95 < number < 999.95 else f"{number:.0f}"
    return ("0.0" if text == "-0.0" else text).rjust(PERCENT_WIDTH)


def ratio(value: Number) -> str:
    """Return a ratio of 0..1 as percent, 5 cells: 0.912 is ` 91.2`."""
    number = _finite(value)
    return percent(None if number is None else number * 100)


def size(value: Number) -> str:
    """Return bytes in powers of 1024, 8 cells: `6.50 GiB`, ` 12.0 MiB`, `0 B`."""
    number = _finite(value)
    if number is None:
        return MISSING.rjust(SIZE_WIDTH)
    digits, unit = _scaled(number, 1024, _BINARY)
    return f"{digits} {unit}".rjust(SIZE_WIDTH)


def size_short(value: Number) -> str:
    """Return bytes in powers of 1024 for a narrow column, 5 cells: `6.50G`, `12.0M`, ` 310M`."""
    number = _finite(value)
    if number is None:
        return MISSING.rjust(SIZE_SHORT_WIDTH)
    digits, unit = _scaled(number, 1024, _BINARY_SHORT)
    return f"{digits}{unit}".rjust(SIZE_SHORT_WIDTH)


def byte_rate(value: Number) -> str:
    """Return bytes per second in powers of 1000, 8 cells: `1.20 M/s`, ` 340 k/s`, `  12 B/s`."""
    number = _finite(value)
    if number is None:
        return MISSING.rjust(RATE_WIDTH)
    digits, unit = _scaled(number, 1000, _DECIMAL)
    return f"{digits} {unit or 'B'}/s".rjust(RATE_WIDTH)


def rate(value: Number) -> str:
    """Return events per second in powers of 1000, 8 cells: `  12.3/s`, `1.20 k/s`."""
    number = _finite(value)
    if number is None:
        return MISSING.rjust(RATE_WIDTH)
    digits, unit = _scaled(number, 1000, _DECIMAL)
    return f"{digits}{' ' + unit if unit else ''}/s".rjust(RATE_WIDTH)


def rate_short(value: Number) -> str:
    """Return events per second for a narrow column, 5 cells: ` 12.3`, `1.20k`, `0.003`."""
    number = _finite(value)
    if number is None:
        return MISSING.rjust(RATE_SHORT_WIDTH)
    if number < 0.0995:
        text = "0" if number <= 0 else f"{number:.3f}" if number >= 0.0005 else "<.001"
        return text.rjust(RATE_SHORT_WIDTH)
    if number < 999.5:
        return _digits(number).rjust(RATE_SHORT_WIDTH)
    digits, unit = _scaled(number, 1000, _DECIMAL)
    return f"{digits}{unit}".rjust(RATE_SHORT_WIDTH)


def share(value: Number) -> str:
    """Return a part of 0..1 as whole percent, 4 cells: `  41`, `  <1`, ` 100`."""
    number = _finite(value)
    if number is None:
        return MISSING.rjust(SHARE_WIDTH)
    if 0 < number <= 0.005:
        return "<1".rjust(SHARE_WIDTH)
    return f"{100 * min(max(number, 0.0), 9.99):.0f}".rjust(SHARE_WIDTH)


def count(value: Number) -> str:
    """Return a count in powers of 1000, 6 cells: `   860`, `1.20 k`, ` 120 k`."""
    number = _finite(value)
    if number is None:
        return MISSING.rjust(COUNT_WIDTH)
    digits, unit = _scaled(number, 1000, _DECIMAL)
    return f"{digits} {unit}".rstrip().rjust(COUNT_WIDTH)


def duration(seconds: Number) -> str:
    """Return seconds, 7 cells: ` 133 us`, ` 412 ms`, ` 3.20 s`, ` 3m 12s`, ` 4h 12m`, ` 12d 4h`."""
    number = _finite(seconds)
    return (MISSING if number is None else _duration(max(number, 0.0))).rjust(DURATION_WIDTH)


def latency(seconds: Number, unit: str) -> str:
    """Return seconds as a number of `ms` or `s` for a column with that unit in its head, 6 cells.

    What is far off that unit brings its own: ` 52 us` and `12.3 s` among milliseconds, ` 12 ms`
    among seconds.
    """
    number = _finite(seconds)
    return (MISSING if number is None else _latency(max(number, 0.0), unit)).rjust(LATENCY_WIDTH)


def _latency(seconds: float, unit: str) -> str:
    if seconds == 0:
        return "0"
    if seconds >= 9999.5:
        return ">9.9ks"
    if unit == "s":
        if seconds < 0.0995:
            return f"{1e3 * seconds:.0f} ms" if seconds >= 0.0005 else "<1 ms"
        return _digits(seconds)
    if seconds < 0.0995e-3:
        return f"{1e6 * seconds:.0f} us" if seconds >= 0.5e-6 else "<1 us"
    if seconds < 0.9995:
        return _digits(1e3 * seconds)
    if seconds < 9.995:
        return f"{round(1e3 * seconds, -1):.0f}"
    return f"{_digits(seconds)} s"


def _duration(seconds: float) -> str:
    if seconds == 0:
        return "0 s"
    if seconds < 0.9995e-3:
        return f"{_digits(seconds * 1e6)} us"
    if seconds < 0.9995:
        return f"{_digits(seconds * 1e3)} ms"
    if seconds < 59.95:
        return f"{_digits(seconds)} s"
    return _long(round(seconds))


def _long(whole: int) -> str:
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days >= 100:
        return f"{days}d" if days < 1_000_000 else ">1e6d"
    if days:
        return f"{days}d {hour}h"
    if hours:
        return f"{hours}h {minute}m"
    return f"{minutes}m {second}s"


def age(seconds: Number) -> str:
    """Return an age in whole seconds without padding: `12 s`, `3m 12s`, `4h 12m`."""
    number = _finite(seconds)
    if number is None:
        return MISSING
    whole = round(max(number, 0.0))
    return f"{whole} s" if whole < 60 else _long(whole)


def stale(seconds: Number) -> str:
    """Return the badge of a reading that is old, such as `stale 12 s`."""
    return f"{State.STALE.value} {age(seconds)}"


def absence(absent: Absent) -> str:
    """Return state and reason of a missing value, such as `denied: py-spy may not attach`."""
    return f"{absent.state.value}: {absent.reason}" if absent.reason else absent.state.value


def clock(unix_time: float) -> str:
    """Return the local time of day of a Unix time, 8 cells: `14:03:27`."""
    return time.strftime("%H:%M:%S", time.localtime(unix_time))


RECENT = 12 * 3600.0
"""Seconds for which a time of day alone says when something was."""


def moment(unix_time: float, now: float) -> str:
    """Return when something was: `14:03:27`, with the date once that would mislead."""
    if abs(now - unix_time) < RECENT:
        return clock(unix_time)
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_time))


def since(unix_time: float, now: float) -> str:
    """Return since when something is: `since 14:03:27`, or `for 3d 4h` where that is long ago."""
    if abs(now - unix_time) < RECENT:
        return f"since {clock(unix_time)}"
    return f"for {age(now - unix_time)}"


def measure(value: Number, unit: str) -> str:
    """Return a value in the unit of its alert without padding: `412 ms`, `91.2 %`, `6.50 GiB`.

    Known units are seconds, percent, ratio (shown as it is), bytes, and each of them or any other
    word per second as `.../s`; an unknown unit stands behind the number. With YES_NO it is a word.
    """
    number = _finite(value)
    if number is None:
        return MISSING
    sign = "-" if number < 0 else ""
    size_of = abs(number)
    if unit in ("percent", "%"):
        return f"{percent(number).strip()} %"
    if unit in ("seconds", "s"):
        return f"{sign}{_duration(size_of)}"
    if unit in ("bytes", "B"):
        return f"{sign}{size(size_of).strip()}"
    if unit in ("bytes/s", "bytes per second"):
        return f"{sign}{byte_rate(size_of).strip()}"
    if unit in ("/s", "1/s", "per second"):
        return f"{sign}{rate(size_of).strip()}"
    digits, scale = _scaled(size_of, 1000, _DECIMAL)
    if size_of < 0.0995 and size_of != 0:
        digits = f"{size_of:.2g}"
    if unit == YES_NO and number in (0.0, 1.0):
        return "yes" if number else "no"
    if unit == YES_NO:
        return f"yes {percent(100 * number).strip()} % of the time"
    suffix = "" if unit in ("", "ratio", "count") else f" {unit}"
    return f"{sign}{digits}{scale}{suffix}"
