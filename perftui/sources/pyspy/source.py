"""The functions in which one chosen Python process spends its CPU time, as py-spy sees them."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from typing import NamedTuple

from perftui.profiling.pause_budget import MODES, Mode
from perftui.snapshot import Absent, ProfileRequest, Selection, State, TopCalls
from perftui.sources.pyspy.kept import LONGEST_WINDOW
from perftui.sources.pyspy.options import Options
from perftui.sources.pyspy.preflight import Preflight, preflight
from perftui.sources.pyspy.problems import NO_PROCESS
from perftui.sources.pyspy.process import SAFETY_NET, find_py_spy
from perftui.sources.pyspy.session import ProfileSession
from perftui.sources.source import SourceError

__all__ = ["Preflight", "ProfileSource", "find_py_spy", "preflight"]

IDLE_WAIT = 0.5
"""Seconds `sample` waits for a process to be chosen before it says that there is none."""

BACK_OFF = 1.0
"""Seconds between two attempts on a process that cannot be read."""

RESTING = Absent(State.NOT_COLLECTED, "nothing shows it, so nothing is sampled")

CLOSING = 2.0
"""Seconds `close` waits for a sample that runs in another thread."""


class _Wish(NamedTuple):
    """What is to be profiled, and how.

    `target` grows whenever a process is chosen, `resets` whenever all shall begin anew.
    """

    pid: int | None
    request: ProfileRequest
    target: int = 0
    resets: int = 0
    resting: bool = False


class ProfileSource:
    """Samples one process, or a tree, in short windows and returns the table of the latest ones.

    `mode`, `window`, `gil`, `idle`, `native` and `subprocesses` are what is sampled and shown where
    the selection does not say (see ProfileRequest), `rate` the most samples per second, `refresh`
    the seconds between two tables, `opening` whether the first seconds may have more samples, so
    that a table is right soon. `sample` paces itself: it blocks until the next window is
    complete. Raises ValueError for settings outside their ranges.
    """

    name = "top_calls"
    interval = 0.0
    deadline = 6.0

    def __init__(
        self,
        mode: str = "auto",
        rate: int = 100,
        window: float = 5.0,
        refresh: float = 1.0,
        *,
        gil: bool = False,
        idle: bool = False,
        native: bool = False,
        subprocesses: bool = False,
        opening: bool = True,
    ) -> None:
        if not 1 <= rate <= 1000:
            raise ValueError(f"the sampling rate is 1 to 1000 per second, not {rate}")
        if not 0.1 <= refresh <= SAFETY_NET / 2:
            raise ValueError(f"a table comes every 0.1 to {SAFETY_NET / 2:g} s, not {refresh}")
        self._rate = rate
        self._refresh = refresh
        self._opening = opening
        self._default = _checked(
            ProfileRequest(
                mode=mode,
                gil=gil,
                idle=idle,
                native=native,
                subprocesses=subprocesses,
                window=window,
            )
        )
        self._wish = _Wish(None, self._default)
        self._wish_lock = threading.Lock()
        self._sampling = threading.Lock()
        self._closed = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._session: ProfileSession | None = None
        self._served = self._wish
        self._problem: Absent | None = None
        self._retry = 0.0

    @property
    def target(self) -> int | None:
        """Id of the process that is profiled."""
        return self._wish.pid

    @property
    def request(self) -> ProfileRequest:
        """How the process is profiled and what of it is looked at."""
        return self._wish.request

    def set_target(self, pid: int | None) -> None:
        """Profile another process, none for None; takes effect at once, from any thread.

        One that cannot be read is tried anew, as whatever process has this id now.
        """
        with self._wish_lock:
            old = self._wish
            if pid == old.pid and self._problem is None:
                return
            self._wish = old._replace(pid=pid, target=old.target + 1)
        self._wake()

    def select(self, selection: Selection) -> None:
        """Profile as the selection says, from any thread.

        Another way of sampling begins anew at once, another window shows what was sampled before.
        Raises ValueError for a mode or window that there is not.
        """
        wanted = self._default if selection.profile is None else _checked(selection.profile)
        with self._wish_lock:
            if wanted == self._wish.request:
                return
            self._wish = self._wish._replace(request=wanted)
        self._wake()

    def reset(self) -> None:
        """Forget what was sampled and begin anew, from any thread."""
        with self._wish_lock:
            self._wish = self._wish._replace(resets=self._wish.resets + 1)
        self._wake()

    def rest(self, resting: bool) -> None:
        """End py-spy while nobody looks, from any thread; what was sampled is kept."""
        with self._wish_lock:
            if resting == self._wish.resting:
                return
            self._wish = self._wish._replace(resting=resting)
        self._wake()
        # A source that rests may not be asked for samples any more, and py-spy must not go on.
        if resting:
            threading.Thread(target=self._end_py_spy, name="profile-rest", daemon=True).start()

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
            known = self._serve(wish)
            if known is not None:
                return known
            session = self._session
            if session is None or wish.resting:
                if self._rest(IDLE_WAIT):
                    continue
                absent = NO_PROCESS if session is None else RESTING
                raise SourceError(absent.state, absent.reason, absent.fix)
            if self._problem is not None and self._rest(self._retry - time.monotonic()):
                continue
            table = self._ask(session, wish.request)
            if table is not None:
                return table
        raise SourceError(State.NOT_COLLECTED, "the profiler was closed")

    def _ask(self, session: ProfileSession, request: ProfileRequest) -> TopCalls | None:
        try:
            table = session.next_table(request)
        except SourceError as error:
            self._problem = error.absent
            self._retry = time.monotonic() + BACK_OFF
            raise
        if table is not None:
            self._problem = None
        return table

    def _serve(self, wish: _Wish) -> TopCalls | None:
        """Do what changed in the wish; return a table if there is one to be seen at once."""
        served, self._served = self._served, wish
        if wish == served:
            return None
        options = _options(wish.request, self._rate, self._refresh, self._opening)
        session = self._session
        same = session is not None and wish.target == served.target
        if not same or session is None or session.options != options:
            # Only who chooses a process again may mean another one with its id.
            identity = session.identity if session is not None and same else None
            if session is not None:
                session.close()
            self._problem = None
            self._session = None
            if wish.pid is not None:
                self._session = ProfileSession(wish.pid, options, self._wake_read, identity)
            return None
        if wish.resets != served.resets:
            session.reset()
            return None
        if wish.resting:
            session.close()
            return None
        if wish.request != served.request and self._problem is None:
            return session.table_now(wish.request)
        return None

    def _end_py_spy(self) -> None:
        # A sample that runs has been woken and does it itself.
        if self._sampling.acquire(blocking=False):
            try:
                if self._session is not None and self._wish.resting:
                    self._session.close()
            finally:
                self._sampling.release()

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
        with self._wish_lock:
            if self._wake_write >= 0:
                os.close(self._wake_read)
                os.close(self._wake_write)
                self._wake_write = -1


def _options(request: ProfileRequest, rate: int, refresh: float, opening: bool) -> Options:
    return Options(
        mode=_mode(request.mode),
        rate=rate,
        refresh=refresh,
        gil=request.gil,
        idle=request.idle,
        native=request.native,
        subprocesses=request.subprocesses,
        opening=opening,
    )


def _checked(request: ProfileRequest) -> ProfileRequest:
    """Return the request; ValueError for an unknown mode or window."""
    _mode(request.mode)
    window = request.window
    if not (window == 0 or 0.1 <= window <= LONGEST_WINDOW):
        raise ValueError(
            f"the sliding window is 0.1 to {LONGEST_WINDOW:g} s, or 0 for all, not {window}"
        )
    return request


def _mode(text: str) -> Mode:
    for mode in MODES:
        if mode == text:
            return mode
    raise ValueError(f"the mode is one of {', '.join(MODES)}, not {text!r}")
