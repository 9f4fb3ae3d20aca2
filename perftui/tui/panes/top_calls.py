"""Top calls: the functions that use the CPU time of one Python process."""

from __future__ import annotations

from typing import Any

from perftui.format import percent
from perftui.snapshot import Absent, Call, Snapshot, State
from perftui.text import printable
from perftui.tui.lines import Line, Span, wrap
from perftui.tui.panes.pane import Pane, absent_lines, joined, missing, stale_span
from perftui.tui.table import Column, Table
from perftui.tui.view import View


class TopCallsPane(Pane):
    """Own and total share of each function in the sampled CPU time."""

    id = "top_calls"
    number = "3"
    title = "Top calls"
    tab = "Calls"
    needs = frozenset({"top_calls"})
    default_sort = "own"

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        calls = snapshot.top_calls
        if isinstance(calls, Absent):
            return ()
        parts: list[tuple[Span, ...]] = [
            stale_span(snapshot.status("top_calls")),
            ((f"pid {calls.pid}", "muted"),),
            ((calls.mode, "ok" if calls.mode == "exact" else "warning"),),
            ((f"{calls.rate_reached:.0f} Hz", "muted"),),
        ]
        if not isinstance(calls.cores, Absent):
            parts.append(((f"{calls.cores:.2f} cores", "muted"),))
        if calls.errors:
            parts.append(((f"{calls.errors} errors", "warning"),))
        parts.append(((printable(calls.command, view.ascii_only), "muted"),))
        return joined(parts, view.glyphs.separator)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        calls = snapshot.top_calls
        if isinstance(calls, Absent):
            return absent_lines(calls, view)
        lines: list[Line] = []
        if view.zoomed:
            pause = calls.pause_percent
            spans: list[Span] = [
                (f" {calls.samples} samples in {calls.window:.1f} s", "text"),
                (
                    f" of python {printable(calls.python)}, wanted {calls.rate_wanted:.0f} Hz",
                    "muted",
                ),
                (f", {calls.coverage_percent:.0f} % covered, target paused ", "muted"),
                missing(pause) if isinstance(pause, Absent) else (f"{pause:.1f} %", "text"),
            ]
            lines.append(tuple(spans))
        if calls.note and view.height > 6:
            note = wrap(printable(calls.note, view.ascii_only), max(8, view.width - 2))
            room = len(note) if view.height > 12 else 1
            lines += [((f" {part}", "warning"),) for part in note[:room]]
        return lines

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        calls = snapshot.top_calls
        if isinstance(calls, Absent):
            return None
        text = "no CPU time sampled: the process is waiting"
        return Table(
            columns=_columns(view),
            records=calls.calls,
            key=lambda call: (call.function, call.file),
            text=lambda call: f"{call.function} {call.file}",
            empty=(((f" {view.glyphs.hollow} {text}", "absent"),),),
        )

    def mark(self, snapshot: Snapshot) -> Span:
        calls = snapshot.top_calls
        if isinstance(calls, Absent):
            return ("!", "warning") if calls.state is not State.NOT_COLLECTED else (" ", "muted")
        return ("*", "ok")


def _columns(view: View) -> tuple[Column[Call], ...]:
    ascii_only = view.ascii_only
    where = max(18, min(60, view.width // 3))

    def share(value: float) -> Span:
        return (percent(value), "critical" if value >= 50 else "warning" if value >= 20 else "text")

    return (
        Column("own", "own%", 6, lambda c: share(c.own_percent), lambda c: c.own_percent),
        Column(
            "total",
            "total%",
            7,
            lambda c: (percent(c.total_percent), "text"),
            lambda c: c.total_percent,
        ),
        Column(
            "function",
            "function",
            12,
            lambda c: (printable(c.function, ascii_only), "accent"),
            lambda c: c.function,
            align="left",
            flex=True,
            descending=False,
        ),
        Column(
            "file",
            "file:line",
            where,
            lambda c: (_place(c, where, ascii_only), "muted"),
            lambda c: (c.file, c.line),
            align="left",
            spare=1,
            descending=False,
        ),
    )


def _place(call: Call, width: int, ascii_only: bool) -> str:
    """Return file and line, cut at the left: the end of a path tells most."""
    text = printable(f"{call.file}:{call.line}" if call.line else call.file, ascii_only)
    parts = text.split("/")
    while len(text) > width and len(parts) > 1:
        parts = parts[1:]
        text = "/".join(parts)
    return text
