"""The columns of Top calls: shares of functions, lines, files or modules, and what changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from perftui.format import percent
from perftui.profiling.comparison import Change
from perftui.snapshot import Absent, Call, Maybe, TopCalls
from perftui.text import printable
from perftui.tui.lines import Span
from perftui.tui.table import Column
from perftui.tui.view import View

R = TypeVar("R")

HOT, WARM = 50.0, 20.0
"""Percent of the time from which on a row asks to be looked at."""
MUCH = 5.0
"""Points by which a share has to change before it is more than chance of a few samples."""
THREAD_WIDTH = 18
CORES_FROM = 72
"""Width from which on there is room to tell shares in cores, too."""


def call_columns(calls: TopCalls, view: View) -> tuple[Column[Call], ...]:
    """Return the columns for rows of a profile."""
    cores = calls.cores if view.width >= CORES_FROM else None
    return (
        Column("own", "own%", 6, lambda c: _share(c.own_percent), lambda c: c.own_percent),
        Column("total", "total%", 7, lambda c: (percent(c.total_percent), "text"),
               lambda c: c.total_percent),
        *_cores(calls, cores),
        *_names(view, lambda c: c),
    )  # fmt: skip


def change_columns(view: View) -> tuple[Column[Change], ...]:
    """Return the columns for rows that are compared with a pinned profile."""
    return (
        Column("own", "own%", 6, lambda c: _share(c.call.own_percent),
               lambda c: c.call.own_percent),
        Column("before", "was%", 6, lambda c: (percent(c.own_before), "muted"),
               lambda c: c.own_before, spare=2),
        Column("change", "change", 7, lambda c: _change(c.own_change),
               lambda c: abs(c.own_change)),
        Column("total", "total%", 7, lambda c: (percent(c.call.total_percent), "text"),
               lambda c: c.call.total_percent, spare=3),
        Column("total_change", "change", 7, lambda c: _change(c.total_change),
               lambda c: abs(c.total_change), spare=3),
        *_names(view, lambda c: c.call),
    )  # fmt: skip


def place_text(call: Call, width: int, ascii_only: bool) -> str:
    """Return file and line, cut at the left: the end of a path tells most."""
    return file_line(call.file, call.line, width, ascii_only)


def file_line(file: str, line: int, width: int, ascii_only: bool) -> str:
    """Return a file and a line of it, cut at the left: the end of a path tells most."""
    text = printable(f"{file}:{line}" if line else file, ascii_only)
    parts = text.split("/")
    while len(text) > width and len(parts) > 1:
        parts = parts[1:]
        text = "/".join(parts)
    return text


def _cores(calls: TopCalls, cores: Maybe[float] | None) -> tuple[Column[Call], ...]:
    if cores is None or isinstance(cores, Absent) or calls.request.idle:
        return ()
    used = cores

    def cell(call: Call) -> Span:
        return (f"{used * call.own_percent / 100:.2f}", "muted")

    return (Column("cores", "cores", 6, cell, lambda c: c.own_percent, spare=2),)


def _names(view: View, call_of: Callable[[R], Call]) -> tuple[Column[R], ...]:
    ascii_only = view.ascii_only
    by = view.profile.by
    where = max(18, min(60, view.width // 3))
    columns: list[Column[R]] = []
    if view.profile.per_thread:
        columns.append(
            Column("thread", "thread", THREAD_WIDTH,
                   lambda r: (printable(call_of(r).thread, ascii_only), "muted"),
                   lambda r: call_of(r).thread, align="left", descending=False)
        )  # fmt: skip
    columns.append(
        Column(
            "function",
            "function" if by == "line" else by,
            12,
            lambda r: (printable(call_of(r).function, ascii_only), "accent"),
            lambda r: call_of(r).function,
            align="left",
            flex=True,
            descending=False,
        )
    )
    columns.append(
        Column(
            "file",
            "file" if by in ("file", "module") else "file:line",
            where,
            lambda r: (place_text(call_of(r), where, ascii_only), "muted"),
            lambda r: (call_of(r).file, call_of(r).line),
            align="left",
            spare=1,
            descending=False,
        )
    )
    return tuple(columns)


def _share(value: float) -> Span:
    return (percent(value), "critical" if value >= HOT else "warning" if value >= WARM else "text")


def _change(points: float) -> Span:
    if abs(points) < 0.05:
        return ("=", "muted")
    style = "muted" if abs(points) < MUCH else "warning" if points > 0 else "ok"
    return (f"{points:+.1f}", style)
