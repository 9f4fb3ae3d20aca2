"""Profiles one process window by window and keeps the sliding window of what it saw."""

from __future__ import annotations

import contextlib
import time

import msgspec

from perftui.profiling.call_table import ProfileWindow
from perftui.profiling.pause_budget import Mode, Plan, Tempo, choose_plan
from perftui.profiling.thread_weights import ThreadWeights
from perftui.snapshot import Absent, TopCalls
from perftui.sources.pyspy.preflight import Preflight, command_line, preflight
from perftui.sources.pyspy.problems import (
    NO_PY_SPY,
    cannot_start,
    ended,
    explain_recording,
    hung,
    missing,
    process_state,
    refused_pause,
    stopped,
    unreadable,
)
from perftui.sources.pyspy.process import PATIENCE, Finished, Recording, find_py_spy
from perftui.sources.pyspy.source_lines import SourceLines
from perftui.sources.pyspy.thread_cpu import CpuReading, ThreadClock
from perftui.sources.pyspy.window import Seen, top_calls, understand
from perftui.sources.source import SourceError

FIRST_WINDOW = 0.3
"""Seconds of the first window, so that a table appears at once."""

OPENING = 3.0
"""Seconds at the begin that are sampled faster: few samples make a wrong table."""

OPENING_REFRESH = 1.0
"""Most seconds between two tables at the begin."""

RECHECK = 30.0
"""Seconds after which the size of the process, and with it the plan, is looked at again."""

FORGOTTEN = 2.0
"""A window this many seconds overdue was left behind by a reader that went away."""

OLD_READING = 0.5
"""Age in seconds from which a CPU reading no longer marks the begin of the next window."""

NO_PLAN = Plan(False, False, 0, 0, 0.0, 0.0)


class Options(msgspec.Struct, frozen=True):
    """How to profile: most samples per second, seconds of the sliding window and between tables."""

    mode: Mode
    rate: int
    window: float
    refresh: float


