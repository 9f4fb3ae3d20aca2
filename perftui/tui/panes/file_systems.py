"""What fills up, for the zoomed Resources: a table of file systems, and descriptors in a line."""

from __future__ import annotations

from typing import Any

from perftui.analysis.fullness import Mounted, limit_of, mounted, nearest_to_limit
from perftui.format import MISSING, age, count, percent, size_short
from perftui.snapshot import Absent, Maybe, Snapshot
from perftui.text import printable
from perftui.tui.lines import Line, Span
from perftui.tui.panes.pane import absent_lines, joined, missing, stale_span
from perftui.tui.table import Column, Table
from perftui.tui.view import View

FULL = (90.0, 98.0)
"""Percent from which on a file system is shown as a warning and as critical, as the rules do."""
SCARCE_DESCRIPTORS = (70.0, 90.0)
ROOMY = 100
"""Width from which on open files are told in full."""
SOON = (24.0, 4.0)
"""Hours to full from which on they are shown as a warning and as critical."""


def file_system_table(snapshot: Snapshot, view: View) -> Table[Any] | None:
    """Return the table of all mount points, None while they are not read."""
    if isinstance(snapshot.file_systems, Absent):
        return None
    return Table(
        columns=_columns(view),
        records=mounted(snapshot),
        key=lambda row: row.mount,
        text=lambda row: f"{row.mount} {_about(row)}",
        empty=(((f" {view.glyphs.hollow} no file system can be written to", "absent"),),),
    )


def file_system_lines(snapshot: Snapshot, view: View) -> list[Line]:
    """Return the line above the table, or why there is no table."""
    found = snapshot.file_systems
    title: list[Span] = [(" File systems ", "title"), *stale_span(snapshot.status("file_systems"))]
    if isinstance(found, Absent):
        return [tuple(title), *absent_lines(found, view)]
    if found.hung:
        verb = "does" if len(found.hung) == 1 else "do"
        title.append((f" {len(found.hung)} {verb} not answer", "critical"))
    return [tuple(title)]


def descriptor_line(snapshot: Snapshot, view: View) -> Line:
    """Return the open files of the machine and of the process nearest to its limit, in one line."""
    found = snapshot.descriptors
    if isinstance(found, Absent):
        reason = printable(found.reason, view.ascii_only)
        return (("files open ", "muted"), missing(found), (f" {reason}", "muted"))
    parts = [(("files open ", "muted"), *stale_span(snapshot.status("descriptors")), *_of(found))]
    nearest = nearest_to_limit(found)
    if nearest is not None:
        used = 100 * nearest.open / nearest.limit
        name = printable(f"{nearest.name} ({nearest.pid})", view.ascii_only)
        roomy = view.width >= ROOMY
        opened = f"{nearest.open:,} of {nearest.limit:,}" if roomy else f"of {nearest.limit:,}"
        parts.append(
            (
                ("nearest to its limit " if roomy else "nearest ", "muted"),
                (f"{name} ", "text"),
                (f"{percent(used).strip()} % ", _level(used, SCARCE_DESCRIPTORS)),
                (opened, "text"),
            )
        )
    return joined(parts, view.glyphs.separator)


def _of(found: Any) -> tuple[Span, ...]:
    opened, limit = found.open, limit_of(found)
    if isinstance(opened, Absent):
        return (missing(opened),)
    if limit is None or isinstance(limit, Absent):
        return ((count(opened).strip(), "text"),)
    used = 100 * opened / limit if limit else 100.0
    return (
        (f"{percent(used).strip()} % ", _level(used, SCARCE_DESCRIPTORS)),
        (f"{count(opened).strip()} of {count(limit).strip()}", "text"),
    )


def _columns(view: View) -> tuple[Column[Mounted], ...]:
    ascii_only = view.ascii_only

    def used(row: Mounted) -> Span:
        return _percent(None if row.usage is None else row.usage.used_percent, row)

    def inodes(row: Mounted) -> Span:
        return _percent(None if row.usage is None else row.usage.inodes_percent, row)

    def amount(row: Mounted, value: int) -> Span:
        return (size_short(value), "text") if row.usage is not None else _unknown(row)

    def hours(row: Mounted) -> Span:
        if isinstance(row.hours, Absent):
            return (MISSING, "absent")
        style = "critical" if row.hours < SOON[1] else "warning" if row.hours < SOON[0] else "text"
        return (age(row.hours * 3600), style)

    def about(row: Mounted) -> Span:
        style = "muted" if row.usage is not None else "critical" if row.hangs else "warning"
        return (printable(_about(row), ascii_only), style)

    return (
        Column("mount", "mount point", 14, lambda r: (printable(r.mount, ascii_only), "text"),
               lambda r: r.mount, "left", flex=True, most=60, descending=False),
        Column("used", "used%", 6, used, lambda r: r.fullness),
        Column("free", "free", 6, lambda r: amount(r, _free(r)), _free, spare=2,
               descending=False),
        Column("size", "size", 6, lambda r: amount(r, _total(r)), _total, spare=4),
        Column("inodes", "inode%", 7, inodes, _inodes, spare=5),
        Column("hours", "full in", 8, hours, _hours, spare=3, descending=False),
        Column("about", "device", 16, about, _about, "left", flex=True, descending=False),
    )  # fmt: skip


def _percent(value: Maybe[float] | None, row: Mounted) -> Span:
    if value is None:
        return _unknown(row)
    if isinstance(value, Absent):
        # Only the number of files can be missing here, where there is no limit to it.
        return (MISSING, "absent")
    return (percent(value), _level(value, FULL))


def _unknown(row: Mounted) -> Span:
    return (MISSING, "critical" if row.hangs else "warning")


def _level(value: float, levels: tuple[float, float]) -> str:
    return "critical" if value >= levels[1] else "warning" if value >= levels[0] else "text"


def _free(row: Mounted) -> int:
    return -1 if row.usage is None else row.usage.available


def _total(row: Mounted) -> int:
    return -1 if row.usage is None else row.usage.total


def _inodes(row: Mounted) -> float:
    if row.usage is None or isinstance(row.usage.inodes_percent, Absent):
        return -1.0
    return row.usage.inodes_percent


def _hours(row: Mounted) -> float:
    return float("inf") if isinstance(row.hours, Absent) else row.hours


def _about(row: Mounted) -> str:
    """Return device and kind or, of one that cannot be read, why not."""
    return row.trouble if row.usage is None else f"{row.usage.device} {row.usage.kind}"
