"""Spans of time as a person types them: `2h30m`, `90 min`, or a time of day."""

from __future__ import annotations

import re
import time

LONGEST = 366 * 86400.0
"""Seconds; a silence for longer is a rule that should be switched off."""

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400.0),
}


def parse_span(text: str, now: float) -> float:
    """Return the seconds of a span, or those from Unix time `now` until the next local `17:30`.

    Raises ValueError, whose text tells what to type, for anything else, nothing, or over a year.
    """
    wanted = text.strip().lower()
    if match := _CLOCK.fullmatch(wanted):
        return _until(int(match[1]), int(match[2]), now)
    seconds = 0.0
    end = 0
    for part in _PART.finditer(wanted):
        if wanted[end : part.start()].strip() or part[2] not in _SECONDS:
            break
        seconds += float(part[1]) * _SECONDS[part[2]]
        end = part.end()
    if not wanted or end != len(wanted):
        raise ValueError("type a span such as 2h30m, 45m or 1d, or a time of day such as 17:30")
    if seconds <= 0:
        raise ValueError("a silence lasts longer than nothing")
    if seconds > LONGEST:
        raise ValueError("a silence lasts a year at most; switch the rule off instead")
    return seconds


def _until(hour: int, minute: int, now: float) -> float:
    if hour > 23 or minute > 59:
        raise ValueError(f"there is no time of day {hour}:{minute:02}")
    today = time.localtime(now)
    for day in (0, 1):
        # mktime puts the 32nd right and, with -1, finds out about summer time.
        moment = time.mktime(
            (today.tm_year, today.tm_mon, today.tm_mday + day, hour, minute, 0, 0, 0, -1)
        )
        if moment > now:
            return moment - now
    return 86400.0
