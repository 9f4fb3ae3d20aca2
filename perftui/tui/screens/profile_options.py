"""The dialog that says how a process shall be profiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from perftui.profiling.pause_budget import MODES
from perftui.snapshot import ProfileRequest
from perftui.tui.lines import Line, wrap
from perftui.tui.profile_view import PROFILE_WINDOWS, profile_window_label
from perftui.tui.widgets.choice_line import ChoiceLine
from perftui.tui.widgets.line_widget import LineWidget

ABOUT = {
    "profile-mode": "auto pauses the process for each sample while that costs it at most 2 % of "
    "its time; exact always pauses it; safe never does, and callers may then be wrong",
    "profile-processes": "the whole tree finds the workers of gunicorn, uvicorn or "
    "multiprocessing, however often they are replaced",
    "profile-threads": "waiting threads count wall time: what they wait for comes on top",
    "profile-lock": "the holder of the GIL alone is what keeps the other threads waiting",
    "profile-frames": "frames of C extensions as well: always pauses, and costs much more",
    "profile-window": "over how many seconds the table adds up",
}


class ProfileOptions(ModalScreen[None]):
    """Chooses mode, processes, threads, frames and window; enter profiles that way."""

    CSS = """
    ProfileOptions { align: center middle; }
    ProfileOptions > Vertical {
        width: 92%; max-width: 84; height: 13; max-height: 100%;
        background: $background; border: round $accent; padding: 0 1;
        border-title-color: $accent;
    }
    ProfileOptions LineWidget { width: 1fr; height: 1; }
    ProfileOptions #profile-about { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c,q,O", "leave", show=False, priority=True),
        Binding("enter", "apply", show=False),
        Binding("down,tab,j", "app.focus_next", show=False),
        Binding("up,shift+tab,k", "app.focus_previous", show=False),
    ]

    def __init__(self, request: ProfileRequest, take: Callable[[ProfileRequest], None]) -> None:
        super().__init__()
        self._request = request
        self._take = take
        windows = list(PROFILE_WINDOWS)
        if request.window not in windows:
            windows.append(request.window)
        self._windows = tuple(windows)
        self._mode = _line("profile-mode", "Mode      ", MODES, MODES.index(_mode(request)))
        self._processes = _line(
            "profile-processes", "Processes ", ("this one", "the whole tree"), request.subprocesses
        )
        self._threads = _line(
            "profile-threads", "Threads   ", ("running", "waiting too"), request.idle
        )
        self._lock = _line("profile-lock", "GIL       ", ("any", "only its holder"), request.gil)
        self._frames = _line(
            "profile-frames", "Frames    ", ("Python", "native too"), request.native
        )
        self._window = _line(
            "profile-window",
            "Window    ",
            [profile_window_label(seconds) for seconds in self._windows],
            self._windows.index(request.window),
        )
        self._about = LineWidget("profile-about")

    @property
    def _fields(self) -> tuple[ChoiceLine, ...]:
        return (
            self._mode,
            self._processes,
            self._threads,
            self._lock,
            self._frames,
            self._window,
        )

    def compose(self) -> ComposeResult:
        """Yield the fields and what the chosen one means."""
        with Vertical() as box:
            box.border_title = "How to profile"
            yield from self._fields
            yield self._about

    def on_mount(self) -> None:
        """Begin with the mode."""
        self._mode.focus()
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    def on_descendant_focus(self) -> None:
        """Say what the field means that the keys go to."""
        self._draw()

    def on_choice_line_chosen(self, event: ChoiceLine.Chosen) -> None:
        """Say what follows from the choice."""
        event.stop()
        self._draw()

    def action_leave(self) -> None:
        """Leave without a change."""
        self.dismiss()

    def action_apply(self) -> None:
        """Profile as was chosen."""
        self.dismiss()
        self._take(self._chosen())

    def _chosen(self) -> ProfileRequest:
        return ProfileRequest(
            mode=MODES[self._mode.index],
            gil=bool(self._lock.index),
            idle=bool(self._threads.index and not self._lock.index),
            native=bool(self._frames.index),
            subprocesses=bool(self._processes.index),
            window=self._windows[self._window.index],
            stacks=self._request.stacks,
        )

    def _draw(self) -> None:
        width = self._about.size.width
        if not width:
            return
        for line in self._fields:
            line.draw()
        focused = self.focused
        about = ABOUT.get((focused.id or "") if focused is not None else "", "")
        if self._threads.index and self._lock.index:
            about = "a thread that waits never holds the GIL: only its holder is sampled"
        lines: list[Line] = [(), *(((part, "text"),) for part in wrap(about, width))]
        keys = "left right choose, up down next line, enter profiles so, escape leaves"
        lines += [((part, "muted"),) for part in wrap(keys, width)]
        self._about.set_lines(lines)


def _mode(request: ProfileRequest) -> str:
    return request.mode if request.mode in MODES else MODES[0]


def _line(name: str, label: str, options: Sequence[str], index: int) -> ChoiceLine:
    line = ChoiceLine(name, label, options)
    line.index = int(index)
    return line
