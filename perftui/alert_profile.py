"""Profiles the process behind an alert for some seconds and attaches the result to its interval."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from pathlib import Path

from perftui import format as show
from perftui.config.paths import state_dir
from perftui.monitor import Monitor
from perftui.profile_files import NoStacksError, UnwritableError, keep_profile
from perftui.profile_run import ProfileRun
from perftui.profiling.breakdown import breakdown
from perftui.snapshot import Absent, Alert, Call, State, TopCalls

SECONDS = 10.0
LINES = 5
LEAST_PERCENT = 1.0
"""Own share below which a function is not worth a place in the evidence."""

LATE = 3.0
"""Seconds that the live profile may be late with its last window."""

NO_SAMPLES = Absent(State.UNAVAILABLE, "no samples")


class ProfileError(Exception):
    """A process could not be profiled; the message says why and what to do."""


class AlertProfile:
    """One profile for one alert; `run` belongs to one thread, `cancel` to any.

    No process is sampled twice: the profile of the one that the monitor has chosen is widened to
    the seconds, and any other is held meanwhile, so that nobody else begins with it.
    """

    def __init__(
        self,
        alert: Alert,
        pid: int,
        monitor: Monitor,
        seconds: float = SECONDS,
        directory: Path | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.alert = alert
        self.pid = pid
        self.seconds = seconds
        self._monitor = monitor
        self._directory = directory or profiles_dir()
        self._wall = wall
        self._cancelled = threading.Event()
        self._profile: ProfileRun | None = None

    def cancel(self) -> None:
        """End early; nothing is attached then."""
        self._cancelled.set()
        if self._profile is not None:
            self._profile.stop()

    def run(self) -> tuple[str, ...]:
        """Profile, attach and return the lines that were attached.

        Raises ProfileError when the process cannot be profiled or the alert is not known.
        """
        atexit.register(self.cancel)
        try:
            calls = self._calls()
        finally:
            atexit.unregister(self.cancel)
        if self._cancelled.is_set():
            raise ProfileError("cancelled")
        lines = [evidence_line(calls, self._wall())]
        if calls.samples:
            try:
                path = keep_profile(calls, self._directory, self._wall())
                lines.append(f"saved: {path}")
            except (UnwritableError, NoStacksError) as error:
                lines.append(f"not saved: {error}")
        if not self._monitor.attach(self.alert, tuple(lines)):
            raise ProfileError("the alert is not known any more")
        return tuple(lines)

    def _calls(self) -> TopCalls:
        monitor = self._monitor
        while not self._cancelled.is_set():
            if monitor.profiled == self.pid:
                live = self._live()
                if live is not None:
                    return live
                if monitor.profiled == self.pid:
                    raise ProfileError(self._not_live())
            elif monitor.hold_process(self.pid):
                try:
                    return self._own()
                finally:
                    monitor.release_process(self.pid)
            else:
                raise ProfileError(self._busy())
        raise ProfileError("cancelled")

    def _own(self) -> TopCalls:
        """Return what a profiler of one's own finds, in a process that nobody else samples."""
        monitor = self._monitor
        rate = monitor.settings.profile.rate
        self._profile = ProfileRun(self.pid, monitor.profile_request, self.seconds, rate)
        if self._cancelled.is_set():
            self._profile.stop()
        outcome = self._profile.run()
        if outcome.calls is None:
            raise ProfileError(_told(outcome.problem or NO_SAMPLES))
        return outcome.calls

    def _busy(self) -> str:
        return f"process {self.pid} is sampled for a file now: try again when that is done"

    def _not_live(self) -> str:
        if self._cancelled.is_set():
            return "cancelled"
        if self._monitor.profile_is_held:
            return self._busy()
        snapshot = self._monitor.mailbox.latest()
        calls = None if snapshot is None else snapshot.top_calls
        return _told(calls if isinstance(calls, Absent) else NO_SAMPLES)

    def _live(self) -> TopCalls | None:
        """Return what the monitor's own profile finds meanwhile, None when it finds nothing."""
        monitor = self._monitor
        monitor.widen_profile(self.seconds)
        try:
            end = time.monotonic() + self.seconds
            found: TopCalls | None = None
            refused: float | None = None
            while (now := time.monotonic()) < end + LATE:
                if self._cancelled.wait(min(0.25, max(0.05, end - now))):
                    break
                if monitor.profiled != self.pid or monitor.profile_is_held:
                    return None
                snapshot = monitor.mailbox.latest()
                calls = None if snapshot is None else snapshot.top_calls
                if not isinstance(calls, TopCalls) or calls.pid != self.pid:
                    # It begins yet, has just ended, or cannot be read.
                    begins = not isinstance(calls, Absent) or calls.state is State.NOT_COLLECTED
                    refused = None if begins else refused or now
                    if now > end or (refused is not None and now > refused + LATE):
                        return found
                    continue
                refused = None
                if calls.request.window == self.seconds and not isinstance(calls.stacks, Absent):
                    found = calls
                    if now >= end:
                        return found
            return found
        finally:
            monitor.widen_profile(None)


def _told(problem: Absent) -> str:
    return f"{problem.reason}: {problem.fix}" if problem.fix else problem.reason


def profiles_dir() -> Path:
    """Return where profiles of alerts are kept."""
    return state_dir() / "profiles"


def evidence_line(calls: TopCalls, wall: float) -> str:
    """Return in one line where a process spent its time, with the local time of a Unix time."""
    head = f"profile {show.clock(wall)}, {calls.window:.0f} s of pid {calls.pid}"
    found = [row for row in breakdown(calls) if row.own_percent >= LEAST_PERCENT][:LINES]
    if not found:
        return f"{head}: it used no CPU time worth a sample, so it waits"
    told = ", ".join(f"{row.own_percent:.0f} % {_named(row)}" for row in found)
    cores = "" if isinstance(calls.cores, Absent) else f", {calls.cores:.2f} cores"
    return f"{head}{cores}: {told}"


def _named(row: Call) -> str:
    parts = row.file.replace("\\", "/").rsplit("/", 2)
    where = "/".join(parts[-2:])
    return f"{row.function} ({where}:{row.line})" if where else row.function
