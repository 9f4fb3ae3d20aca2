"""Writes the stacks of a profile as collapsed stacks, which flame graph tools read.

One line a stack: its frames from the outermost one, joined by semicolons, a space and a count:
https://github.com/brendangregg/FlameGraph#2-fold-stacks. The count is microseconds of CPU time,
because samples of different threads do not stand for the same time.
"""

from __future__ import annotations

import re

from perftui.profiling.flame import LEFT_OUT
from perftui.profiling.thread_labels import thread_labels
from perftui.snapshot import Absent, Place, TopCalls

MICROSECONDS = 1_000_000

# Ends a frame or a line, acts on a terminal, turns the order of a line or is no text at all.
_UNSAFE = re.compile(
    "[;\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def collapsed(calls: TopCalls, per_thread: bool = False) -> str:
    """Return all stacks in lines, sorted; with `per_thread` the thread is the outermost frame.

    A frame is `function (file:line)`. What would break a line becomes a backslash escape. Stacks
    that were left out are one frame, so that the shares of the others stay right. Empty without
    stacks.
    """
    if isinstance(calls.stacks, Absent):
        return ""
    stacks = calls.stacks
    frames = [_frame(place) for place in stacks.places]
    labels = [_safe(label) for label in thread_labels(calls.threads)] if per_thread else []
    counts: dict[str, float] = {}
    for stack in stacks.stacks:
        if not stack.places:
            continue
        path = ";".join([frames[place] for place in stack.places])
        if per_thread:
            path = f"{labels[stack.thread]};{path}"
        counts[path] = counts.get(path, 0.0) + stack.seconds
    if stacks.left_out > 0:
        counts[_frame(LEFT_OUT)] = stacks.left_out
    return "".join(
        # A stack that was seen is in the file, however short it was.
        f"{path} {max(1, round(seconds * MICROSECONDS))}\n"
        for path, seconds in sorted(counts.items())
        if seconds > 0
    )


def _frame(place: Place) -> str:
    # A frame without a text would not be told from the end of the line by all readers.
    name = _safe(place.function) or "?"
    if not place.file:
        return name
    line = f":{place.line}" if place.line else ""
    return f"{name} ({_safe(place.file)}{line})"


def _safe(text: str) -> str:
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if match.group() == "\n":
        return "\\n"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
