"""The picker of a process to profile, which tells beforehand whether it may be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from perftui.snapshot import Absent, Snapshot
from perftui.text import cell_width, printable
from perftui.tui.actions import ACTIONS, shown_key
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span, wrap
from perftui.tui.panes.process_choice import Candidate, Checks, ProcessChoicePane
from perftui.tui.process_checks import ProcessChecks
from perftui.tui.profile_view import Feed
from perftui.tui.screens.help import ROW_KEYS
from perftui.tui.screens.snapshot_screen import SnapshotScreen
from perftui.tui.widgets.line_widget import LineWidget
from perftui.tui.widgets.pane_widget import PaneWidget

POLL = 0.1
REST = 0.4
"""Seconds the cursor rests on a process before it is tried."""

DETAILS = 6
"""Lines about the selected process."""


class Display(Protocol):
    """The app as this screen sees it."""

    snapshot: Snapshot | None

    def tell_demand(self) -> None: ...


class WantingChecks(Checks, Protocol):
    """Checks that can be asked for more."""

    def want(self, keys: Sequence[tuple[int, float]]) -> None: ...

    def check(self, key: tuple[int, float]) -> bool: ...

    def poll(self) -> bool: ...


class ProcessPicker(SnapshotScreen):
    """Chooses a process for `profile`, or one that profiles itself for `look_at`.

    One that the rules refuse is tried first; when that fails too, a second enter insists.
    """

    CSS = f"""
    ProcessPicker {{ layout: vertical; background: $background; }}
    ProcessPicker > PaneWidget {{ width: 1fr; height: 1fr; min-height: 5; }}
    ProcessPicker > #choice-details {{ width: 1fr; height: {DETAILS}; }}
    ProcessPicker > #choice-keys {{ width: 1fr; height: 1; }}
    ProcessPicker > FilterInput {{ dock: bottom; }}
    """
    # A modal screen does not pass keys on to the app, so the keys for rows are bound here again.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False, id="app.back"),
        Binding("q", "leave", show=False),
        Binding("enter", "choose", show=False, id="pane.zoom"),
        Binding("p", "choose", show=False, id="process.profile"),
        Binding("a", "everything", show=False),
        Binding("u", "user", show=False),
        Binding("c", "check", show=False),
        Binding("ctrl+c", "app.quit", show=False),
        *(
            Binding(spec.keys, f"app.{spec.call}", show=False, id=spec.id)
            for spec in ACTIONS
            if spec.id in ROW_KEYS | {"row.sort", "row.reverse"}
        ),
    ]
    needs = frozenset({"processes"})

    def __init__(
        self,
        glyphs: Glyphs,
        keys: Mapping[str, str],
        profile: Callable[[int], None],
        look_at: Callable[[Feed], None],
        checks: WantingChecks | None = None,
    ) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._profile = profile
        self._look_at = look_at
        self._checks: WantingChecks = ProcessChecks() if checks is None else checks
        self._pane = ProcessChoicePane(self._checks)
        self._list = PaneWidget(self._pane)
        self._details = LineWidget("choice-details")
        self._keys = LineWidget("choice-keys")
        self._shown = {spec.id: shown_key(spec, keys) for spec in ACTIONS}
        self._resting: tuple[tuple[object, ...], float] | None = None
        self._chosen: tuple[int, float] | None = None
        self._refused: tuple[int, float] | None = None

    def compose(self) -> ComposeResult:
        """Yield the list, what is known of the selected process, and the keys."""
        yield self._list
        yield self._details
        yield self._keys

    def on_mount(self) -> None:
        """Have the processes sampled, and show what there is of them."""
        display = cast(Display, self.app)
        display.tell_demand()
        self._list.focus()
        self.set_interval(POLL, self._poll)
        self.call_after_refresh(self._draw_first)

    def on_unmount(self) -> None:
        """Have nothing sampled any more that nobody looks at."""
        cast(Display, self.app).tell_demand()

    def on_resize(self) -> None:
        """Draw for the new size; the list does so itself."""
        self.call_after_refresh(self._draw_around)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the list; once it is in order the cursor stays on its process."""
        table = snapshot.processes
        if not isinstance(table, Absent):
            measured = any(not isinstance(row.cpu_percent, Absent) for row in table.rows)
            self._list.zoomed = self._list.zoomed or measured
        rows = self._pane.candidates(snapshot)
        rows.sort(key=lambda row: -row.rank)
        self._checks.want([row.process_key for row in rows if row.process is not None])
        self._list.show(snapshot)
        self._draw_around()

    def on_pane_widget_moved(self, message: PaneWidget.Moved) -> None:
        """Tell about the process that the cursor went to."""
        message.stop()
        self._chosen = self._refused = None
        self._draw_around()

    def action_choose(self) -> None:
        """Profile the selected process, after an attempt where the rules refuse it."""
        row = self._selected
        if row is None:
            return
        if row.feed is not None:
            self.dismiss()
            self._look_at(row.feed)
            return
        found = self._pane.verdict(row)
        key = row.process_key
        if found is None or found.permitted or self._refused == key:
            self._take(row)
        elif self._checks.checked(key) is not None:
            self._refused = key
        else:
            self._chosen = key
            self._checks.check(key)
        self._draw_around()

    def action_everything(self) -> None:
        """Show all processes, or only Python."""
        self._pane.everything = not self._pane.everything
        self._show_again()

    def action_user(self) -> None:
        """Show the processes of all users, or only the own ones."""
        viewer = self._checks.viewer
        if self._pane.user or viewer is None:
            self._pane.user = ""
        else:
            self._pane.user = viewer.user
        self._show_again()

    def action_check(self) -> None:
        """Try the selected process again."""
        row = self._selected
        if row is not None and row.process is not None:
            self._checks.check(row.process_key)
            self._redraw()

    def action_close(self) -> None:
        """Drop the filter, or leave without a change."""
        if self._list.state.filter:
            self._list.set_filter("")
        else:
            self.dismiss()

    def action_leave(self) -> None:
        """Leave without a change."""
        self.dismiss()

    @property
    def _selected(self) -> Candidate | None:
        row = self._list.selected
        return row if isinstance(row, Candidate) else None

    def _take(self, row: Candidate) -> None:
        self.dismiss()
        self._profile(row.pid)

    def _show_again(self) -> None:
        snapshot = cast(Display, self.app).snapshot
        if snapshot is not None:
            self.show(snapshot)

    def _draw_first(self) -> None:
        self._show_again()
        self._draw_around()

    def _poll(self) -> None:
        if self._checks.poll():
            self._redraw()
            self._follow_choice()
        row = self._selected
        if row is None or row.process is None:
            self._resting = None
            return
        now = time.monotonic()
        if self._resting is None or self._resting[0] != row.key:
            self._resting = row.key, now
            return
        key = row.process_key
        rested = now - self._resting[1] >= REST
        if rested and self._checks.checked(key) is None and self._checks.check(key):
            self._redraw()

    def _follow_choice(self) -> None:
        """Take the process that was chosen once the attempt has gone well."""
        row = self._selected
        if row is None or self._chosen != row.process_key:
            return
        checked = self._checks.checked(row.process_key)
        if checked is None:
            # Another one was being tried when it was chosen.
            self._checks.check(row.process_key)
            return
        self._chosen = None
        if checked.problem is None:
            self._take(row)
        else:
            self._refused = row.process_key
            self._draw_around()

    def _redraw(self) -> None:
        self._list.redraw()
        self._draw_around()

    # What is known of the selected process

    def _draw_around(self) -> None:
        self._details.set_lines(self._detail_lines(self._details.size.width))
        what = "Python only" if self._pane.everything else "all"
        whose = "all users" if self._pane.user else "mine"
        shown = self._shown
        keys = (
            (shown["pane.zoom"], "profile"), (shown["row.filter"], "filter"),
            (shown["row.sort"], "sort"), ("a", what), ("u", whose), ("c", "check"),
            (shown["app.back"], "leave"),
        )  # fmt: skip
        line: Line = tuple(
            span
            for key, label in keys
            for span in ((f" {key}", "key"), (f" {label} ", "key-label"))
        )
        self._keys.set_lines([line])

    def _detail_lines(self, width: int) -> list[Line]:
        row = self._selected
        if row is None or not width:
            return []
        ascii_only = self._glyphs.chart == "ascii"
        whole = row.command if row.process is None else row.process.command
        first: Line = ((f" {printable(whole, ascii_only)}", "text"),)
        return [first, self._facts(row, ascii_only), *self._allowed(row, width, ascii_only)]

    def _facts(self, row: Candidate, ascii_only: bool) -> Line:
        subject = self._checks.subject(row.process_key)
        inside = 0 if subject is None else subject.namespace_pid
        facts = [f"pid {row.pid}{f' ({inside} in its own namespace)' if inside else ''}"]
        if not row.pid:
            facts = []
        facts.append(f"user {row.user}" if row.user else "")
        facts.append(f"service {row.service}" if row.service else "")
        place = self._pane.container(row)
        if row.feed is not None:
            facts.append(f"host {place}")
        elif subject is not None and subject.container:
            kind = "container" if subject.contained else "unit"
            facts.append(f"{kind} {subject.container}")
        if row.process is not None:
            threads = row.process.threads
            facts.append(f"{threads} thread{'' if threads == 1 else 's'}")
        separator = f" {self._glyphs.separator} "
        text = separator.join(printable(fact, ascii_only) for fact in facts if fact)
        return ((f" {text}", "muted"),)

    def _allowed(self, row: Candidate, width: int, ascii_only: bool) -> list[Line]:
        glyphs = self._glyphs
        if row.feed is not None:
            text = "it profiles itself: its own profile is shown, nothing is attached"
            return [((f" {glyphs.bullet} {text}", "ok"),)]
        found = self._pane.verdict(row)
        checked = self._checks.checked(row.process_key)
        if self._checks.is_trying(row.process_key):
            return [((f" {glyphs.half} checking whether it may be read", "accent"),)]
        if found is None:
            return [((f" {glyphs.hollow} not read yet", "absent"),)]
        if found.problem is None:
            return [self._permitted(checked is not None, row)]
        mark, style = (glyphs.warning if found.permitted else glyphs.cross), "warning"
        words = found.problem.reason
        if self._refused == row.process_key:
            words += ": enter again tries to profile it all the same"
        elif checked is None and not found.permitted:
            words += " (estimated: c tries it)"
        lines: list[Line] = []
        for index, part in enumerate(wrap(printable(words, ascii_only), max(8, width - 4))):
            lines.append(((f" {mark if index == 0 else ' '} {part}", style),))
        lead: Span = ("   fix: ", "muted")
        fix = printable(found.problem.fix, ascii_only)
        for part in wrap(fix, max(8, width - cell_width(lead[0]) - 1)) if fix else []:
            lines.append((lead, (part, "accent")))
            lead = (" " * len(lead[0]), "muted")
        return lines

    def _permitted(self, sure: bool, row: Candidate) -> Line:
        if not sure:
            text = "may be profiled, by the rules of the kernel"
            return ((f" {self._glyphs.hollow} {text}", "ok"),)
        checked = self._checks.checked(row.process_key)
        python = "" if checked is None or not checked.python else f": Python {checked.python}"
        return ((f" {self._glyphs.bullet} may be profiled{python}, checked", "ok"),)
