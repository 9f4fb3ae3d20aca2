"""The dialog that deletes keys by pattern: estimate, samples, typed confirmation, progress."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from perftui.text import printable
from perftui.tui.charts import bar
from perftui.tui.glyphs import Glyphs
from perftui.tui.jobs import Job
from perftui.tui.lines import Line, wrap
from perftui.tui.widgets.line_widget import LineWidget

if TYPE_CHECKING:
    from perftui.cache.invalidation import Estimate, InvalidationResult
    from perftui.tui.invalidation_jobs import Deletion, InvalidationJobs

SETTLE = 0.3
"""Seconds of no typing before an estimate is asked for."""
POLL = 0.1


class Stage(enum.Enum):
    """Where the dialog is."""

    PATTERN = "pattern"
    CONFIRM = "confirm"
    RUNNING = "running"
    DONE = "done"


class InvalidateScreen(ModalScreen[None]):
    """Leads from a pattern to deleted keys; escape goes one step back or cancels."""

    CSS = """
    InvalidateScreen { align: center middle; }
    InvalidateScreen > Vertical {
        width: 90%; max-width: 100; height: 20; max-height: 90%;
        background: $background; border: round $accent; padding: 0 1;
        border-title-color: $accent;
    }
    InvalidateScreen Input { border: none; height: 1; padding: 0; margin: 0 0 1 0; }
    InvalidateScreen Input:focus { border: none; }
    InvalidateScreen LineWidget { width: 1fr; height: 1fr; }
    InvalidateScreen #question { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "step_back", show=False, priority=True)
    ]

    def __init__(self, jobs: InvalidationJobs, glyphs: Glyphs) -> None:
        super().__init__()
        self._jobs = jobs
        self._glyphs = glyphs
        self.stage = Stage.PATTERN
        self._pattern = ""
        self._typed_at = 0.0
        self._estimated = ""
        self._estimating: Job[Estimate] | None = None
        self._found: Estimate | None = None
        self._deletion: Deletion | None = None
        self._cancelled = False
        self._problem = ""
        self._question = LineWidget("question")
        self._body = LineWidget("body")
        self._input = Input(placeholder="user:*", compact=True)

    def compose(self) -> ComposeResult:
        """Yield question, input and body."""
        with Vertical() as box:
            box.border_title = f"Invalidate keys in {printable(self._jobs.address)}"
            yield self._question
            yield self._input
            yield self._body

    def on_mount(self) -> None:
        """Start with an empty pattern."""
        self._input.cursor_blink = False
        self._input.focus()
        self.set_interval(POLL, self._poll)
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Ask for an estimate once the typing pauses."""
        event.stop()
        if self.stage is Stage.PATTERN:
            self._pattern = event.value
            self._typed_at = time.monotonic()
            self._found = None
            self._problem = ""
        else:
            self._problem = ""
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go one step on."""
        event.stop()
        if self.stage is Stage.PATTERN:
            self._to_confirmation()
        elif self.stage is Stage.CONFIRM:
            self._to_deletion(event.value.strip())
        elif self.stage is Stage.DONE:
            self.dismiss()
        self._draw()

    def action_step_back(self) -> None:
        """Leave, go back to the pattern, or cancel the deletion; once more does not wait for it."""
        if self.stage is Stage.RUNNING and self._deletion is not None and not self._cancelled:
            self._cancelled = True
            self._deletion.job.cancel()
        elif self.stage is Stage.CONFIRM:
            self.stage = Stage.PATTERN
            self._input.value = self._pattern
        else:
            self.dismiss()
        self._draw()

    def _to_confirmation(self) -> None:
        if self._found is None:
            self._typed_at = 0.0
        elif self._found.matched == 0 and self._found.exact:
            self._problem = "nothing matches, so there is nothing to delete"
        else:
            self.stage = Stage.CONFIRM
            self._input.placeholder = ""
            self._input.value = ""

    def _to_deletion(self, typed: str) -> None:
        assert self._found is not None
        word = self._jobs.confirmation(self._pattern, self._found)
        if typed != word:
            self._problem = f"that is not {word}: nothing was deleted"
            return
        self._deletion = self._jobs.delete(self._pattern)
        self._input.disabled = True
        self.stage = Stage.RUNNING

    def _poll(self) -> None:
        changed = self._poll_estimate()
        deletion = self._deletion
        if self.stage is Stage.RUNNING and deletion is not None:
            changed = True
            if deletion.job.done:
                self.stage = Stage.DONE
                self._input.disabled = False
                self._input.value = ""
                self._input.focus()
        if changed:
            self._draw()

    def _poll_estimate(self) -> bool:
        if self.stage is not Stage.PATTERN:
            return False
        job = self._estimating
        if job is not None and job.done:
            self._estimating = None
            if self._estimated == self._pattern:
                self._found = job.result
                self._problem = job.error
            return True
        settled = time.monotonic() - self._typed_at > SETTLE
        if self._pattern and job is None and self._found is None and not self._problem and settled:
            self._estimated = self._pattern
            try:
                self._estimating = self._jobs.estimate(self._pattern)
            except ValueError as error:
                self._problem = str(error)
            return True
        return False

    # What is drawn

    def _draw(self) -> None:
        width = self._body.size.width
        if not width:
            return
        self._question.set_lines([self._question_line()])
        body = {
            Stage.PATTERN: self._pattern_lines,
            Stage.CONFIRM: self._confirm_lines,
            Stage.RUNNING: self._running_lines,
            Stage.DONE: self._done_lines,
        }[self.stage]
        self._body.set_lines(body(width))

    def _question_line(self) -> Line:
        if self.stage is Stage.CONFIRM and self._found is not None:
            word = self._jobs.confirmation(self._pattern, self._found)
            return (("Type ", "text"), (word, "critical"), (" and press enter to delete:", "text"))
        if self.stage is Stage.RUNNING and self._cancelled:
            # The job is over at once, but its entry in the audit stream may keep it waiting.
            return (("Cancelled. Redis has still to answer; escape does not wait.", "warning"),)
        if self.stage is Stage.RUNNING:
            return (("Deleting. escape cancels.", "warning"),)
        if self.stage is Stage.DONE:
            return (("enter or escape closes", "muted"),)
        return (("Pattern (Redis glob: * ? [a-z], \\xNN is a byte):", "text"),)

    def _problem_lines(self, width: int) -> list[Line]:
        text = printable(self._problem, self._ascii)
        return [((part, "critical"),) for part in wrap(text, width)] if text else []

    @property
    def _ascii(self) -> bool:
        return self._glyphs.chart == "ascii"

    def _pattern_lines(self, width: int) -> list[Line]:
        if self._problem:
            return self._problem_lines(width)
        if not self._pattern:
            return [(("escape leaves without a change", "muted"),)]
        if self._found is None:
            return [(("estimating", "muted"),)]
        return [*self._found_lines(self._found), (), *self._sample_lines(self._found, width),
                (("enter goes on, escape leaves", "muted"),)]  # fmt: skip

    def _found_lines(self, found: Estimate) -> list[Line]:
        about = "" if found.exact else "about "
        return [
            (
                (about, "text"),
                (f"{found.matched:,}", "warning" if found.matched else "ok"),
                (f" of {found.dbsize:,} keys match", "text"),
                (f" ({found.scanned:,} seen in {found.seconds * 1000:.0f} ms)", "muted"),
            )
        ]

    def _sample_lines(self, found: Estimate, width: int) -> list[Line]:
        room = max(1, self._body.size.height - 4)
        lines: list[Line] = []
        for key in found.samples[:room]:
            text = printable(key.decode("utf-8", "backslashreplace"), self._ascii)
            lines.append((("  ", "text"), (text, "accent")))
        hidden = found.matched - min(len(found.samples), room)
        if hidden > 0 and lines:
            lines.append(((f"  and {hidden:,} more", "muted"),))
        return lines

    def _confirm_lines(self, width: int) -> list[Line]:
        assert self._found is not None
        lines: list[Line] = [
            (("pattern ", "muted"), (printable(self._pattern, self._ascii), "accent")),
            *self._found_lines(self._found),
            (("They cannot be brought back; services load them again from their source.", "text"),),
            (("Written to the stream perftui:audit with your name.", "muted"),),
            (),
        ]
        return [*lines, *self._problem_lines(width), (("escape goes back", "muted"),)]

    def _running_lines(self, width: int) -> list[Line]:
        deletion = self._deletion
        progress = deletion.latest.progress if deletion is not None else None
        if progress is None:
            return [(("starting", "muted"),)]
        share = 100.0 * progress.scanned / progress.total if progress.total else 0.0
        speed = progress.scanned / progress.seconds if progress.seconds > 0 else 0.0
        return [
            bar(min(100.0, share), min(60, width), self._glyphs, "bar"),
            (
                (f"{progress.deleted:,}", "warning"),
                (" deleted", "text"),
                (f", {progress.scanned:,} of about {progress.total:,} seen", "muted"),
            ),
            ((f"{speed:,.0f} keys/s, {progress.page} at a time", "muted"),),
        ]

    def _done_lines(self, width: int) -> list[Line]:
        assert self._deletion is not None
        self._problem = self._deletion.job.error
        result = self._deletion.job.result
        if result is None:
            return self._problem_lines(width)
        return [*_result_lines(result), *self._error_lines(result, width)]

    def _error_lines(self, result: InvalidationResult, width: int) -> list[Line]:
        problems = [result.error]
        if result.audit_error:
            problems.append(f"not written to the audit stream: {result.audit_error}")
        return [
            ((part, "critical"),)
            for problem in problems
            if problem
            for part in wrap(printable(problem, self._ascii), width)
        ]


def _result_lines(result: InvalidationResult) -> list[Line]:
    if result.cancelled:
        word, style = "cancelled", "warning"
    elif result.complete:
        word, style = "complete", "ok"
    else:
        word, style = "stopped early", "critical"
    lines: list[Line] = [
        (
            (word, style),
            (f": {result.deleted:,} keys deleted in {result.seconds:.2f} s", "text"),
        )
    ]
    if result.denied:
        lines.append(((f"{result.denied:,} keys were denied by the ACL of this user", "warning"),))
    if result.unanswered:
        text = f"{result.unanswered:,} keys were sent for deletion and never answered for"
        lines.append(((text, "warning"),))
    if result.protected:
        text = f"{result.protected:,} keys of perftui itself matched and were kept"
        lines.append(((text, "muted"),))
    return lines
