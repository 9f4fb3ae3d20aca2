"""A profile as plain text: what was sampled and how well, and the table."""

from __future__ import annotations

from collections.abc import Sequence

from perftui import format as show
from perftui.output.text_writer import Lines, TextWriter
from perftui.profiling.breakdown import By
from perftui.snapshot import Absent, Call, Maybe, TopCalls

NAME_CELLS, THREAD_CELLS = 36, 20


def profile_report(
    calls: TopCalls,
    rows: Sequence[Call],
    by: By,
    per_thread: bool,
    note: str,
    hidden: int = 0,
    ascii_only: bool = False,
) -> str:
    """Return the report of a profile with these rows, of which `hidden` more are not shown."""
    writer = _Writer(ascii_only)
    lines = [*writer.header(calls, note), "", *writer.table(rows, by, per_thread)]
    if hidden:
        lines.append(f"and {hidden} more: --limit N shows N")
    return "\n".join(line.rstrip() for line in lines) + "\n"


class _Writer(TextWriter):
    """Writes the parts of the report."""

    def header(self, calls: TopCalls, note: str) -> Lines:
        yield f"pid       {calls.pid} {self.clean(calls.command)}"
        if len(calls.processes) > 1:
            yield f"processes {', '.join(map(str, calls.processes))}"
        yield f"python    {self.clean(calls.python) or 'unknown'}, mode {calls.mode}"
        yield (
            f"sampled   {calls.samples} samples in {calls.window:.1f} s, {calls.errors} lost, "
            f"{calls.rate_wanted:.0f}/s wanted, {calls.rate_reached:.0f}/s reached"
        )
        yield (
            f"quality   {calls.coverage_percent:.0f} % of the time covered, process paused for "
            f"about {_number(calls.pause_percent, '.1f')} % of it"
        )
        yield f"used      {_number(calls.cores, '.2f')} cores, {calls.seconds:.2f} s sampled"
        for part in filter(None, note.split("; ")):
            yield f"note      {self.clean(part)}"

    def table(self, rows: Sequence[Call], by: By, per_thread: bool) -> Lines:
        if not rows:
            yield "no function was seen at work"
            return
        thread = f"{'thread':<{THREAD_CELLS}}  " if per_thread else ""
        where = "" if by == "file" else "where"
        yield f" own %  total %     own s  total s  {thread}{by:<{NAME_CELLS}}  {where}"
        for row in rows:
            thread = f"{self.cell(row.thread, THREAD_CELLS)}  " if per_thread else ""
            yield (
                f" {show.percent(row.own_percent)}    {show.percent(row.total_percent)}  "
                f"{row.own:8.2f} {row.total:8.2f}  {thread}{self._named(row, by)}"
            )

    def _named(self, row: Call, by: By) -> str:
        where = self.clean(row.file) + (f":{row.line}" if row.line else "")
        return f"{self.cell(row.function, NAME_CELLS)}  {where}"


def _number(value: Maybe[float], form: str) -> str:
    return "?" if isinstance(value, Absent) else format(value, form)
