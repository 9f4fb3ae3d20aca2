"""The dialog that deletes keys by pattern: estimate, count, typed confirmation, progress, undo."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from perftui.format import moment
from perftui.text import printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.jobs import Job
from perftui.tui.lines import Line
from perftui.tui.screens import invalidate_lines as lines
from perftui.tui.screens.form_screen import FormScreen
from perftui.tui.widgets.choice_line import ChoiceLine
from perftui.tui.widgets.line_widget import LineWidget

if TYPE_CHECKING:
    from perftui.cache.invalidation import Estimate
    from perftui.cache.undo import UndoResult
    from perftui.tui.invalidation_jobs import (
        Counting,
        Deletion,
        InvalidationJobs,
        Outcome,
        Preparation,
    )

SETTLE = 0.3
"""Seconds of no typing before an estimate is asked for."""
POLL = 0.1
KEPT, NOT_KEPT = 0, 1


class Stage(enum.Enum):
    """Where the dialog is."""

    PATTERN = "pattern"
    COUNTING = "counting"
    CONFIRM = "confirm"
    RUNNING = "running"
    DONE = "done"


class InvalidateScreen(FormScreen):
    """Leads from a pattern to deleted keys; escape goes one step back or cancels.

    `pattern` is what the dialog begins with.
    """

    CSS = """
    InvalidateScreen > Vertical { height: 22; max-width: 100; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "undo", show=False, id="cache.undo"),
    ]

    def __init__(
        self,
        jobs: InvalidationJobs,
        glyphs: Glyphs,
        pattern: str = "",
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(glyphs)
        self._jobs = jobs
        self._wall = wall
        self.stage = Stage.PATTERN
        self._pattern = pattern
        self._seen = pattern
        self._typed_at = 0.0
        self._asked_at = 0.0
        self._estimated = ""
        self._estimating: Job[Estimate] | None = None
        self._found: Estimate | None = None
        self._counting: Counting | None = None
        self._known: Preparation | None = None
        self._deletion: Deletion | None = None
        self._undone: UndoResult | None = None
        self._cancelled = False
        self._problem = ""
        self._question = LineWidget("invalidate-question")
        self._input = Input(placeholder="user:*", compact=True)
        self._pace = ChoiceLine("invalidate-pace", "Pace     ", ["normal", "gentle"])
        self._keep = ChoiceLine(
            "invalidate-keep", "Undo     ", ["keep the keys for 10 minutes", "keep nothing"]
        )
        self._body = LineWidget("invalidate-body")
        self._body.add_class("form-body")

    def compose(self) -> ComposeResult:
        """Yield question, fields and body."""
        with Vertical() as box:
            # A string would be taken for markup.
            box.border_title = Text(
                f"Invalidate keys in {printable(self._jobs.address, self.ascii_only)}"
            )
            yield self._question
            yield self._input
            yield self._pace
            yield self._keep
            yield self._body

    def on_mount(self) -> None:
        """Begin with the pattern."""
        self._input.cursor_blink = False
        self._to(Stage.PATTERN)
        self.set_interval(POLL, self._poll)
        self.call_after_refresh(self.draw)

    def on_unmount(self) -> None:
        """End a count that nobody waits for any more."""
        if self._counting is not None:
            self._counting.job.cancel()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Ask for an estimate once the typing pauses."""
        event.stop()
        if self.stage is Stage.PATTERN and event.value != self._pattern:
            self._pattern = event.value
            self._typed_at = time.monotonic()
            self._found = None
        # What was filled in by a change of stage was not typed.
        if event.value != self._seen:
            self._seen = event.value
            self._problem = ""
        self.draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take enter in the line for enter anywhere."""
        event.stop()
        self.action_apply()

    def on_choice_line_chosen(self, event: ChoiceLine.Chosen) -> None:
        """Change the pace of what is under way."""
        event.stop()
        run = {Stage.COUNTING: self._counting, Stage.RUNNING: self._deletion}.get(self.stage)
        if run is not None:
            run.run.set_pace(self._chosen_pace)
        self.draw()

    def action_apply(self) -> None:
        """Go one step on."""
        if self.stage is Stage.PATTERN:
            self._begin_count()
        elif self.stage is Stage.COUNTING:
            self._skip_count()
        elif self.stage is Stage.CONFIRM:
            self._begin_deletion(self._input.value.strip())
        elif self.stage is Stage.DONE:
            self.dismiss()
        self.draw()

    def action_leave(self) -> None:
        """Go one step back, cancel the deletion, or leave; once more does not wait for Redis."""
        if self.stage is Stage.RUNNING and self._deletion is not None and not self._cancelled:
            self._cancelled = True
            self._deletion.job.cancel()
        elif self.stage in (Stage.COUNTING, Stage.CONFIRM):
            self._stop_count()
            self._to(Stage.PATTERN)
        else:
            self.dismiss()
        self.draw()

    def action_undo(self) -> None:
        """Put back what has just been deleted."""
        outcome = self._outcome
        if outcome is None or outcome.result.kept is None or self._is_undone:
            return
        from perftui.tui.screens.undo import UndoScreen

        self.app.push_screen(
            UndoScreen(
                self._jobs.undo, self._glyphs, outcome.result.kept.id, self._wall, self._take_undone
            )
        )

    # From one stage to the next

    def _to(self, stage: Stage) -> None:
        """Enter a stage with the fields that it has."""
        self.stage = stage
        self._problem = ""
        self._input.display = stage in (Stage.PATTERN, Stage.CONFIRM)
        self._pace.display = stage is not Stage.DONE
        self._keep.display = stage is Stage.CONFIRM
        if stage is Stage.PATTERN:
            self._input.placeholder = "user:*"
            self._input.value = self._seen = self._pattern
            self._input.cursor_position = len(self._pattern)
        elif stage is Stage.CONFIRM:
            self._input.placeholder = ""
            self._input.value = self._seen = ""
        if self._input.display:
            self._input.focus()
        elif self._pace.display:
            self._pace.focus()
        else:
            self.set_focus(None)
        # Fields that come or go change the room of the body.
        self.call_after_refresh(self.draw)

    def _begin_count(self) -> None:
        if self._found is None:
            self._problem = ""
            self._typed_at = 0.0
        elif self._found.matched == 0 and self._found.exact:
            self._problem = "nothing matches, so there is nothing to delete"
        else:
            self._prepare(count=True)
            self._to(Stage.COUNTING)

    def _skip_count(self) -> None:
        if self._found is not None and not self._found.exact:
            self._stop_count()
            self._prepare(count=False)

    def _prepare(self, *, count: bool) -> None:
        assert self._found is not None
        self._known = None
        self._counting = self._jobs.prepare(
            self._pattern, self._found, self._chosen_pace, count=count
        )

    def _stop_count(self) -> None:
        if self._counting is not None:
            self._counting.job.cancel()
            self._counting = None

    def _begin_deletion(self, typed: str) -> None:
        assert self._known is not None
        word = self._known.word
        if typed != word:
            self._problem = f"that is not {word}: nothing was deleted"
            return
        self._deletion = self._jobs.delete(
            self._pattern, self._chosen_pace, keep=self._keep.index == KEPT
        )
        self._to(Stage.RUNNING)

    def _take_undone(self, result: UndoResult) -> None:
        self._undone = result
        self.draw()

    # What the jobs say

    def _poll(self) -> None:
        changed = self._poll_estimate()
        if self.stage is Stage.COUNTING and self._counting is not None:
            changed = True
            if self._counting.job.done:
                self._take_preparation(self._counting.job)
        elif self.stage is Stage.RUNNING and self._deletion is not None:
            changed = True
            if self._deletion.job.done:
                self._to(Stage.DONE)
        if changed:
            self.draw()

    def _poll_estimate(self) -> bool:
        if self.stage is not Stage.PATTERN:
            return False
        job = self._estimating
        if job is not None:
            if job.done:
                self._estimating = None
                if self._estimated == self._pattern:
                    self._found = job.result
                    self._problem = job.error
            return True
        settled = time.monotonic() - self._typed_at > SETTLE
        if self._pattern and self._found is None and not self._problem and settled:
            self._estimated = self._pattern
            self._asked_at = time.monotonic()
            try:
                self._estimating = self._jobs.estimate(self._pattern)
            except ValueError as error:
                self._problem = str(error)
            return True
        return False

    def _take_preparation(self, job: Job[Preparation]) -> None:
        self._counting = None
        known, problem = job.result, job.error
        if known is not None and known.refused:
            problem = known.refused
        elif known is not None and known.found.exact and not known.found.matched:
            problem = "nothing matches any more, so there is nothing to delete"
        elif known is not None:
            self._known = known
            self._to(Stage.CONFIRM)
            return
        self._to(Stage.PATTERN)
        # Another look at Redis comes before another try.
        self._found = None
        self._problem = problem

    # What is drawn

    @property
    def _chosen_pace(self) -> Literal["normal", "gentle"]:
        return "gentle" if self._pace.index else "normal"

    @property
    def _outcome(self) -> Outcome | None:
        done = self.stage is Stage.DONE and self._deletion is not None
        return self._deletion.job.result if done and self._deletion is not None else None

    @property
    def _is_undone(self) -> bool:
        return self._undone is not None and self._undone.complete

    def draw(self) -> None:
        """Draw the question, the fields and what is known in this stage."""
        size = self._body.size
        if not size.width:
            return
        self._question.set_lines([self._question_line()])
        self._pace.draw()
        self._keep.draw()
        room = lines.Room(size.width, size.height - 1, self._glyphs)
        self._body.set_lines([(), *self._lines(room)])

    def _question_line(self) -> Line:
        if self.stage is Stage.COUNTING and self._found is not None:
            return (("Looking" if self._found.exact else "Counting exactly", "title"),)
        if self.stage is Stage.CONFIRM and self._known is not None:
            word = printable(self._known.word, self.ascii_only)
            return (("Type ", "text"), (word, "critical"), (" and press enter to delete:", "text"))
        if self.stage is Stage.RUNNING and self._cancelled:
            # The job is over at once, but its entry in the audit stream may keep it waiting.
            return (("Cancelled. Redis has still to answer; escape does not wait.", "warning"),)
        if self.stage is Stage.RUNNING:
            return (("Deleting. left right changes the pace, escape cancels.", "warning"),)
        if self.stage is Stage.DONE:
            return self._ending()
        return (("Pattern (Redis glob: * ? [a-z], \\xNN is a byte):", "text"),)

    def _ending(self) -> Line:
        outcome = self._outcome
        if outcome is None or not outcome.undo_until or self._is_undone:
            return (("enter or escape closes", "muted"),)
        return ((self.key_of("undo"), "accent"), (" undoes it, enter or escape closes", "muted"))

    def _lines(self, room: lines.Room) -> list[Line]:
        keep = self._keep.index == KEPT
        if self.stage is Stage.COUNTING and self._counting is not None:
            assert self._found is not None
            return lines.counting_lines(
                self._pattern, self._found.exact, self._counting.latest, room
            )
        if self.stage is Stage.CONFIRM and self._known is not None:
            return lines.confirm_lines(
                self._pattern, self._known, keep, self._jobs.who, self._problem, room
            )
        if self.stage is Stage.RUNNING and self._deletion is not None:
            gentle = self._chosen_pace == "gentle"
            return lines.running_lines(self._deletion.latest, gentle, self._cancelled, room)
        if self.stage is Stage.DONE and self._deletion is not None:
            outcome = self._outcome
            if outcome is None:
                return room.sentence(self._deletion.job.error, "critical")
            until = moment(outcome.undo_until, self._wall()) if outcome.undo_until else ""
            return lines.done_lines(outcome, self._undone, keep, until, self._jobs.who, room)
        waiting = time.monotonic() - self._asked_at if self._estimating is not None else 0.0
        return lines.pattern_lines(self._pattern, self._found, waiting, self._problem, room)