class ProfileSession:
    """One process under the profiler; used by one thread.

    `wake` is a file descriptor that ends every wait when it becomes readable.
    """

    def __init__(self, pid: int, options: Options, wake: int) -> None:
        self.pid = pid
        self._options = options
        self._wake = wake
        self._clock = ThreadClock(pid)
        self._base: CpuReading | None = None
        self._started: int | None = None
        self._py_spy = ""
        self._check = Preflight(pid, "")
        self._plan: Plan = NO_PLAN
        self._pause = 0.0
        self._planned = 0.0
        self._opening_until = 0.0
        self._refused: float | None = None
        self._recording: Recording | None = None
        self._seen: tuple[Seen, ...] = ()
        self._thread_weights = ThreadWeights()
        self._tempo = Tempo()
        self._lines = SourceLines(pid)

    @property
    def windows(self) -> tuple[ProfileWindow, ...]:
        """Every window of the sliding window, oldest first: stacks and their weights."""
        return tuple(part.window for part in self._seen)

    def next_table(self) -> TopCalls | None:
        """Return the calls of the sliding window once its next part is complete, None when woken.

        Raises SourceError when the process cannot be read (any more).
        """
        self._drop_forgotten()
        if self._recording is None:
            self._recording = self._begin()
        recording, plan, pause = self._recording, self._plan, self._pause
        window = self._run_window(recording)
        if window is None:
            return None
        self._recording = None
        finished, before, after = window
        problem = explain_recording(self.pid, self._py_spy, finished)
        if problem is not None:
            if problem == refused_pause(self.pid) and self._may_go_without_pauses():
                return self.next_table()
            raise self._give_up(problem)
        fresh = self._fresh()
        # The next recording attaches while this one is added up. If it cannot, the next call says.
        with contextlib.suppress(SourceError):
            self._recording = self._begin()
        try:
            seen = understand(
                finished,
                before,
                after,
                recording.rate,
                pause,
                self._thread_weights,
                self._lines.waits,
            )
        except ValueError as error:
            raise self._give_up(unreadable(self.pid, self._py_spy)) from error
        self._base = after
        self._seen = (*fresh, seen)
        self._follow_tempo(seen)
        if seen.window.samples == 0:
            self._check_alive()
        return top_calls(
            self._seen,
            self.pid,
            command_line(self.pid) or self._check.command,
            self._check.python,
            plan,
        )

    def close(self) -> None:
        """End py-spy and forget the recording that is under way."""
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.abandon()

    def _drop_forgotten(self) -> None:
        recording = self._recording
        patience = self._options.refresh + FORGOTTEN
        if recording is not None and time.monotonic() - recording.started > patience:
            self.close()

    def _begin(self) -> Recording:
        """Start a recording of the process, after a look at whether it is still the same."""
        self._check_identity()
        now = time.monotonic()
        if self._plan == NO_PLAN or now - self._planned > RECHECK:
            self._make_plan(now)
        plan = self._plan
        opening = now < self._opening_until
        rate = plan.opening_rate if opening else plan.rate
        self._pause = plan.opening_pause_percent if opening else plan.pause_percent
        flags = () if plan.exact else ("--nonblocking",)
        if plan.gil_only:
            flags = (*flags, "--gil")
        try:
            return Recording(self._py_spy, self.pid, rate, flags, self._wake)
        except OSError as error:
            raise self._give_up(cannot_start(self._py_spy, error)) from error

    def _check_identity(self) -> None:
        """Raise SourceError when the process is gone, stopped, or another one under its id."""
        state = process_state(self.pid)
        if state is None:
            raise self._give_up(missing(self.pid) if self._started is None else ended(self.pid))
        if self._started is None:
            self._started = state.started
        if state.letter in "ZX" or state.started != self._started:
            raise self._give_up(ended(self.pid))
        if state.letter == "T":
            raise self._give_up(stopped(self.pid))

    def _make_plan(self, now: float) -> None:
        """Look at the size of the process and choose how to sample it.

        Raises SourceError when it cannot be read at all.
        """
        py_spy = find_py_spy()
        if py_spy is None:
            raise self._give_up(NO_PY_SPY)
        self._py_spy = py_spy
        check = preflight(self.pid, py_spy)
        if check.problem is None:
            self._check = check
        elif self._plan == NO_PLAN:
            raise self._give_up(check.problem)
        # A look at a running process may fail by bad luck: then the old plan stays.
        if self._plan == NO_PLAN:
            self._opening_until = now + OPENING
        if self._refused is not None and now - self._refused > RECHECK:
            self._refused = None
        self._plan = self._chosen_plan()
        self._planned = now

    def _chosen_plan(self) -> Plan:
        return choose_plan(
            self._options.mode if self._refused is None else "safe",
            self._options.rate,
            self._check.python_version,
            self._check.threads,
            self._check.frames,
            self._tempo.waits,
        )

    def _follow_tempo(self, seen: Seen) -> None:
        """Choose another plan when the process began to wait mostly, or to run."""
        waited = self._tempo.waits
        self._tempo.add(seen.steadiness, seen.cpu_seconds, seen.window.seconds)
        if self._tempo.waits != waited and self._plan != NO_PLAN:
            self._plan = self._chosen_plan()

    def _may_go_without_pauses(self) -> bool:
        """Turn to reading without pauses in auto mode; False if that was tried already."""
        if self._options.mode != "auto" or self._refused is not None:
            return False
        self._refused = time.monotonic()
        self._plan = NO_PLAN
        return True

    def _run_window(self, recording: Recording) -> tuple[Finished, CpuReading, CpuReading] | None:
        """Return the finished recording and the CPU readings around it, None when woken."""
        patience = recording.started + PATIENCE
        if not recording.wait_attached(patience) and not recording.over:
            if time.monotonic() < patience:
                return None
            raise self._give_up(hung(self.pid))
        before = self._base
        if before is None or recording.started - before.taken > OLD_READING:
            before = self._base = self._clock.read()
        attached = recording.attached
        if attached is not None and not recording.wait(attached + self._length()):
            return None
        recording.interrupt()
        after = self._clock.read()
        return recording.finish(), before, after

    def _length(self) -> float:
        """Return the seconds of the window under way: short ones until the table has settled."""
        if not self._fresh():
            return FIRST_WINDOW
        refresh = self._options.refresh
        opening = time.monotonic() < self._opening_until
        return min(refresh, OPENING_REFRESH) if opening else refresh

    def _fresh(self) -> tuple[Seen, ...]:
        """Return the windows that still belong to the sliding window."""
        # Half a refresh of grace, or the oldest window would come and go with the jitter.
        oldest = time.monotonic() - self._options.window - self._options.refresh / 2
        return tuple(part for part in self._seen if part.window.started >= oldest)

    def _check_alive(self) -> None:
        """Raise SourceError when a window without samples has a reason."""
        state = process_state(self.pid)
        if state is None or state.letter in "ZX":
            raise self._give_up(ended(self.pid))
        if state.letter == "T":
            raise self._give_up(stopped(self.pid))

    def _give_up(self, problem: Absent) -> SourceError:
        """Forget everything that a later attempt must find out anew."""
        self.close()
        self._base = None
        self._plan = NO_PLAN
        self._seen = ()
        return SourceError(problem.state, problem.reason, problem.fix)
