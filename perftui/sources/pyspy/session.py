"""Profiles one process, or a tree of them, window by window."""

from __future__ import annotations

import contextlib
import time

from perftui.profiling.pause_budget import Plan, Tempo, choose_plan
from perftui.profiling.thread_weights import ThreadWeights
from perftui.snapshot import Absent, ProfileRequest, TopCalls
from perftui.sources.pyspy.kept import About, KeptProfile
from perftui.sources.pyspy.options import Identity, Options
from perftui.sources.pyspy.preflight import Preflight, command_line, preflight, preflight_tree
from perftui.sources.pyspy.problems import (
    NO_PY_SPY,
    ProcessState,
    cannot_start,
    ended,
    explain_recording,
    hung,
    missing,
    native_needs_pauses,
    process_state,
    refused_pause,
    restless,
    stopped,
    unreadable,
)
from perftui.sources.pyspy.process import (
    FLUSH_PATIENCE,
    PATIENCE,
    Finished,
    Recording,
    find_py_spy,
)
from perftui.sources.pyspy.source_lines import SourceLines
from perftui.sources.pyspy.thread_cpu import CpuReading, ThreadClock, TreeClock
from perftui.sources.pyspy.tree import process_tree
from perftui.sources.pyspy.window import Seen, Terms, understand
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

WATCH = 0.25
"""Seconds between two looks at whether a process that is being sampled still runs."""

RESTLESS = 1.0
"""Seconds for which a process may execute one program after the other before somebody is told."""

MOST_PATIENCE = 4.0
"""How many times as long a py-spy that keeps failing to answer is waited for at most."""

NO_PLAN = Plan(False, False, 0, 0, 0.0, 0.0)


class _AnotherProgramError(Exception):
    """The process executed another program while it was sampled."""


