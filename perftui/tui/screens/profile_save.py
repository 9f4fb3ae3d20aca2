"""The dialog that saves the profile: collapsed stacks, speedscope, or a flame graph by py-spy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from perftui.monitor import Monitor
from perftui.profile_files import (
    Form,
    UnwritableError,
    check_writable,
    data_of,
    default_name,
    write_whole,
)
from perftui.snapshot import NOT_LOOKED_AT, Absent, Snapshot, TopCalls
from perftui.text import printable
from perftui.tui.charts import bar
from perftui.tui.flame_drawing import FlameDrawing, FlameError
from perftui.tui.glyphs import Glyphs
from perftui.tui.jobs import Job
from perftui.tui.lines import Line, wrap
from perftui.tui.screens.snapshot_screen import SnapshotScreen
from perftui.tui.widgets.choice_line import ChoiceLine
from perftui.tui.widgets.line_widget import LineWidget

FORMS: tuple[Form, ...] = ("speedscope", "collapsed", "svg")
LABELS = ("speedscope", "collapsed", "flame graph SVG")
ABOUT = {
    "speedscope": "all stacks by thread, for speedscope.app and editors",
    "collapsed": "a line for each stack, for flame graph tools and diffs",
    "svg": "py-spy samples anew and draws; Top calls rests meanwhile",
}
SECONDS = (5, 10, 30, 60)
POLL = 0.1


class ProfileSaveScreen(SnapshotScreen):
    """Asks for form and path; enter saves, escape leaves or cancels a recording.

    Saved is the profile that was seen when it was opened. If that one has no stacks, because
    nothing had asked for them, it is the next one that has.
    """

    needs_stacks: ClassVar[bool] = True

    CSS = """
    ProfileSaveScreen { align: center middle; }
    ProfileSaveScreen > Vertical {
        width: 92%; max-width: 96; height: 12; max-height: 100%;
        background: $background; border: round $accent; padding: 0 1;
        border-title-color: $accent;
    }
    ProfileSaveScreen Horizontal { height: 1; }
    ProfileSaveScreen Input { border: none; height: 1; padding: 0; width: 1fr; }
    ProfileSaveScreen Input:focus { border: none; }
    ProfileSaveScreen LineWidget { width: 1fr; height: 1; }
    ProfileSaveScreen Horizontal > LineWidget { width: 9; }
    ProfileSaveScreen #save-body { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "leave", show=False, priority=True),
        Binding("enter", "apply", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(
        self,
        calls: TopCalls,
        monitor: Monitor,
        glyphs: Glyphs,
        say: Callable[[str, str], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._calls = calls
        self._monitor = monitor
        self._glyphs = glyphs
        self._say = say
        self._wall = wall
        self._problem = ""
        self._agreed = ""
        self._suggested = ""
        self._target = Path()
        self._writing: Job[None] | None = None
        self._drawing: FlameDrawing | None = None
        self._form = ChoiceLine("save-form", "Form     ", LABELS)
        self._seconds = ChoiceLine("save-seconds", "Seconds  ", [str(s) for s in SECONDS])
        self._seconds.index = SECONDS.index(10)
        self._label = LineWidget("save-path-label")
        self._path = Input(compact=True, id="save-path")
        self._body = LineWidget("save-body")

    def compose(self) -> ComposeResult:
        """Yield the fields and what they mean."""
        with Vertical() as box:
            box.border_title = f"Save the profile of process {self._calls.pid}"
            yield self._form
            yield self._seconds
            yield Horizontal(self._label, self._path)
            yield self._body

    def on_mount(self) -> None:
        """Begin with the form."""
        self._path.cursor_blink = False
        self._suggest()
        self._form.focus()
        self.set_interval(POLL, self._poll)
        self.call_after_refresh(self._draw)

    def show(self, snapshot: Snapshot) -> None:
        """Take the stacks of a snapshot where those of the profile were not asked for before."""
        calls, newest = self._calls, snapshot.top_calls
        if calls.stacks != NOT_LOOKED_AT or not isinstance(newest, TopCalls):
            return
        if (newest.pid, newest.source) != (calls.pid, calls.source) or self._busy:
            return
        if not isinstance(newest.stacks, Absent):
            self._calls = newest
            self._problem = ""
            self._draw()

    def on_unmount(self) -> None:
        """Cancel a recording that nobody waits for any more."""
        if self._drawing is not None:
            self._drawing.job.cancel()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    def on_descendant_focus(self) -> None:
        """Show which field the keys go to."""
        self._draw()

    def on_choice_line_chosen(self, event: ChoiceLine.Chosen) -> None:
        """Suggest a name of the chosen form, unless another one was typed."""
        event.stop()
        self._problem = self._agreed = ""
        self._suggest()
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Forget what was said of the path before."""
        event.stop()
        if event.value != self._agreed:
            self._problem = self._agreed = ""
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take enter in the line for enter anywhere."""
        event.stop()
        self.action_apply()

    def action_leave(self) -> None:
        """Leave without a file; a recording is cancelled."""
        self.dismiss()

    def action_apply(self) -> None:
        """Save as was chosen; a file that exists only when asked a second time."""
        if self._busy:
            return
        typed = self._path.value.strip()
        self._problem = self._objection(typed)
        if not self._problem:
            self._begin(Path(typed).expanduser())
        self._draw()

    @property
    def _busy(self) -> bool:
        return self._writing is not None or self._drawing is not None

    @property
    def _chosen_form(self) -> Form:
        return FORMS[self._form.index]

    def _suggest(self) -> None:
        self._seconds.display = self._chosen_form == "svg"
        if self._path.value in ("", self._suggested):
            self._suggested = default_name(self._calls.pid, self._chosen_form, self._wall())
            self._path.value = self._suggested

    def _objection(self, typed: str) -> str:
        """Return why nothing is saved yet, empty when nothing speaks against it."""
        calls = self._calls
        if not typed:
            return "say where: the name of a file"
        if self._chosen_form != "svg" and isinstance(calls.stacks, Absent):
            if calls.stacks == NOT_LOOKED_AT and calls.source == "py-spy":
                return "its stacks were not asked for before and come within a second: press again"
            return f"this profile has no stacks to save: {calls.stacks.reason}"
        if self._chosen_form == "svg" and calls.source != "py-spy":
            return f"this profile is of {calls.source}: py-spy draws only what it samples itself"
        path = Path(typed)
        try:
            check_writable(path)
        except UnwritableError as error:
            return str(error)
        if path.expanduser().is_file() and self._agreed != typed:
            self._agreed = typed
            return f"{typed} exists: enter again replaces it, another name keeps it"
        return ""

    def _begin(self, path: Path) -> None:
        self._target = path
        form = self._chosen_form
        if form == "svg":
            seconds, calls = SECONDS[self._seconds.index], self._calls
            try:
                self._drawing = FlameDrawing(self._monitor, calls.pid, calls.request, seconds, path)
            except FlameError as error:
                self._problem = str(error)
                return
        else:
            calls = self._calls
            self._writing = Job(lambda: write_whole(path, data_of(calls, form), private=True))
        for field in (self._form, self._seconds, self._path):
            field.disabled = True

    def _poll(self) -> None:
        job = self._writing if self._drawing is None else self._drawing.job
        if job is None:
            return
        if job.done:
            self._writing = self._drawing = None
            self._problem = job.error
            for field in (self._form, self._seconds, self._path):
                field.disabled = False
            if not job.error:
                self._say(f"saved: {printable(str(self._target))}", "accent")
                self.dismiss()
                return
            self._path.focus()
        self._draw()

    # What is drawn

    @property
    def _ascii(self) -> bool:
        return self._glyphs.chart == "ascii"

    def _draw(self) -> None:
        width = self._body.size.width
        if not width:
            return
        self._form.draw()
        self._seconds.draw()
        self._label.set_lines([(("File", "title"),)])
        self._body.set_lines([(), *self._lines(width)])

    def _lines(self, width: int) -> list[Line]:
        if self._drawing is not None:
            return self._progress_lines(self._drawing.sampled)
        if self._writing is not None:
            return [(("writing", "muted"),)]
        lines = _wrapped(ABOUT[self._chosen_form], width, "text")
        if not self._path.value.strip().startswith(("/", "~")):
            lines += _wrapped(printable(f"in {Path.cwd()}", self._ascii), width, "muted")
        if self._problem:
            style = "warning" if self._agreed else "critical"
            lines = _wrapped(printable(self._problem, self._ascii), width, style)
        keys = "left right choose, tab next field, enter saves, escape leaves"
        return [*lines, *_wrapped(keys, width, "muted")]

    def _progress_lines(self, sampled: float) -> list[Line]:
        width = self._body.size.width
        seconds = SECONDS[self._seconds.index]
        share = min(100.0, 100.0 * sampled / seconds)
        told = f"py-spy samples: {sampled:.0f} of {seconds} s"
        if sampled >= seconds - POLL:
            told = "py-spy draws"
        return [
            bar(share, min(60, width), self._glyphs, "bar"),
            ((told, "text"),),
            (("escape cancels", "muted"),),
        ]


def _wrapped(text: str, width: int, style: str) -> list[Line]:
    return [((part, style),) for part in wrap(text, width)]
