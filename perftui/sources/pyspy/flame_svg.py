"""Has py-spy draw its own flame graph, an SVG that a browser shows, of one process or a tree."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from perftui.profiling.pause_budget import MODES, Mode, Plan, choose_plan
from perftui.snapshot import Absent, ProfileRequest, State
from perftui.sources.pyspy.death_guard import any_death_guard
from perftui.sources.pyspy.preflight import Preflight, preflight, preflight_tree
from perftui.sources.pyspy.problems import (
    NO_PY_SPY,
    cannot_start,
    ended,
    explain,
    hung,
    native_needs_pauses,
    process_state,
    refused_pause,
    stopped,
)
from perftui.sources.pyspy.process import SAFETY_NET, Finished, Recording, find_py_spy
from perftui.sources.source import SourceError

PATIENCE = 5.0
DRAWING = 20.0
"""Seconds py-spy may take to attach, and to draw what it has sampled."""

LOOK = 0.5
"""Seconds between two reports of the progress."""

HELD = 2.0
"""Seconds for which a process may be held by a sampler that is just ending."""


class FlameSvg(NamedTuple):
    """The picture; `seconds` is how long was sampled, `over` whether the process has ended."""

    data: bytes
    seconds: float
    over: bool


class FlameRecording:
    """One flame graph from its begin to its end.

    `run` belongs to one thread, `stop` and `cancel` to any. `request` says how, as in
    ProfileRequest; `rate` is the most samples per second.
    """

    def __init__(
        self, pid: int, request: ProfileRequest, seconds: float, rate: float = 100.0
    ) -> None:
        self.pid = pid
        self.seconds = seconds
        self._request = request
        self._rate = max(1, round(rate))
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        # A handler of signals may stop it in the middle of what this very thread does with it.
        self._lock = threading.RLock()
        self._cancelled = False

    def stop(self) -> None:
        """End the sampling now; what was sampled becomes the picture."""
        with self._lock:
            if self._wake_write >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wake_write, b"x")

    def cancel(self) -> None:
        """End without a picture."""
        self._cancelled = True
        self.stop()

    def run(self, told: Callable[[float], None] = lambda seconds: None) -> FlameSvg:
        """Sample for the seconds and return the picture; `told` gets the seconds sampled so far.

        Raises SourceError when there is none: not permitted, ended, cancelled, no samples.
        """
        try:
            return self._run(told)
        finally:
            with self._lock:
                wake_write, self._wake_write = self._wake_write, -1
                os.close(self._wake_read)
                os.close(wake_write)

    def _run(self, told: Callable[[float], None]) -> FlameSvg:
        py_spy = find_py_spy()
        if py_spy is None:
            raise _error(NO_PY_SPY)
        request = self._request
        if request.native and request.mode == "safe":
            raise _error(native_needs_pauses(self.pid))
        look = preflight_tree if request.subprocesses else preflight
        check = look(self.pid, py_spy)
        if check.problem is not None:
            raise _error(check.problem)
        until = time.monotonic() + HELD
        refused = False
        while True:
            plan = self._plan(check, refused)
            finished = self._record(py_spy, plan, told)
            problem = _problem(self.pid, py_spy, finished)
            if problem is None:
                state = process_state(self.pid)
                over = state is None or state.letter in "ZX"
                sampled = finished.ended - (finished.attached or finished.ended)
                return FlameSvg(finished.data, sampled, over)
            if problem != refused_pause(self.pid) or refused or self._cancelled:
                raise _error(problem)
            # A live feed that was just told to rest may hold the process for a moment yet.
            if time.monotonic() < until:
                time.sleep(0.2)
            else:
                refused = request.mode == "auto" and not request.native
                if not refused:
                    raise _error(problem)

    def _plan(self, check: Preflight, refused: bool) -> Plan:
        request = self._request
        return choose_plan(
            _mode(request.mode),
            self._rate,
            check.python_version,
            check.threads,
            check.frames,
            idle=request.idle,
            gil=request.gil,
            native=request.native,
            refused=refused,
            crowd=check.crowd,
        )

    def _record(self, py_spy: str, plan: Plan, told: Callable[[float], None]) -> Finished:
        request = self._request
        wanted = {
            "--nonblocking": not plan.exact,
            "--gil": request.gil or plan.gil_only,
            "--idle": request.idle and not request.gil,
            "--native": request.native,
            "--subprocesses": request.subprocesses,
        }
        flags = tuple(flag for flag, on in wanted.items() if on)
        # It counts samples, not seconds, and is ended by this clock before.
        longest = max(SAFETY_NET, math.ceil(2 * self.seconds))
        try:
            recording = Recording(
                py_spy,
                self.pid,
                plan.rate,
                flags,
                self._wake_read,
                form="flamegraph",
                longest=longest,
                guard=any_death_guard(),
            )
        except OSError as error:
            raise _error(cannot_start(py_spy, error)) from error
        try:
            self._watch(recording, told)
            recording.interrupt()
            return recording.finish(DRAWING)
        except BaseException:
            recording.abandon()
            raise

    def _watch(self, recording: Recording, told: Callable[[float], None]) -> None:
        """Wait for the end of the sampling; raises SourceError when there will be no picture."""
        patience_ends = recording.started + PATIENCE
        recording.wait_attached(patience_ends)
        attached = recording.attached
        if attached is None:
            if recording.over:
                return
            self._cancelled = self._cancelled or time.monotonic() < patience_ends
            self._raise_if_cancelled()
            raise _error(hung(self.pid))
        end = attached + self.seconds
        stops = 0
        while not recording.over and (now := time.monotonic()) < end:
            if not recording.wait(min(end, now + LOOK)):
                break
            state = process_state(self.pid)
            if state is None or state.letter in "ZX":
                break
            # One alone may be py-spy, which stops a process for each sample.
            stops = stops + 1 if state.letter == "T" else 0
            if stops > 2:
                raise _error(stopped(self.pid))
            told(min(self.seconds, time.monotonic() - attached))
        self._raise_if_cancelled()
        # Who asked for the end by `stop` wants the picture, however long it takes to draw.
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 64)

    def _raise_if_cancelled(self) -> None:
        if self._cancelled:
            raise SourceError(State.NOT_COLLECTED, "cancelled")


def _problem(pid: int, py_spy: str, finished: Finished) -> Absent | None:
    if finished.hung:
        return hung(pid)
    if finished.returncode == 0 and finished.data:
        return None
    if "No stack counts found" in finished.log:
        state = process_state(pid)
        if state is None or state.letter in "ZX":
            return ended(pid)
        return Absent(
            State.UNAVAILABLE,
            f"process {pid} used no CPU time worth a sample",
            "count waiting threads too (--idle), or sample longer",
        )
    return explain(pid, py_spy, finished.log, finished.returncode)


def _mode(text: str) -> Mode:
    return next((mode for mode in MODES if mode == text), MODES[0])


def _error(problem: Absent) -> SourceError:
    return SourceError(problem.state, problem.reason, problem.fix)
