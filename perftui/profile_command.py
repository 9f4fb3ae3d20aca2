"""The command `profile`: samples one process for a while, without a screen, and ends."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from perftui.interruption import ENDING, exit_code
from perftui.parser import CommandError
from perftui.profile_files import UnwritableError, check_writable, data_of, write_whole
from perftui.profile_run import ProfileOutcome, ProfileRun
from perftui.profiling.breakdown import By, breakdown
from perftui.profiling.request import default_request
from perftui.snapshot import Absent, TopCalls
from perftui.sources.pyspy import problems

if TYPE_CHECKING:
    from perftui.config import Settings

TABLE_ROWS = 30
"""Rows of the text where nobody says how many; JSON has all."""

SECONDS = 10.0

Write = Callable[[bytes], bool]


@dataclass(frozen=True)
class Wish:
    """What is asked for: one form, how it is added up, where it goes and how long it takes.

    `form` is text, json, collapsed or speedscope; `limit` None for the usual number of rows,
    `output` None for standard output.
    """

    pid: int
    seconds: float = SECONDS
    form: str = "text"
    by: By = "function"
    per_thread: bool = False
    limit: int | None = None
    output: Path | None = None
    ascii_only: bool = False


def profile(settings: Settings, wish: Wish, write: Write) -> int:
    """Profile and print what was found; return 0, or 130 or 143 when a signal ended it before.

    `write` takes bytes for standard output. Raises CommandError when nothing could be sampled or
    the file cannot be written, which is found out before.
    """
    output = wish.output
    if output is not None:
        _check(output)
    request = default_request(settings.profile)
    run = ProfileRun(wish.pid, request, wish.seconds, settings.profile.rate)
    progress = _Progress(wish.pid, wish.seconds)
    code = 0
    try:
        outcome = run.run(lambda calls: progress.tell(calls.window, calls.samples))
    except KeyboardInterrupt as interrupt:
        # What was sampled so far is wanted all the same.
        code = exit_code(interrupt)
        outcome = ProfileOutcome(run.latest)
    finally:
        progress.clear()
    if outcome.calls is None:
        if code:
            return code
        assert outcome.problem is not None
        raise CommandError(said(wish.pid, outcome.problem))
    note = _note(wish, outcome, interrupted=code != 0)
    data = _encoded(wish, outcome.calls, note)
    if output is None:
        write(data)
    else:
        _save(output, data, f"{outcome.calls.samples} samples of process {wish.pid}")
    # A file of stacks has no place for it.
    if wish.form in ("collapsed", "speedscope"):
        _tell_note(note)
    return code


def flame(settings: Settings, wish: Wish, path: Path) -> int:
    """Have py-spy draw a flame graph into a file; return 0, or 130 or 143 as `profile` does.

    Raises CommandError when there is nothing to draw or the file cannot be written, which is found
    out before.
    """
    from perftui.sources.pyspy.flame_svg import FlameRecording
    from perftui.sources.source import SourceError

    _check(path)
    request = default_request(settings.profile)
    recording = FlameRecording(wish.pid, request, wish.seconds, settings.profile.rate)
    progress = _Progress(wish.pid, wish.seconds)
    signals: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        # A second one does not wait for the picture.
        if signals:
            recording.cancel()
        signals.append(number)
        recording.stop()

    heeded = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in heeded}
    try:
        svg = recording.run(progress.tell)
    except SourceError as error:
        if signals:
            return 128 + signals[0]
        raise CommandError(said(wish.pid, error.absent)) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        progress.clear()
    _save(path, svg.data, f"flame graph of {svg.seconds:.1f} s of process {wish.pid}")
    if svg.over:
        _tell_note(f"process {wish.pid} has exited before the end")
    return 128 + signals[0] if signals else 0


def said(pid: int, problem: Absent) -> str:
    """Return why a process cannot be profiled and what to do, in words for the command line."""
    fix = problem.fix
    if problem in (problems.missing(pid), problems.ended(pid)):
        fix = "pgrep -a python lists the Python processes of this machine"
    elif problem == problems.not_python(pid):
        fix = "pgrep -a python lists those that are; --subprocesses takes in what it has started"
    elif problem == problems.no_python_in_tree(pid):
        fix = "pgrep -a python lists the Python processes of this machine"
    elif problem == problems.native_needs_pauses(pid):
        fix = "leave --native out, or choose --mode auto or exact"
    elif problem == problems.refused_pause(pid):
        fix = "detach the other one, or choose --mode safe"
    elif fix.endswith("press p"):
        fix = "pgrep -a python lists the Python processes of this machine"
    return f"{problem.reason}: {fix}" if fix else problem.reason


def _note(wish: Wish, outcome: ProfileOutcome, interrupted: bool) -> str:
    """Return why the profile is shorter than was asked for, empty when it is not."""
    if interrupted:
        return f"interrupted before the {wish.seconds:g} s were over"
    if outcome.over:
        return f"process {wish.pid} has exited before the {wish.seconds:g} s were over"
    if outcome.problem is not None:
        return f"not sampled to the end: {outcome.problem.reason}"
    return ""


def _encoded(wish: Wish, calls: TopCalls, note: str) -> bytes:
    if wish.form == "collapsed":
        return data_of(calls, "collapsed", wish.per_thread)
    if wish.form == "speedscope":
        return data_of(calls, "speedscope") + b"\n"
    note = "; ".join(filter(None, (note, calls.note)))
    rows = breakdown(calls, wish.by, wish.per_thread)
    if wish.form == "json":
        from perftui.output.document import encode
        from perftui.output.profile_document import profile_document

        chosen = rows[: wish.limit]
        return encode(profile_document(calls, chosen, wish.by, wish.per_thread, note)) + b"\n"
    from perftui.output.profile_report import profile_report

    shown = rows[: wish.limit or TABLE_ROWS]
    hidden = len(rows) - len(shown)
    text = profile_report(calls, shown, wish.by, wish.per_thread, note, hidden, wish.ascii_only)
    return text.encode("utf-8", "backslashreplace")


def _check(path: Path) -> None:
    try:
        check_writable(path)
    except UnwritableError as error:
        raise CommandError(str(error)) from None


def _save(path: Path, data: bytes, what: str) -> None:
    try:
        write_whole(path, data)
    except UnwritableError as error:
        raise CommandError(str(error)) from None
    _tell_note(f"{what}: {path}")


def _tell_note(text: str) -> None:
    from perftui.text import printable

    if text:
        _narrate(f"perftui: {printable(text)}\n")


def _narrate(text: str) -> None:
    """Write to standard error, where that is open; what was sampled matters more."""
    stderr: TextIO | None = sys.stderr
    if stderr is not None:
        with contextlib.suppress(OSError):
            stderr.write(text)
            stderr.flush()


class _Progress:
    """One line on standard error that is written over, where that is a terminal."""

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid = pid
        self._seconds = seconds
        self._length = 0
        stderr: TextIO | None = sys.stderr
        self._shown = stderr is not None and stderr.isatty()
        self.tell(0.0)

    def tell(self, seconds: float, samples: int = 0) -> None:
        """Say how far it is."""
        counted = f", {samples} samples" if samples else ""
        done = min(seconds, self._seconds)
        self._write(
            f"perftui: profiling {self._pid}, {done:.0f} of {self._seconds:g} s{counted}, "
            "Ctrl-C ends and prints"
        )

    def clear(self) -> None:
        """Leave the line empty."""
        self._write("")

    def _write(self, text: str) -> None:
        if not self._shown:
            return
        padding = " " * max(0, self._length - len(text))
        self._length = len(text)
        _narrate(f"\r{text}{padding}" + ("" if text else "\r"))
