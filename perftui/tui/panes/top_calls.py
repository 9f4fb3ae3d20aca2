"""Top calls: the functions that use the CPU time of one Python process."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from perftui.profiling.breakdown import breakdown
from perftui.profiling.comparison import Change, compare
from perftui.snapshot import Absent, Call, Snapshot, State, TopCalls
from perftui.text import printable
from perftui.tui.lines import Line, Span, width_of, wrap
from perftui.tui.panes.pane import Pane, absent_lines, joined, missing, stale_span
from perftui.tui.panes.top_calls_columns import call_columns, change_columns
from perftui.tui.panes.top_calls_detail import call_lines
from perftui.tui.profile_view import ProfileView, profile_window_label, shown_calls
from perftui.tui.table import Table
from perftui.tui.view import View

LEAST_TABLE = 7
"""Lines that the table keeps in a zoom, its heading included."""


class TopCallsPane(Pane):
    """Own and total share of each function in the sampled CPU time."""

    id = "top_calls"
    number = "3"
    title = "Top calls"
    tab = "Calls"
    needs = frozenset({"top_calls"})
    default_sort = "own"
    follows_cursor = True

    def __init__(self) -> None:
        self._added: tuple[object, ...] = ()
        self._rows: tuple[Call, ...] | tuple[Change, ...] = ()

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        calls = shown_calls(snapshot, view.profile)
        if isinstance(calls, Absent):
            return ()
        frozen = view.profile.frozen is not None
        parts: list[tuple[Span, ...]] = [
            (("frozen", "badge"),) if frozen else stale_span(snapshot.status("top_calls")),
            _who(calls),
            ((calls.mode, "ok" if calls.mode == "exact" else "warning"),),
            ((f"{calls.rate_reached:.0f} Hz", "muted"),) if calls.rate_reached else (),
        ]
        if not isinstance(calls.cores, Absent):
            parts.append(((f"{calls.cores:.2f} cores", "muted"),))
        parts += [((word, "accent"),) for word in _choices(calls, view.profile)]
        if calls.errors:
            parts.append(((_counted(calls.errors, "error"), "warning"),))
        parts.append(((printable(calls.command, view.ascii_only), "muted"),))
        return joined(parts, view.glyphs.separator)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        calls = shown_calls(snapshot, view.profile)
        if isinstance(calls, Absent):
            return absent_lines(calls, view)
        lines: list[Line] = []
        if view.zoomed:
            lines += _quality(calls, view)
        if calls.note and view.height > 6:
            note = wrap(printable(calls.note, view.ascii_only), max(8, view.width - 2))
            room = len(note) if view.height > 12 else 1
            lines += [((f" {part}", "warning"),) for part in note[:room]]
        row = view.selected
        if view.zoomed and isinstance(row, Call | Change):
            call = row.call if isinstance(row, Change) else row
            below = min(len(self._rows) + 1, max(LEAST_TABLE, view.height * 2 // 5))
            lines += call_lines(call, calls, view, view.height - len(lines) - below)
        return lines

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        calls = shown_calls(snapshot, view.profile)
        if isinstance(calls, Absent):
            return None
        rows = self._add_up(calls, view.profile)
        if _lacks_stacks(view.profile.pinned, view.profile):
            # Against nothing every row would look as if it had grown.
            rows = ()
        empty = (((f" {view.glyphs.hollow} {_why_empty(calls, view.profile)}", "absent"),),)
        if view.profile.pinned is not None:
            return Table(
                change_columns(view),
                rows,
                lambda change: _key(change.call, view.profile),
                lambda change: _text(change.call),
                empty,
            )
        return Table(
            call_columns(calls, view), rows, lambda call: _key(call, view.profile), _text, empty
        )

    def mark(self, snapshot: Snapshot) -> Span:
        calls = snapshot.top_calls
        if isinstance(calls, Absent):
            return ("!", "warning") if calls.state is not State.NOT_COLLECTED else (" ", "muted")
        return ("*", "ok")

    def _add_up(
        self, calls: TopCalls, profile: ProfileView
    ) -> tuple[Call, ...] | tuple[Change, ...]:
        """Return the rows; the same ones until there is a new profile or another wish."""
        cause = (calls, profile.pinned, profile.by, profile.per_thread)
        if len(self._added) != len(cause) or any(
            new is not old for new, old in zip(cause, self._added, strict=True)
        ):
            self._added = cause
            rows = breakdown(calls, profile.by, profile.per_thread)
            if profile.pinned is None:
                self._rows = rows
            else:
                before = breakdown(profile.pinned, profile.by, profile.per_thread)
                self._rows = compare(rows, before, profile.by)
        return self._rows


def _who(calls: TopCalls) -> tuple[Span, ...]:
    if calls.source != "py-spy":
        return ((f"{calls.source} pid {calls.pid}", "muted"),)
    more = len(calls.processes) - 1
    tree = f" and {more} below" if calls.request.subprocesses and more > 0 else ""
    return ((f"pid {calls.pid}{tree}", "muted"),)


def _choices(calls: TopCalls, profile: ProfileView) -> list[str]:
    """Return what differs from the ordinary look, a word each."""
    request = calls.request
    words = []
    if calls.source == "py-spy" and (calls.since_reset or request.window != 5):
        words.append(profile_window_label(0.0 if calls.since_reset else request.window))
    if profile.by != "function":
        words.append(f"by {profile.by}")
    if profile.per_thread:
        words.append("per thread")
    words += [
        word
        for word, chosen in (
            ("wall time", request.idle),
            ("GIL only", request.gil),
            ("native", request.native),
        )
        if chosen
    ]
    if profile.pinned is not None:
        words.append("against the baseline")
    return words


def _quality(calls: TopCalls, view: View) -> list[Line]:
    """Return how good the samples are: what was wanted, what came, what it cost the target."""
    if calls.source != "py-spy":
        text = f"{_counted(calls.samples, 'call')} counted in {calls.window:.1f} s"
        return [((f" {text}", "text"), (f" of python {printable(calls.python)}", "muted"))]
    pause = calls.pause_percent
    groups: list[tuple[Span, ...]] = [
        ((f"{_counted(calls.samples, 'sample')} in {calls.window:.1f} s", "text"),),
        ((f"{calls.rate_reached:.0f} of {calls.rate_wanted:.0f} Hz", "text"),),
        ((_counted(calls.errors, "error"), "warning" if calls.errors else "muted"),),
        ((f"{calls.coverage_percent:.0f} % covered", "muted"),),
        (
            ("target paused ", "muted"),
            missing(pause) if isinstance(pause, Absent) else (f"{pause:.1f} %", "text"),
        ),
        ((_counted(len(calls.threads), "thread"), "muted"),) if calls.threads else (),
        ((f"python {printable(calls.python)}", "muted"),) if calls.python else (),
    ]
    lines: list[Line] = []
    line: list[tuple[Span, ...]] = []
    for group in groups:
        wider = joined([*line, group], view.glyphs.separator)
        if line and width_of(wider) + 1 > view.width:
            lines.append(((" ", "text"), *joined(line, view.glyphs.separator)))
            line = []
        line.append(group)
    lines.append(((" ", "text"), *joined(line, view.glyphs.separator)))
    return lines


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _lacks_stacks(calls: TopCalls | None, profile: ProfileView) -> bool:
    """Whether a profile cannot be added up as chosen."""
    chosen = profile.by != "function" or profile.per_thread
    return calls is not None and chosen and isinstance(calls.stacks, Absent)


def _why_empty(calls: TopCalls, profile: ProfileView) -> str:
    if _lacks_stacks(profile.pinned, profile):
        return "the baseline was pinned before stacks were kept: B twice pins a new one"
    if _lacks_stacks(calls, profile):
        if profile.frozen is not None:
            return "held still before stacks were kept: z goes on"
        if calls.source != "py-spy":
            return f"{calls.source} keeps no stacks: b goes back to functions"
        return "stacks are kept from now on: a second"
    return "no CPU time sampled: the process is waiting"


def _key(call: Call, profile: ProfileView) -> Hashable:
    # A function stays the same when another of its lines becomes the busiest.
    line = call.line if profile.by == "line" else 0
    return call.function, call.file, line, call.thread


def _text(call: Call) -> str:
    return f"{call.function} {call.file}:{call.line} {call.thread}"
