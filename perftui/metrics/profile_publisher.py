"""Makes what is reported of a CodeProfiler, now and then."""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING

from perftui.metrics.profile_reading import ProfileReading, ReportedCall

if TYPE_CHECKING:
    from perftui.profiling.code_profile import Heaviest
    from perftui.profiling.code_profiler import CodeProfiler

PUBLISH_INTERVAL = 10.0
"""Seconds between two readings; the reports between them repeat the last.

In the beginning it is as long as the profiler has run, from `SHORTEST_INTERVAL` on.
"""
SHORTEST_INTERVAL = 1.0
BUDGET = 0.002
"""Share of a core that reading may cost; a longer reading makes the next one later."""
MOST_CALLS = 50
LONGEST_NAME = 300
"""Characters of a function or file name, of which the end of a file and the begin of a function
tell most."""

_STOPPED = ProfileReading()


class ProfilePublisher:
    """Reads a profiler for the reports of one process; used by one thread at a time.

    With 5,000 functions a reading holds the interpreter for some milliseconds, hence the interval.
    A profile that has just begun is read at once.
    """

    def __init__(self, profiler: CodeProfiler) -> None:
        self._profiler = profiler
        self._reading = _STOPPED
        self._of: float | None = None
        self._due = 0.0

    def read(self) -> ProfileReading:
        """Return the newest reading, which is of this moment when one is due."""
        now = time.monotonic()
        began = self._profiler.began
        if began == self._of and (began is None or now < self._due):
            return self._reading
        used = time.thread_time()
        found = self._profiler.heaviest(MOST_CALLS)
        self._reading = _STOPPED if found is None else _reading(found)
        cost = time.thread_time() - used
        age = 0.0 if began is None else now - began
        pause = min(PUBLISH_INTERVAL, max(SHORTEST_INTERVAL, age))
        self._due = now + max(pause, cost / BUDGET)
        self._of = began
        return self._reading


def _reading(found: Heaviest) -> ProfileReading:
    rows = sorted(found.rows, key=lambda row: row[1].own, reverse=True)
    half = MOST_CALLS // 2
    if len(rows) > MOST_CALLS:
        # Those that cost most themselves, and those through which most goes.
        by_total = sorted(rows[half:], key=lambda row: row[1].total, reverse=True)
        rows = rows[:half] + by_total[: MOST_CALLS - half]
    return ProfileReading(
        running=True,
        python=platform.python_version(),
        window=found.seconds,
        seconds=found.total_time,
        functions=found.functions,
        count=found.calls,
        note=found.note,
        calls=tuple(
            ReportedCall(
                function=_encodable(function[:LONGEST_NAME]),
                file=_encodable(file[-LONGEST_NAME:]),
                line=line,
                calls=times.primitive,
                own=times.own,
                total=times.total,
            )
            for (function, file, line), times in rows
        ),
    )


def _encodable(name: str) -> str:
    """Return a name as it can be written in UTF-8: the bytes of a file's may be no text."""
    return name.encode("utf-8", "backslashreplace").decode()
