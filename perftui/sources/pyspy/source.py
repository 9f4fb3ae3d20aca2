"""The functions in which one chosen Python process spends its CPU time, as py-spy sees them."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from typing import NamedTuple

from perftui.profiling.call_table import ProfileWindow
from perftui.profiling.pause_budget import MODES, Mode
from perftui.snapshot import Absent, State, TopCalls
from perftui.sources.pyspy.preflight import Preflight, preflight
from perftui.sources.pyspy.problems import NO_PROCESS
from perftui.sources.pyspy.process import SAFETY_NET, find_py_spy
from perftui.sources.pyspy.session import Options, ProfileSession
from perftui.sources.source import SourceError

__all__ = ["Preflight", "ProfileSource", "find_py_spy", "preflight"]

IDLE_WAIT = 0.5
"""Seconds `sample` waits for a process to be chosen before it says that there is none."""

BACK_OFF = 1.0
"""Seconds between two attempts on a process that cannot be read."""

CLOSING = 2.0
"""Seconds `close` waits for a sample that runs in another thread."""


class _Wish(NamedTuple):
    """What is to be profiled; `number` grows with every change, so that none is missed."""

    number: int
    pid: int | None
    mode: Mode


class ProfileSource:
    """Samples one process in short windows and returns the table of the last `window` seconds.

    `mode` is "auto", "exact" or "safe" (see choose_plan), `rate` the most samples per second,
    `refresh` the seconds between two tables, at most `window`. `sample` paces itself: it blocks
    until the next window is complete. Raises ValueError for settings outside these ranges.
    """

    name = "top_calls"
    interval = 0.0
    deadline = 6.0

    def __init__(
        self, mode: str = "auto", rate: int = 100, window: float = 5.0, refresh: float = 1.0
    ) -> None:
        if not 1 <= rate <= 1000:
            raise ValueError(f"the sampling rate is 1 to 1000 per second, not {rate}")
        if not 0.1 <= refresh <= SAFETY_NET / 2:
            raise ValueError(f"a table comes every 0.1 to {SAFETY_NET / 2:g} s, not {refresh}")
        if not 0.1 <= window <= 3600:
            raise ValueError(f"the sliding window is 0.1 to 3600 s, not {window}")
        self._rate = rate
        self._window = window
        self._refresh = min(refresh, window)
        self._wish = _Wish(0, None, _mode(mode))
        self._wish_lock = threading.Lock()
        self._sampling = threading.Lock()
        self._closed = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._session: ProfileSession | None = None
        self._served = 0
        self._problem: Absent | None = None
        self._retry = 0.0
        self._windows: tuple[ProfileWindow, ...] = ()

    @property
    def target(self) -> int | None:
        """Id of the process that is profiled."""
        return self._wish.pid

    @property
    def mode(self) -> Mode:
        """The mode that was asked for."""
        return self._wish.mode

    @property
    def windows(self) -> tuple[ProfileWindow, ...]:
        """Stacks of the sliding window, oldest first, for caller, callee and flame views."""
        return self._windows

    def set_target(self, pid: int | None) -> None:
        """Profile another process, none for None; takes effect at once, from any thread."""
        self._change(pid=pid, mode=self._wish.mode)

    def set_mode(self, mode: str) -> None:
        """Sample in another mode from now on, from any thread; ValueError for an unknown one."""
        self._change(pid=self._wish.pid, mode=_mode(mode))

    def sample(self) -> TopCalls:
        """Return the calls of the sliding window when its next part is complete.

        Raises SourceError when no process is chosen or the chosen one cannot be read; it is tried
        again once a second, so the table comes back by itself.
        """
        with self._sampling:
            try:
                return self._next_table()
            finally:
                if self._closed:
                    self._release()

    def close(self) -> None:
        """End py-spy, from any thread; `sample` raises SourceError from then on."""
        self._closed = True
        self._wake()
        # A sample that runs sees the flag and releases everything itself.
        if self._sampling.acquire(timeout=CLOSING):
            try:
                self._release()
            finally:
                self._sampling.release()

    def _next_table(self) -> TopCalls:
        while not self._closed:
            self._forget_wakes()
            wish = self._wish
            if wish.number != self._served:
                self._serve(wish)
            session = self._session
            if session is None:
                if self._rest(IDLE_WAIT):
                    continue
                raise SourceError(NO_PROCESS.state, NO_PROCESS.reason, NO_PROCESS.fix)
            if self._problem is not None and self._rest(self._retry - time.monotonic()):
                continue
            table = self._ask(session)
            if table is not None:
                return table
        raise SourceError(State.NOT_COLLECTED, "the profiler was closed")

    def _ask(self, session: ProfileSession) -> TopCalls | None:
        try:
            table = session.next_table()
        except SourceError as error:
            self._problem = error.absent
            self._retry = time.monotonic() + BACK_OFF
            self._windows = ()
            raise
        self._problem = None
        self._windows = session.windows
        return table

    def _serve(self, wish: _Wish) -> None:
        """Leave the old process and turn to the new one."""
        if self._session is not None:
            self._session.close()
        self._windows = ()
        self._problem = None
        self._served = wish.number
        self._session = None
        if wish.pid is not None:
            options = Options(wish.mode, self._rate, self._window, self._refresh)
            self._session = ProfileSession(wish.pid, options, self._wake_read)

    def _change(self, pid: int | None, mode: Mode) -> None:
        with self._wish_lock:
            old = self._wish
            if (pid, mode) == (old.pid, old.mode) and self._problem is None:
                return
            self._wish = _Wish(old.number + 1, pid, mode)
        self._wake()

    def _rest(self, seconds: float) -> bool:
        """Wait; True when woken before the time is over."""
        if seconds <= 0:
            return False
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _wake(self) -> None:
        # A full pipe wakes as well as one more byte; a closed one belongs to a closed source.
        with self._wish_lock, contextlib.suppress(BlockingIOError):
            if self._wake_write >= 0:
                os.write(self._wake_write, b"x")

    def _forget_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _release(self) -> None:
        """End py-spy and close the pipe; the lock of `sample` is held."""
        if self._session is not None:
            self._session.close()
            self._session = None
        self._windows = ()
        with self._wish_lock:
            if self._wake_write >= 0:
                os.close(self._wake_read)
                os.close(self._wake_write)
                self._wake_write = -1


def _mode(text: str) -> Mode:
    for mode in MODES:
        if mode == text:
            return mode
    raise ValueError(f"the mode is one of {', '.join(MODES)}, not {text!r}")
