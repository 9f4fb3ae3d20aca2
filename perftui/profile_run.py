"""Profiles one process for a number of seconds and returns one table of all of them."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from perftui.snapshot import Absent, ProfileRequest, Selection, State, TopCalls
from perftui.sources.pyspy.problems import ended, not_python, process_state
from perftui.sources.pyspy.session import FIRST_WINDOW
from perftui.sources.pyspy.source import ProfileSource
from perftui.sources.source import SourceError

LEAST_SECONDS, MOST_SECONDS = 0.5, 3600.0
MOST_WINDOW = 1.0
"""Seconds of one window at most: so much is lost when a recording fails."""

STARTS_UP = 3.0
"""Age in seconds up to which a process that does not look like Python may only be starting."""

NOTHING_YET = Absent(State.NOT_COLLECTED, "interrupted before the first samples were read")


class ProfileOutcome(NamedTuple):
    """What was sampled, None when nothing was; `problem` is what ended or disturbed the run.

    `over`: whether the process has ended, so that there will be no more.
    """

    calls: TopCalls | None
    problem: Absent | None = None
    over: bool = False


class ProfileRun:
    """One profile from its begin to its end.

    `request` says how, as in ProfileRequest; its window and stacks do not matter, all is kept.
    `rate` is the most samples per second. `run` belongs to one thread, `stop` to any. Raises
    ValueError for a request, rate or length outside their ranges.
    """

    def __init__(
        self, pid: int, request: ProfileRequest, seconds: float, rate: float = 100.0
    ) -> None:
        if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
            raise ValueError(
                f"a profile lasts {LEAST_SECONDS:g} to {MOST_SECONDS:g} s, not {seconds:g}"
            )
        self.pid = pid
        self.seconds = seconds
        rest = seconds - FIRST_WINDOW
        self._window = rest / max(1, math.ceil(rest / MOST_WINDOW))
        self._request = msgspec.structs.replace(request, window=0.0, stacks=True)
        self._source = ProfileSource(
            mode=request.mode,
            rate=max(1, round(rate)),
            window=0.0,
            refresh=self._window,
            gil=request.gil,
            idle=request.idle,
            native=request.native,
            subprocesses=request.subprocesses,
            opening=False,
        )
        self._stopped = threading.Event()
        self.latest: TopCalls | None = None

    def stop(self) -> None:
        """End early, from any thread; what was sampled so far is the outcome."""
        self._stopped.set()
        self._source.close()

    def run(self, told: Callable[[TopCalls], None] = lambda calls: None) -> ProfileOutcome:
        """Profile until the seconds are over and return what was found.

        `told` gets all that was sampled so far, about once a second. Raises KeyboardInterrupt on
        Ctrl-C; `latest` then is what was sampled.
        """
        self._source.select(Selection(profile=self._request))
        self._source.set_target(self.pid)
        begin: float | None = None
        try:
            while not self._stopped.is_set():
                try:
                    calls = self._source.sample()
                except SourceError as error:
                    outcome = self._judged(error.absent, begin)
                    if outcome is not None:
                        return outcome
                    continue
                self.latest = calls
                if begin is None:
                    begin = time.monotonic() - calls.window
                told(calls)
                # Windows end with the profile but for the time between two of them.
                if time.monotonic() + self._window / 2 >= begin + self.seconds:
                    return ProfileOutcome(calls)
        finally:
            self._source.close()
        return ProfileOutcome(self.latest, None if self.latest is not None else NOTHING_YET)

    def _judged(self, problem: Absent, begin: float | None) -> ProfileOutcome | None:
        """Return what a failed attempt means for the whole, None to try again."""
        if self._stopped.is_set():
            return ProfileOutcome(self.latest, None if self.latest is not None else NOTHING_YET)
        if begin is None:
            if problem == not_python(self.pid) and _age(self.pid) < STARTS_UP:
                return None
            return ProfileOutcome(None, problem)
        if problem == ended(self.pid):
            return ProfileOutcome(self.latest, problem, over=True)
        if time.monotonic() >= begin + self.seconds:
            return ProfileOutcome(self.latest, problem)
        return None


def _age(pid: int) -> float:
    """Return the age of a process in seconds, infinite where it is not known."""
    state = process_state(pid)
    if state is None or not state.started:
        return math.inf
    return time.clock_gettime(time.CLOCK_BOOTTIME) - state.started / os.sysconf("SC_CLK_TCK")
