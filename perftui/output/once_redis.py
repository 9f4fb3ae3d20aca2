"""What a Redis server is busy with, as sections of the text report."""

from __future__ import annotations

from perftui import format as show
from perftui.output.document import iso_utc
from perftui.output.text_writer import Lines, TextWriter
from perftui.snapshot import Absent, Snapshot

COMMANDS = 12
ENTRIES = 10
ERRORS = 8


class RedisDetailWriter(TextWriter):
    """Writes commands, slow log and errors; nothing where the details were not asked for."""

    def commands(self, snapshot: Snapshot) -> Lines:
        """Write the commands that take most of the server's time."""
        detail = snapshot.redis_detail
        if isinstance(detail, Absent):
            return
        if isinstance(detail.commands, Absent):
            yield from self.absent(detail.commands)
            return
        yield "core %     calls     mean      p99    failed  rejected  command"
        for one in detail.commands[:COMMANDS]:
            yield (
                f" {show.percent(one.percent)}  {show.rate(one.calls_rate)}  "
                f"{show.duration(one.seconds)}  {show.duration(one.p99)}  "
                f"{show.rate(one.failed_rate)}  {show.rate(one.rejected_rate)}  "
                f"{self.clean(one.name)}"
            )

    def slow(self, snapshot: Snapshot) -> Lines:
        """Write the newest entries of the slow log."""
        detail = snapshot.redis_detail
        if isinstance(detail, Absent):
            return
        if isinstance(detail.slower_than, Absent):
            yield from self.absent(detail.slower_than, "limit")
        else:
            yield f"commands that took {show.duration(detail.slower_than).strip()} or longer"
        if isinstance(detail.slow, Absent):
            yield from self.absent(detail.slow)
            return
        for one in detail.slow[:ENTRIES]:
            yield (
                f"{iso_utc(one.time)}  {show.duration(one.seconds)}  {self.clean(one.command)}  "
                f"by {self.clean(one.client)}"
            )
        if not detail.slow:
            yield "none"

    def errors(self, snapshot: Snapshot) -> Lines:
        """Write the errors that the server answered with."""
        detail = snapshot.redis_detail
        if isinstance(detail, Absent):
            return
        if isinstance(detail.errors, Absent):
            yield from self.absent(detail.errors)
            return
        for one in detail.errors[:ERRORS]:
            yield f"{show.rate(one.rate)}  {one.count:>9}  {self.clean(one.name)}"
