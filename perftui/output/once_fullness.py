"""The sections of the text report about what fills up: file systems and file descriptors."""

from __future__ import annotations

from collections.abc import Sequence

from perftui import format as show
from perftui.analysis.fullness import Mounted, limit_of, mounted
from perftui.output.text_writer import Lines, TextWriter
from perftui.snapshot import Absent, Descriptors, FileSystem, Maybe, Snapshot

TOP_FILE_SYSTEMS = 30
TOP_DESCRIPTORS = 3
NAMED = 5
"""Mount points that are named where many of them have the same trouble."""


class FullnessWriter(TextWriter):
    """Writes what is full or nearly so first, and what could not be asked with its reason."""

    def file_systems(self, snapshot: Snapshot) -> Lines:
        """Write a table of the mount points, the fullest first."""
        if isinstance(snapshot.file_systems, Absent):
            yield from self.absent(snapshot.file_systems)
            return
        rows = mounted(snapshot)
        measured = [row for row in rows if row.usage is not None]
        if not rows:
            yield "no file system can be written to"
        yield from self._troubled([row for row in rows if row.usage is None])
        # Only who has watched for half an hour knows a trend.
        trends = any(not isinstance(row.hours, Absent) for row in measured)
        if measured:
            full_in = "   full in" if trends else ""
            yield f"used %      free      size  inodes %{full_in}  mount point"
        for row in measured[:TOP_FILE_SYSTEMS]:
            if row.usage is not None:
                yield self._file_system(row.usage, row.hours, trends)
        if len(measured) > TOP_FILE_SYSTEMS:
            yield f"and {len(measured) - TOP_FILE_SYSTEMS} more, see perftui once --json"

    def _file_system(self, usage: FileSystem, hours: Maybe[float], trends: bool) -> str:
        full_in = show.MISSING if isinstance(hours, Absent) else show.age(hours * 3600)
        trend = f"  {full_in:>8}" if trends else ""
        return (
            f" {show.percent(usage.used_percent)}  {show.size(usage.available)}  "
            f"{show.size(usage.total)}     {show.percent(usage.inodes_percent)}{trend}  "
            f"{self.clean(usage.mount)} ({self.clean(usage.device)} {self.clean(usage.kind)})"
        )

    def _troubled(self, rows: Sequence[Mounted]) -> Lines:
        by_reason: dict[str, list[str]] = {}
        for row in rows:
            by_reason.setdefault(row.trouble, []).append(row.mount)
        for reason, mounts in by_reason.items():
            named = ", ".join(self.clean(mount) for mount in mounts[:NAMED])
            more = f" and {len(mounts) - NAMED} more" if len(mounts) > NAMED else ""
            yield f"{named}{more}: {self.clean(reason)}"

    def descriptors(self, snapshot: Snapshot) -> Lines:
        """Write what the machine has open, and the processes nearest to their limits."""
        found = snapshot.descriptors
        if isinstance(found, Absent):
            yield from self.absent(found)
            return
        yield f"machine   {_machine(found)}"
        for row in found.rows[:TOP_DESCRIPTORS]:
            share = show.percent(100 * row.open / row.limit if row.limit else 100.0).strip()
            name = f"{'':<10}{self.clean(row.name)} ({row.pid})"
            yield f"{name} {row.open:,} of {row.limit:,}, {share} %"


def _machine(found: Descriptors) -> str:
    limit = limit_of(found)
    if isinstance(found.open, Absent):
        return show.MISSING
    if limit is None:
        return f"{found.open:,}, no limit"
    if isinstance(limit, Absent):
        return f"{found.open:,}"
    share = show.percent(100 * found.open / limit if limit else 100.0).strip()
    return f"{found.open:,} of {limit:,}, {share} %"
