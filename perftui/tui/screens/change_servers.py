"""The dialog that changes servers: who, what follows, why, and what came of it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from perftui.pool_changes import WARNING, Change, Outcome, forecast, leaves_none, weight_of, who
from perftui.snapshot import Pool, PoolServer, Snapshot
from perftui.text import fit, printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line
from perftui.tui.screens.form_screen import FormScreen, wrapped
from perftui.tui.server_marks import ServerKey
from perftui.tui.widgets.line_widget import LineWidget
from perftui.tui.widgets.weight_input import WeightInput

if TYPE_CHECKING:
    from perftui.tui.jobs import Job
    from perftui.tui.server_jobs import Answers, Carry

POLL = 0.1
MOST_LISTED = 8
"""Servers that are named one by one."""

TITLES = {"drain": "Drain", "maint": "Maintenance of", "ready": "Make ready:", "": "Weight of"}
BACK = {
    "drain": "e makes it ready again",
    "maint": "e makes it ready again",
    "ready": "",
    "": "= gives it its own weight again",
}


class Stage(enum.Enum):
    """Where the dialog is."""

    ASK = "ask"
    RUNNING = "running"
    DONE = "done"


class ChangeServersScreen(FormScreen):
    """Shows now and then of every server and what follows; enter does it, escape leaves.

    `state` is drain, maint or ready, or empty for a change of the weight, which begins as `weight`:
    a number, +N, -N or own. When no server would be left, the name of the pool has to be typed.
    `done` is told what was done in a clause, the reason, and whether all of it was done.
    """

    CSS = "ChangeServersScreen > Vertical { height: 18; max-width: 100; }"

    def __init__(
        self,
        carry_out: Carry,
        glyphs: Glyphs,
        snapshot: Snapshot,
        servers: Sequence[ServerKey],
        *,
        state: str,
        weight: str,
        reason: str,
        done: Callable[[str, str, bool], None],
    ) -> None:
        super().__init__(glyphs)
        self._carry_out = carry_out
        self._snapshot = snapshot
        self._servers = tuple(servers)
        self._state = state
        self._done = done
        self.stage = Stage.ASK
        self._problem = ""
        self._job: Job[Answers] | None = None
        self._weight = WeightInput(weight, compact=True, select_on_focus=False, id="change-weight")
        self._reason = Input(
            reason, placeholder="why, for those who look later", compact=True, id="change-reason"
        )
        self._confirm = Input(compact=True, id="change-confirm")
        self._labels = {
            name: LineWidget(f"change-label-{name.lower()}")
            for name in ("Weight", "Reason", "Confirm")
        }
        self._wanted = 0
        self._fields = [
            self._field("Weight", self._weight),
            self._field("Reason", self._reason),
            self._field("Confirm", self._confirm),
        ]
        self._body = LineWidget("change-body")
        self._body.add_class("form-body")
        self._hint = LineWidget("change-hint")
        self._box = Vertical()

    def _field(self, label: str, field: Input) -> Horizontal:
        return Horizontal(self._labels[label], field)

    def compose(self) -> ComposeResult:
        """Yield what follows, then the fields."""
        with self._box:
            count = len(self._servers)
            named = self._servers[0].server if count == 1 else f"{count} servers"
            # A string would be taken for markup.
            self._box.border_title = Text(
                f"{TITLES[self._state]} {printable(named, self.ascii_only)}"
            )
            yield self._body
            yield from self._fields
            yield self._hint

    def on_mount(self) -> None:
        """Begin with the field that matters."""
        for field in (self._weight, self._reason, self._confirm):
            field.cursor_blink = False
        self._fields[0].display = not self._state
        (self._reason if self._state else self._weight).focus()
        self.set_interval(POLL, self._poll)
        self.call_after_refresh(self.draw)

    def show(self, snapshot: Snapshot) -> None:
        """Judge by what is so now, while nothing was begun."""
        if self.stage is Stage.ASK:
            self._snapshot = snapshot
            self.draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what follows of what is typed."""
        event.stop()
        self._problem = ""
        self.draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take enter in a field for enter anywhere."""
        event.stop()
        self.action_apply()

    def action_leave(self) -> None:
        """Leave; what is under way goes on and is told of in the footer."""
        if self.stage is Stage.RUNNING:
            self._done("changing servers goes on", self._reason.value.strip(), False)
        self.dismiss()

    def action_apply(self) -> None:
        """Carry the changes out, or leave when they are."""
        if self.stage is Stage.DONE:
            self.dismiss()
        if self.stage is not Stage.ASK:
            return
        try:
            changes = self._changes()
        except ValueError as error:
            self._problem = str(error)
            self.draw()
            return
        word = self._word(changes)
        if word and self._confirm.value.strip() != word:
            self._problem = f"type {word} to go on"
            self._confirm.focus()
        elif not changes:
            self._problem = "none of these servers is there any more"
        else:
            self.stage = Stage.RUNNING
            self._job = self._carry_out([change for _, change in changes])
        self.draw()

    def _poll(self) -> None:
        job = self._job
        if self.stage is not Stage.RUNNING or job is None or not job.done:
            return
        self.stage = Stage.DONE
        for field in self._fields:
            field.display = False
        outcomes = [each for _, some in job.result or () for each in some]
        whole = bool(outcomes) and all(each.ok for each in outcomes)
        self._done(self._told(outcomes, job.error), self._reason.value.strip(), whole)
        if whole:
            self.dismiss()
        else:
            self.set_focus(None)
            self.call_after_refresh(self.draw)

    def _told(self, outcomes: Sequence[Outcome], error: str) -> str:
        good = [each.server for each in outcomes if each.ok]
        if not outcomes:
            return f"nothing was changed: {printable(error)}"
        if not good:
            return f"refused: {printable(outcomes[0].answer)}"
        word = {"drain": "draining", "maint": "in maintenance", "ready": "ready", "": "weight set"}
        named = good[0] if len(good) == 1 else f"{len(good)} of {len(outcomes)} servers"
        back = BACK[self._state]
        told = f"{printable(named, self.ascii_only)}: {word[self._state]}"
        return f"{told}; {back}" if back else told

    # What is asked for

    def _pools(self) -> list[tuple[Pool, tuple[str, ...]]]:
        """Return the pools that are meant, each with those of its servers that are still there."""
        found: list[tuple[Pool, tuple[str, ...]]] = []
        for pool in self._snapshot.all_pools:
            there = {server.id for server in pool.servers}
            names = tuple(
                key.server
                for key in self._servers
                if (key.origin, key.endpoint, key.pool) == (pool.origin, pool.endpoint, pool.name)
                and key.server in there
            )
            if names:
                found.append((pool, names))
        return found

    def _changes(self) -> list[tuple[Pool, Change]]:
        """Return one change for each pool; raises ValueError for a weight that cannot be."""
        changes: list[tuple[Pool, Change]] = []
        for pool, names in self._pools():
            weights = None
            if not self._state:
                known = {server.id: server for server in pool.servers}
                weights = {
                    name: weight_of(self._weight.value, known[name], pool.origin) for name in names
                }
            change = Change(
                pool.name,
                pool.origin,
                pool.endpoint,
                names,
                self._state or None,
                weights,
                self._reason.value.strip(),
                who(),
            )
            changes.append((pool, change))
        return changes

    @staticmethod
    def _word(changes: Sequence[tuple[Pool, Change]]) -> str:
        """Return what has to be typed: the pool that would be left without any server."""
        return next((pool.name for pool, change in changes if leaves_none(pool, change)), "")

    # What is shown

    def draw(self) -> None:
        """Draw what follows, or what came of it."""
        width = self._body.size.width
        if not width:
            return
        if self.stage is Stage.DONE:
            lines = self._outcome_lines(width)
            self._grow(len(lines) + 1)
            self._body.set_lines(lines)
            self._hint.set_lines([(("enter", "key"), (" closes", "text"))])
            return
        try:
            changes = self._changes()
            problem = self._problem
        except ValueError as error:
            changes, problem = [], str(error)
        word = self._word(changes)
        self._fields[2].display = bool(word)
        self._confirm.placeholder = word
        lines = [line for pool, change in changes for line in self._lines(pool, change, width)]
        if not changes and not problem:
            problem = "none of these servers is there any more"
        if problem:
            lines += [(), *wrapped(printable(problem, self.ascii_only), width, "critical")]
        for label, widget in self._labels.items():
            widget.set_lines([((label, "muted"),)])
        self._grow(len(lines) + sum(bool(field.display) for field in self._fields) + 1)
        room = max(1, self._body.size.height)
        # What follows is worth more than the names where there is no room for both.
        self._body.set_lines(lines if len(lines) <= room else lines[-room:])
        if self.stage is Stage.RUNNING:
            self._hint.set_lines([(("changing...", "accent"),)])
        else:
            verb = "does it" if not word else "does it once the name is typed"
            self._hint.set_lines(
                [
                    (
                        ("enter", "key"),
                        (f" {verb}   ", "text"),
                        ("escape", "key"),
                        (" leaves", "text"),
                    )
                ]
            )

    def _grow(self, wanted: int) -> None:
        """Make the box as high as what is in it, with its frame."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._box.styles.height = wanted + 2
            # It is drawn again once the box has its size.
            self.call_after_refresh(self.draw)

    def _lines(self, pool: Pool, change: Change, width: int) -> list[Line]:
        where = f"{pool.origin} {pool.endpoint}".strip()
        lines: list[Line] = [
            (
                ("pool ", "muted"),
                (printable(pool.name, self.ascii_only), "accent"),
                (f"  {printable(where, self.ascii_only)}", "muted"),
            )
        ]
        arrow = "->" if self.ascii_only or self._glyphs.poor_font else "→"
        known = {server.id: server for server in pool.servers}
        wide = min(30, max(len(name) for name in change.servers) + 2)
        for name in change.servers[:MOST_LISTED]:
            then = change.state or _weight_words(change, name)
            lines.append(
                (
                    ("  ", "text"),
                    (fit(printable(name, self.ascii_only), wide), "text"),
                    (_now(known[name]), "muted"),
                    (f" {arrow} {then}", "accent"),
                )
            )
        if len(change.servers) > MOST_LISTED:
            lines.append(((f"  and {len(change.servers) - MOST_LISTED} more", "muted"),))
        for told in forecast(pool, change):
            warns = told.startswith(WARNING)
            text = printable(told.removeprefix(WARNING), self.ascii_only)
            lines += wrapped(
                f"{'! ' if warns else ''}{text}", width, "warning" if warns else "text"
            )
        return lines

    def _outcome_lines(self, width: int) -> list[Line]:
        job = self._job
        assert job is not None
        if job.result is None:
            return wrapped(printable(job.error, self.ascii_only), width, "critical")
        lines: list[Line] = []
        for _, outcomes in job.result:
            for each in outcomes:
                name = printable(each.server, self.ascii_only)
                if each.ok:
                    lines.append(((f"{name}: ", "text"), ("done", "ok")))
                else:
                    answer = printable(each.answer, self.ascii_only)
                    lines += wrapped(f"{name}: {answer}", width, "critical")
        return lines


def _now(server: PoolServer) -> str:
    state = "overloaded" if server.overloaded and server.state == "ready" else server.state
    return f"{state}, weight {server.weight}"


def _weight_words(change: Change, name: str) -> str:
    weight = (change.weights or {}).get(name, 0)
    return "its own weight" if weight < 0 else f"weight {weight}"
