"""What the Redis server is busy with: its commands, its slow log and its errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from perftui.format import duration, moment, rate_short
from perftui.snapshot import (
    Absent,
    CommandUse,
    ErrorRate,
    Maybe,
    RedisDetail,
    SlowCommand,
    Snapshot,
)
from perftui.text import printable
from perftui.tui.lines import Line, Span, wrap
from perftui.tui.panes.cache_cells import order, per_second
from perftui.tui.panes.pane import absent_lines, missing
from perftui.tui.table import Column, Table
from perftui.tui.view import View

R = TypeVar("R")

MOST_COMMAND = 3
"""Lines of a slow command in the detail."""


def command_table(snapshot: Snapshot, view: View) -> Table[Any]:
    """Return the commands by their share of the server's time."""
    records, empty = _known(snapshot, "commands", view)
    if not empty:
        empty = _line("no command since the last reading", view)
    return Table(
        columns=_command_columns(view),
        records=records,
        key=lambda use: use.name,
        text=lambda use: use.name,
        empty=empty,
    )


def slow_table(snapshot: Snapshot, view: View) -> Table[Any]:
    """Return the slow log, the newest entry first."""
    records, empty = _known(snapshot, "slow", view)
    if not empty:
        empty = _line("the slow log is empty", view)
    return Table(
        columns=_slow_columns(view, snapshot.time),
        records=records,
        key=lambda slow: slow.id,
        text=lambda slow: f"{slow.command} {slow.client}",
        empty=empty,
    )


def error_table(snapshot: Snapshot, view: View) -> Table[Any]:
    """Return the errors that the server answered with."""
    records, empty = _known(snapshot, "errors", view)
    if not empty:
        empty = _line("the server has answered with no error since it began to count", view)
    return Table(
        columns=_error_columns(view),
        records=records,
        key=lambda error: error.name,
        text=lambda error: error.name,
        empty=empty,
    )


def slow_detail(slow: SlowCommand, view: View, now: float) -> list[Line]:
    """Return an entry of the slow log in full."""
    when = moment(slow.time, now)
    lines: list[Line] = [
        (
            (f" {duration(slow.seconds).strip()}", "title"),
            (f" at {when} from ", "muted"),
            (printable(slow.client, view.ascii_only) or "-", "text"),
        )
    ]
    parts = wrap(printable(slow.command, view.ascii_only), max(8, view.width - 4))
    return [*lines, *(((f"   {part}", "accent"),) for part in parts[:MOST_COMMAND])]


def slow_note(detail: Maybe[RedisDetail]) -> str:
    """Return from which duration on a command is in the slow log."""
    if isinstance(detail, Absent) or isinstance(detail.slower_than, Absent):
        return ""
    if detail.slower_than < 0:
        return "switched off: CONFIG SET slowlog-log-slower-than 10000"
    return f"slower than {duration(detail.slower_than).strip()}"


def _known(snapshot: Snapshot, what: str, view: View) -> tuple[Sequence[Any], tuple[Line, ...]]:
    """Return the records of one kind, or the lines that say why there are none."""
    # The server's own absence says more than that nobody could look at it.
    if isinstance(snapshot.redis, Absent):
        return (), ()
    detail = snapshot.redis_detail
    if isinstance(detail, Absent):
        return (), tuple(absent_lines(detail, view))
    found = {"commands": detail.commands, "slow": detail.slow, "errors": detail.errors}[what]
    if isinstance(found, Absent):
        return (), tuple(absent_lines(found, view))
    return found, ()


def _line(text: str, view: View) -> tuple[Line, ...]:
    return (((f" {view.glyphs.hollow} {text}", "absent"),),)


def _seconds(value: Maybe[float]) -> Span:
    return missing(value) if isinstance(value, Absent) else (duration(value), "text")


def _command_columns(view: View) -> tuple[Column[CommandUse], ...]:
    def failing(value: Maybe[float]) -> Span:
        return per_second(value, bad=True)

    return (
        Column("command", "command", 12, lambda c: (printable(c.name, view.ascii_only), "accent"),
               lambda c: c.name, "left", flex=True, most=30, descending=False),
        Column("core", "core%", 6, lambda c: (rate_short(c.percent), "text"), lambda c: c.percent),
        Column("rate", "calls/s", 7, lambda c: (rate_short(c.calls_rate), "text"),
               lambda c: c.calls_rate),
        Column("mean", "mean", 8, lambda c: _seconds(c.seconds), lambda c: order(c.seconds)),
        Column("p99", "p99", 8, lambda c: _seconds(c.p99), lambda c: order(c.p99), spare=1),
        Column("failed", "failed/s", 8, lambda c: failing(c.failed_rate),
               lambda c: order(c.failed_rate), spare=2),
        Column("rejected", "reject/s", 8, lambda c: failing(c.rejected_rate),
               lambda c: order(c.rejected_rate), spare=3),
    )  # fmt: skip


def _slow_columns(view: View, now: float) -> tuple[Column[SlowCommand], ...]:
    ascii_only = view.ascii_only
    return (
        Column("time", "time", 16, lambda s: (moment(s.time, now), "muted"),
               lambda s: (s.time, s.id), "left"),
        Column("took", "took", 8, lambda s: (duration(s.seconds), "text"), lambda s: s.seconds),
        Column("command", "command with its first key", 20,
               lambda s: (printable(s.command, ascii_only), "accent"),
               lambda s: s.command, "left", flex=True, descending=False),
        Column("client", "client", 21, lambda s: (printable(s.client, ascii_only), "muted"),
               lambda s: s.client, "left", spare=1, descending=False),
    )  # fmt: skip


def _error_columns(view: View) -> tuple[Column[ErrorRate], ...]:
    return (
        Column("error", "error", 16, lambda e: (printable(e.name, view.ascii_only), "accent"),
               lambda e: e.name, "left", flex=True, most=40, descending=False),
        Column("rate", "per s", 7, lambda e: per_second(e.rate, bad=True), lambda e: e.rate),
        Column("count", "since begin", 14, lambda e: (f"{e.count:,}", "text"), lambda e: e.count),
    )  # fmt: skip
