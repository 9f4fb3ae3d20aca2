"""A profile as JSON document: plain numbers, and under `states` why a number is missing.

`own` and `total` are CPU seconds (seconds of the clock where waiting threads count) without and
with callees, `own_percent` and `total_percent` their share of `cpu_seconds`. `seconds` is how long
the process was watched, `rate` the samples per second that were asked for, `rate_reached` those
that came, `samples` how many there are and `lost` how many could not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perftui.output.document import Json, plain_value
from perftui.profiling.breakdown import By
from perftui.snapshot import Call, TopCalls


def profile_document(
    calls: TopCalls, rows: Sequence[Call], by: By, per_thread: bool, note: str
) -> dict[str, Json]:
    """Return the profile with these rows as plain dicts, lists and scalars."""
    states: dict[str, Json] = {}

    def value(item: object, path: str) -> Json:
        return plain_value(item, path, states)

    document: dict[str, Json] = {
        "pid": calls.pid,
        "command": value(calls.command, "command"),
        "python": value(calls.python, "python"),
        "source": calls.source,
        "mode": calls.mode,
        "seconds": value(calls.window, "seconds"),
        "rate": value(calls.rate_wanted, "rate"),
        "rate_reached": value(calls.rate_reached, "rate_reached"),
        "samples": calls.samples,
        "lost": calls.errors,
        "coverage_percent": value(calls.coverage_percent, "coverage_percent"),
        "pause_percent": value(calls.pause_percent, "pause_percent"),
        "cores": value(calls.cores, "cores"),
        "cpu_seconds": value(calls.seconds, "cpu_seconds"),
        "note": value(note, "note"),
        "processes": value(calls.processes, "processes"),
        "threads": value(calls.threads, "threads"),
        "by": by,
        "calls": [_row(value, row, f"calls.{at}", per_thread) for at, row in enumerate(rows)],
    }
    document["states"] = states
    return document


def _row(value: Callable[[object, str], Json], row: Call, path: str, per_thread: bool) -> Json:
    plain: dict[str, Json] = {
        "function": value(row.function, f"{path}.function"),
        "file": value(row.file, f"{path}.file"),
        "line": row.line,
        "own": value(row.own, f"{path}.own"),
        "total": value(row.total, f"{path}.total"),
        "own_percent": value(row.own_percent, f"{path}.own_percent"),
        "total_percent": value(row.total_percent, f"{path}.total_percent"),
    }
    if per_thread:
        plain["thread"] = value(row.thread, f"{path}.thread")
    return plain
