"""What every pane offers: pure functions from a snapshot and a view to lines and tables."""

from __future__ import annotations

from typing import Any, ClassVar

from perftui.format import age
from perftui.snapshot import Absent, Snapshot, SourceStatus, State
from perftui.text import printable
from perftui.tui.lines import Line, Span, wrap
from perftui.tui.table import Table
from perftui.tui.view import View


class Pane:
    """One pane of the dashboard; the same snapshot and view always give the same lines."""

    id: ClassVar[str]
    number: ClassVar[str]
    title: ClassVar[str]
    tab: ClassVar[str] = ""
    """A shorter title for a narrow tab strip, where there is one."""
    follows_cursor: ClassVar[bool] = False
    """Whether the zoomed pane tells more about the selected record, so that one is selected."""
    table_when_zoomed: ClassVar[bool] = False
    """Whether there is a table of records only where the pane has the screen for itself."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Names of the sources it shows; those on demand run while it is on the screen."""
    zoom_needs: ClassVar[frozenset[str]] = frozenset()
    """Sources that only the zoomed pane shows."""
    default_sort: ClassVar[str] = ""

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        """Return what stands behind the title in the frame."""
        return ()

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        """Return the lines above the table, or all lines of a pane without one."""
        return []

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        """Return the pane's table, None where it has none."""
        return None

    def mark(self, snapshot: Snapshot) -> Span:
        """Return a one-character state mark and its style for the tab strip."""
        return (" ", "muted")


def absent_lines(absent: Absent, view: View) -> list[Line]:
    """Return state, reason and fix of something missing, wrapped to the pane."""
    style = "absent" if absent.state is State.NOT_COLLECTED else "warning"
    mark = view.glyphs.hollow if absent.state is State.NOT_COLLECTED else view.glyphs.cross
    room = max(8, view.width - 3)
    lines: list[Line] = []
    text = printable(f"{absent.state.value}: {absent.reason}", view.ascii_only)
    for index, part in enumerate(wrap(text, room)):
        lines.append((((f" {mark} " if index == 0 else "   "), style), (part, style)))
    if absent.fix:
        fix = printable(absent.fix, view.ascii_only)
        for index, part in enumerate(wrap(fix, max(8, room - 5))):
            lines.append(((("   fix: " if index == 0 else "        "), "muted"), (part, "accent")))
    return lines


def stale_span(status: SourceStatus | None) -> tuple[Span, ...]:
    """Return a badge when a source has not answered for long."""
    if status is None or status.state is not State.STALE or status.age is None:
        return ()
    return ((f"stale {age(status.age)}", "stale"), (" ", "title"))


def missing(absent: Absent) -> Span:
    """Return how a single missing number stands in a line, different from any number."""
    return ("-", "absent" if absent.state is State.NOT_COLLECTED else "warning")


def joined(parts: list[tuple[Span, ...]], separator: str) -> Line:
    """Return groups of spans with a separator between them."""
    spans: list[Span] = []
    for part in parts:
        if not part:
            continue
        if spans:
            spans.append((f" {separator} ", "muted"))
        spans.extend(part)
    return tuple(spans)
