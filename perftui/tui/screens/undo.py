"""The dialog that puts deleted keys back: which deletion, typed confirmation, progress, result."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from perftui.text import printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line
from perftui.tui.screens import undo_lines as lines
from perftui.tui.screens.form_screen import FormScreen
from perftui.tui.screens.invalidate_lines import Room
from perftui.tui.screens.undo_list import UndoList
from perftui.tui.widgets.line_widget import LineWidget

if TYPE_CHECKING:
    from perftui.cache.undo import UndoResult
    from perftui.tui.undo_jobs import Kept, KeptDeletion, Listing, Undoing, UndoJobs

POLL = 0.1
LISTED_EVERY = 2.0
"""Seconds between two looks at the journals, which come and go."""


class Stage(enum.Enum):
    """Where the dialog is."""

    LIST = "list"
    CONFIRM = "confirm"
    RUNNING = "running"
    DONE = "done"


class UndoScreen(FormScreen):
    """Leads from the deletions of the last ten minutes to keys that are back.

    Escape goes one step back or cancels. With `journal_id` it begins with that deletion. `took` is
    called with what an undo did.
    """

    CSS = """
    UndoScreen > Vertical { height: 22; max-width: 100; }
    UndoScreen UndoList { height: 6; }
    """

    def __init__(
        self,
        jobs: UndoJobs,
        glyphs: Glyphs,
        journal_id: str = "",
        wall: Callable[[], float] = time.time,
        took: Callable[[UndoResult], None] = lambda result: None,
    ) -> None:
        super().__init__(glyphs)
        self._jobs = jobs
        self._wanted = journal_id
        self._wall = wall
        self._took = took
        self.stage = Stage.LIST
        self._listing: Listing | None = None
        self._listed_at = 0.0
        self._found: Kept | None = None
        self._chosen: KeptDeletion | None = None
        self._undoing: Undoing | None = None
        self._cancelled = False
        self._problem = ""
        self._seen = ""
        self._question = LineWidget("undo-question")
        self._input = Input(compact=True)
        self._list = UndoList(glyphs)
        self._body = LineWidget("undo-body")
        self._body.add_class("form-body")

    def compose(self) -> ComposeResult:
        """Yield question, list, line for the confirmation, and body."""
        with Vertical() as box:
            # A string would be taken for markup.
            box.border_title = Text(
                f"Undo deletions in {printable(self._jobs.address, self.ascii_only)}"
            )
            yield self._question
            yield self._list
            yield self._input
            yield self._body

    def on_mount(self) -> None:
        """Begin with the list."""
        self._input.cursor_blink = False
        self._to(Stage.LIST)
        self._list_anew()
        self.set_interval(POLL, self._poll)
        self.call_after_refresh(self.draw)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Forget what was said of a wrong word."""
        event.stop()
        if event.value != self._seen:
            self._seen = event.value
            self._problem = ""
        self.draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take enter in the line for enter anywhere."""
        event.stop()
        self.action_apply()

    def on_undo_list_moved(self, message: UndoList.Moved) -> None:
        """Tell about the deletion that is selected now."""
        message.stop()
        self._problem = ""
        self.draw()

    def action_apply(self) -> None:
        """Go one step on."""
        if self.stage is Stage.LIST:
            self._choose(self._list.selected)
        elif self.stage is Stage.CONFIRM:
            self._begin(self._input.value.strip())
        elif self.stage is Stage.DONE:
            self.dismiss()
        self.draw()

    def action_leave(self) -> None:
        """Go one step back, cancel, or leave; once more does not wait for Redis."""
        if self.stage is Stage.RUNNING and self._undoing is not None and not self._cancelled:
            self._cancelled = True
            self._undoing.job.cancel()
        elif self.stage is Stage.CONFIRM:
            self._to(Stage.LIST)
        else:
            self.dismiss()
        self.draw()

    # From one stage to the next

    def _to(self, stage: Stage) -> None:
        """Enter a stage with the fields that it has."""
        self.stage = stage
        self._problem = ""
        self._list.display = stage is Stage.LIST
        self._input.display = stage is Stage.CONFIRM
        if stage is Stage.LIST:
            self._list.focus()
        elif stage is Stage.CONFIRM:
            self._input.value = self._seen = ""
            self._input.focus()
        else:
            self.set_focus(None)
        # Fields that come or go change the room of the body.
        self.call_after_refresh(self.draw)

    def _choose(self, one: KeptDeletion | None) -> None:
        if one is None or one.refused:
            self._problem = "" if one is None else one.refused
            return
        self._chosen = one
        self._to(Stage.CONFIRM)

    def _begin(self, typed: str) -> None:
        assert self._chosen is not None
        if typed != str(self._chosen.keys):
            self._problem = f"that is not {self._chosen.keys}: nothing was put back"
            return
        self._undoing = self._jobs.undo(self._chosen)
        self._to(Stage.RUNNING)

    # What the jobs say

    def _list_anew(self) -> None:
        self._listed_at = time.monotonic()
        self._listing = self._jobs.listing()

    def _poll(self) -> None:
        if self.stage is Stage.LIST:
            self._poll_listing()
            self.draw()
        elif self.stage is Stage.RUNNING and self._undoing is not None:
            job = self._undoing.job
            if job.done:
                self._to(Stage.DONE)
                if job.result is not None:
                    self._took(job.result)
            self.draw()

    def _poll_listing(self) -> None:
        listing = self._listing
        if listing is None:
            if time.monotonic() - self._listed_at > LISTED_EVERY:
                self._list_anew()
            return
        if listing.job.done:
            self._listing = None
            found = listing.job.result
            self._problem = listing.job.error or self._problem
        elif self._found is None:
            # What the server says to them is still to come, but what they are is known.
            found = listing.latest.newest
        else:
            return
        if found is not None:
            self._take(found)

    def _take(self, found: Kept) -> None:
        self._found = found
        wanted, known = self._wanted, {one.id: one for one in found}
        self._list.take(found, wanted)
        if not wanted:
            return
        if wanted not in known:
            self._wanted = ""
            self._problem = "that deletion can be undone no longer"
        elif not known[wanted].refused or self._listing is None:
            self._wanted = ""
            self._choose(known[wanted])

    # What is drawn

    def draw(self) -> None:
        """Draw the question, the list and what is known in this stage."""
        size = self._body.size
        if not size.width:
            return
        self._question.set_lines([self._question_line()])
        self._list.draw(self._wall())
        self._body.set_lines([(), *self._lines(Room(size.width, size.height - 1, self._glyphs))])

    def _question_line(self) -> Line:
        if self.stage is Stage.CONFIRM and self._chosen is not None:
            word = str(self._chosen.keys)
            return (
                ("Type ", "text"),
                (word, "critical"),
                (" and press enter to put back:", "text"),
            )
        if self.stage is Stage.RUNNING and self._cancelled:
            # The job is over at once, but its entry in the audit stream may keep it waiting.
            return (("Cancelled. Redis has still to answer; escape does not wait.", "warning"),)
        if self.stage is Stage.RUNNING:
            return (("Putting back. escape cancels.", "warning"),)
        if self.stage is Stage.DONE:
            return (("enter or escape closes", "muted"),)
        return (("Deletions of the last 10 minutes that kept their keys:", "text"),)

    def _lines(self, room: Room) -> list[Line]:
        now = self._wall()
        if self.stage is Stage.CONFIRM and self._chosen is not None:
            return lines.confirm_lines(self._chosen, now, self._problem, room)
        if self._undoing is not None and self._chosen is not None:
            if self.stage is Stage.RUNNING:
                return lines.running_lines(self._chosen, self._undoing.latest, room)
            result = self._undoing.job.result
            if self.stage is Stage.DONE and result is not None:
                return lines.done_lines(result, self._jobs.who, room)
            return room.sentence(self._undoing.job.error, "critical")
        return lines.list_lines(self._found, self._list.selected, now, self._problem, room)