class ProfileSession:
    """One process under the profiler; used by one thread.

    `wake` is a file descriptor that ends every wait when it becomes readable. With the identity of
    an earlier session no other process is profiled that has got its id since.
    """

    def __init__(
        self, pid: int, options: Options, wake: int, identity: Identity | None = None
    ) -> None:
        self.pid = pid
        self.options = options
        self._wake = wake
        self._identity = identity if identity is not None and identity.pid == pid else None
        self._clock = TreeClock(pid) if options.subprocesses else ThreadClock(pid)
        self._base: CpuReading | None = None
        self._image, self._py_spy = 0, ""
        self._check = Preflight(pid, "")
        self._plan: Plan = NO_PLAN
        self._terms = Terms(0, 0.0)
        self._planned = self._opening_until = 0.0
        self._refused: float | None = None
        self._patience = 1.0
        self._recording: Recording | None = None
        self._kept = KeptProfile()
        self._thread_weights = ThreadWeights()
        self._tempo = Tempo()
        self._planned_slowness = 1.0
        self._lines = SourceLines(pid)
        self._about: About | None = None

    @property
    def identity(self) -> Identity | None:
        """The process that is profiled, None before it was looked at."""
        return self._identity

    def next_table(self, request: ProfileRequest) -> TopCalls | None:
        """Return the calls in the window asked for once its next part is complete, None when woken.

        Raises SourceError when the process cannot be read (any more).
        """
        restless_since: float | None = None
        while True:
            try:
                return self._next_part(request)
            except _AnotherProgramError:
                restless_since = restless_since or time.monotonic()
                if time.monotonic() - restless_since > RESTLESS:
                    raise self._give_up(restless(self.pid)) from None

    def _next_part(self, request: ProfileRequest) -> TopCalls | None:
        """Do so; raises _AnotherProgramError when what was sampled is of a program no more."""
        self._drop_forgotten()
        if self._recording is None:
            self._recording = self._begin()
        recording, plan, terms = self._recording, self._plan, self._terms
        window = self._run_window(recording)
        if window is None:
            return None
        self._recording = None
        finished, before, after = window
        problem = explain_recording(self.pid, self._py_spy, finished)
        if problem is not None:
            state = process_state(self.pid)
            if state is not None and self._is_another_program(state):
                raise _AnotherProgramError
            if problem == refused_pause(self.pid) and self._may_go_without_pauses():
                return self._next_part(request)
            raise self._give_up(problem, hangs=finished.hung)
        self._patience = 1.0
        image = self._image
        # The next recording attaches while this one is added up. If it cannot, the next call says.
        with contextlib.suppress(SourceError):
            self._recording = self._begin()
        if self._image != image and image:
            raise _AnotherProgramError
        try:
            seen = understand(
                finished, self.pid, before, after, terms, self._thread_weights, self._lines.waits
            )
        except ValueError as error:
            raise self._give_up(unreadable(self.pid, self._py_spy)) from error
        self._base = after
        self._kept.add(seen)
        self._follow_tempo(seen, terms)
        if seen.sums.samples == 0:
            self._check_alive()
        self._about = self._describe(plan, seen)
        return self._kept.table(self._about, request, self._oldest(request))

    def table_now(self, request: ProfileRequest) -> TopCalls | None:
        """Return what is known already in the window asked for, None when that is nothing."""
        if self._about is None or not self._kept:
            return None
        return self._kept.table(self._about, request, self._oldest(request))

    def reset(self) -> None:
        """Forget what was sampled and begin anew, with a short window."""
        self.close()
        self._kept.reset()
        self._about = None

    def close(self) -> None:
        """End py-spy and forget the recording that is under way."""
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.abandon()

    def _drop_forgotten(self) -> None:
        oldest = time.monotonic() - self.options.refresh - FORGOTTEN
        if self._recording is not None and self._recording.started < oldest:
            self.close()

    def _begin(self) -> Recording:
        """Start a recording of the process, after a look at whether it is still the same."""
        self._check_identity()
        options = self.options
        if options.native and options.mode == "safe":
            raise self._give_up(native_needs_pauses(self.pid))
        now = time.monotonic()
        if self._plan == NO_PLAN or now - self._planned > RECHECK:
            self._make_plan(now)
        plan = self._plan
        opening = now < self._opening_until
        self._terms = Terms(
            plan.opening_rate if opening else plan.rate,
            plan.opening_pause_percent if opening else plan.pause_percent,
            options.gil or options.idle,
            self._planned_slowness,
        )
        try:
            return Recording(self._py_spy, self.pid, self._terms.rate, self._flags(), self._wake)
        except OSError as error:
            raise self._give_up(cannot_start(self._py_spy, error)) from error

    def _flags(self) -> tuple[str, ...]:
        options, plan = self.options, self._plan
        wanted = {
            "--nonblocking": not plan.exact,
            "--gil": options.gil or plan.gil_only,
            "--idle": options.idle and not options.gil,
            "--native": options.native,
            "--subprocesses": options.subprocesses,
        }
        return tuple(flag for flag, on in wanted.items() if on)

    def _check_identity(self) -> None:
        """Raise SourceError when the process is gone, stopped, or another one under its id.

        A process that executed another program since goes on with that.
        """
        state = process_state(self.pid)
        if state is None:
            raise self._give_up(missing(self.pid) if self._identity is None else ended(self.pid))
        if self._identity is None:
            self._identity = Identity(self.pid, state.started)
        if state.letter in "ZX" or state.started != self._identity.started:
            raise self._give_up(ended(self.pid))
        if state.letter == "T":
            raise self._give_up(stopped(self.pid))
        if self._is_another_program(state):
            self.reset()
            self._base, self._plan = None, NO_PLAN
            self._lines = SourceLines(self.pid)
        self._image = state.image or self._image

    def _is_another_program(self, state: ProcessState) -> bool:
        return bool(self._image and state.image) and state.image != self._image

    def _make_plan(self, now: float) -> None:
        """Look at the size of the process and choose how to sample it.

        Raises SourceError when it cannot be read at all.
        """
        py_spy = find_py_spy()
        if py_spy is None:
            raise self._give_up(NO_PY_SPY)
        self._py_spy = py_spy
        look = preflight_tree if self.options.subprocesses else preflight
        check = look(self.pid, py_spy)
        if check.problem is None:
            self._check = check
        elif self._plan == NO_PLAN:
            raise self._give_up(check.problem)
        # A look at a running process may fail by bad luck: then the old plan stays.
        if self._plan == NO_PLAN and self.options.opening:
            self._opening_until = now + OPENING
        if self._refused is not None and now - self._refused > RECHECK:
            self._refused = None
        self._plan = self._chosen_plan()
        self._planned = now

    def _chosen_plan(self) -> Plan:
        options, check = self.options, self._check
        self._planned_slowness = self._tempo.slowness
        return choose_plan(
            options.mode,
            options.rate,
            check.python_version,
            check.threads,
            check.frames,
            self._tempo.waits,
            idle=options.idle,
            gil=options.gil,
            native=options.native,
            refused=self._refused is not None,
            queues=self._tempo.queues,
            crowd=check.crowd,
            slowness=self._planned_slowness,
        )

    def _follow_tempo(self, seen: Seen, terms: Terms) -> None:
        """Choose another plan when the process or the machine began to be another kind."""
        tempo, sums = self._tempo, seen.sums
        before = tempo.waits, tempo.queues, tempo.slowness
        tempo.add(seen.steadiness, sums.cpu, sums.measured)
        tempo.add_queue(sums.busiest_waiting, sums.busiest_active, sums.measured)
        if sums.busiest_active > 0:
            held = sums.measured - sums.busiest_active
            tempo.add_pauses(held, sums.paused / terms.slowness, sums.measured)
        if (tempo.waits, tempo.queues, tempo.slowness) != before and self._plan != NO_PLAN:
            self._plan = self._chosen_plan()

    def _may_go_without_pauses(self) -> bool:
        """Turn to reading without pauses in auto mode; False if that was tried already."""
        if self.options.mode != "auto" or self.options.native or self._refused is not None:
            return False
        self._refused = time.monotonic()
        self._plan = NO_PLAN
        return True

    def _run_window(self, recording: Recording) -> tuple[Finished, CpuReading, CpuReading] | None:
        """Return the finished recording and the CPU readings around it, None when woken."""
        patience = recording.started + PATIENCE * self._patience
        if not recording.wait_attached(patience) and not recording.over:
            if time.monotonic() < patience:
                return None
            self._check_alive()
            raise self._give_up(hung(self.pid), hangs=True)
        before = self._base
        if before is None or recording.started - before.taken > OLD_READING:
            before = self._base = self._clock.read()
        attached = recording.attached
        if attached is not None and not self._watch(recording, attached + self._length()):
            return None
        recording.interrupt()
        after = self._clock.read()
        return recording.finish(FLUSH_PATIENCE * self._patience), before, after

    def _watch(self, recording: Recording, until: float) -> bool:
        """Wait until `until` or the end of py-spy or of what it samples; False when woken.

        py-spy itself says nothing of a process that was stopped or executed another program.
        """
        stops = 0
        while not recording.over and (now := time.monotonic()) < until:
            if not recording.wait(min(until, now + WATCH)):
                return False
            state = process_state(self.pid)
            if state is None or state.letter in "ZX" or self._is_another_program(state):
                break
            # One alone may be py-spy, which stops a process for each sample.
            stops = stops + 1 if state.letter == "T" else 0
            if stops > 1:
                raise self._give_up(stopped(self.pid))
        return True

    def _length(self) -> float:
        """Return the seconds of the window under way: short ones until the table has settled."""
        refresh = self.options.refresh
        now = time.monotonic()
        if not self._kept.has_recent(now - max(5.0, 2 * refresh)):
            return min(refresh, FIRST_WINDOW)
        return min(refresh, OPENING_REFRESH) if now < self._opening_until else refresh

    def _oldest(self, request: ProfileRequest) -> float:
        """Return when the oldest window of the sliding window began, in monotonic seconds."""
        # Half a refresh of grace, or the oldest window would come and go with the jitter.
        return time.monotonic() - request.window - self.options.refresh / 2

    def _describe(self, plan: Plan, seen: Seen) -> About:
        alone = not self.options.subprocesses and seen.sums.samples == 0
        return About(
            pid=self.pid,
            command=command_line(self.pid) or self._check.command,
            python=self._check.python,
            exact=plan.exact,
            note=plan.note,
            quiet_children=len(process_tree(self.pid)[1:]) if alone else 0,
        )

    def _check_alive(self) -> None:
        """Raise SourceError when a window without samples has a reason."""
        state = process_state(self.pid)
        if state is None or state.letter in "ZXT":
            stops = state is not None and state.letter == "T"
            raise self._give_up(stopped(self.pid) if stops else ended(self.pid))

    def _give_up(self, problem: Absent, hangs: bool = False) -> SourceError:
        """Forget what a later attempt must find out anew; what was sampled stays."""
        self.close()
        self._base = None
        self._plan = NO_PLAN
        if hangs:
            self._patience = min(MOST_PATIENCE, 2 * self._patience)
        return SourceError(problem.state, problem.reason, problem.fix)
