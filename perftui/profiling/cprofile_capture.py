"""One capture by cProfile, with what each interpreter lets it see.

Up to Python 3.11 a profiler belongs to one thread. Threads that begin later are followed through
threading.setprofile(), each by a profiler of its own; those that run already cannot be reached.
From 3.12 on cProfile is the tool 2 of sys.monitoring (PEP 669): it hears all threads of the
process and puts their calls on one stack, so that times are right only while one thread runs.
"""

from __future__ import annotations

import atexit
import cProfile
import gc
import os
import sys
import threading
import time
from types import FrameType
from typing import Any, Protocol

from perftui.profiling.cprofile_tally import Tally, hide
from perftui.profiling.profiler_errors import OtherProfilerError

OWN_THREADS = "perftui-"
"""How the names of the threads begin that belong to perftui, which nobody asked about."""


class Capture(Protocol):
    """What was recorded from one start on; `begin` and `end` may come again and add to it."""

    pid: int
    started: float

    def begin(self) -> None:
        """Record from now on; raises OtherProfilerError where another profiler is active."""

    def end(self) -> None:
        """Record no more, from whatever thread."""

    def forget(self) -> None:
        """Let go of the interpreter in a process that was forked meanwhile."""

    def add_to(self, tally: Tally) -> None:
        """Add all that was recorded so far; recording goes on. From whatever thread."""

    @property
    def seconds(self) -> float:
        """How long it has recorded."""

    @property
    def threads(self) -> int:
        """How many threads were recorded, as far as that is known."""

    def limits(self) -> list[str]:
        """Return what is not to be seen in it, a clause each."""


class _Clock:
    """How long something has been going on, with breaks."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    def begin(self) -> None:
        self._since = time.monotonic()

    def end(self) -> None:
        if self._since is not None:
            self._before += time.monotonic() - self._since
            self._since = None

    @property
    def seconds(self) -> float:
        since = self._since
        return self._before + (0.0 if since is None else time.monotonic() - since)


class ThreadCapture:
    """A capture of the thread that begins it and of the threads that begin while it runs."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.started = time.monotonic()
        self._clock = _Clock()
        self._lock = threading.RLock()
        self._profile = cProfile.Profile()
        self._thread, self._ident = threading.current_thread(), threading.get_ident()
        self._followed: list[tuple[threading.Thread, cProfile.Profile]] = []
        self._begun = 0
        self._ended = Tally()
        self._active = False
        self._hook = self._follow
        self._hook_taken = False
        self._replaced = False
        self._unseen = 0

    def begin(self) -> None:
        other = _profiler_here()
        if other is not None:
            raise OtherProfilerError(
                f"this thread has a profiler already, {_name(other)}: end it first "
                "(sys.setprofile(None), or its own stop) or start this one in another thread"
            )
        _forget_departed()
        self._thread, self._ident = threading.current_thread(), threading.get_ident()
        self._unseen = max(self._unseen, _other_threads())
        self._hook_taken = threading.getprofile() is not None
        if not self._hook_taken:
            threading.setprofile(self._hook)
        self._active = True
        self._clock.begin()
        # Last: whatever came after it would be recorded.
        self._profile.enable()

    def end(self) -> None:
        self._active = False
        if threading.getprofile() == self._hook:
            threading.setprofile(None)
        self._clock.end()
        with self._lock:
            followed, self._followed = self._followed, []
            if threading.get_ident() != self._ident:
                followed.append((self._thread, self._profile))
                self._profile = cProfile.Profile()
            elif _profiler_here() is self._profile:
                self._profile.disable()
            else:
                self._replaced = True
                _departed.append((self._thread, self._profile))
                self._ended.add(self._profile.getstats())
                self._profile = cProfile.Profile()
            for thread, profile in followed:
                _take_off(thread, profile, self._ended)

    def forget(self) -> None:
        self._lock = threading.RLock()
        if threading.getprofile() == self._hook:
            threading.setprofile(None)
        profiles = [self._profile, *[profile for _, profile in self._followed]]
        mine = _profiler_here()
        if mine is None or any(profile is mine for profile in profiles):
            for profile in profiles:
                profile.disable()
        else:
            _departed.extend((self._thread, profile) for profile in profiles)

    def add_to(self, tally: Tally) -> None:
        with self._lock:
            profiles = [self._profile, *[profile for _, profile in self._followed]]
            collecting = _hold_collection()
            try:
                entries = [profile.getstats() for profile in profiles]
            finally:
                if collecting:
                    gc.enable()
            tally.merge(self._ended)
        for each in entries:
            tally.add(each)

    @property
    def seconds(self) -> float:
        return self._clock.seconds

    @property
    def threads(self) -> int:
        return 1 + self._begun

    def limits(self) -> list[str]:
        found = []
        if self._unseen:
            found.append(
                "a thread that ran before the start is not in it"
                if self._unseen == 1
                else f"{self._unseen} threads that ran before the start are not in it"
            )
        if self._hook_taken:
            found.append("new threads are not in it: threading.setprofile() is used by another")
        if self._replaced:
            found.append("another profiler took its place before the end")
        return found

    def _follow(self, frame: FrameType, event: str, argument: object) -> None:
        """Be the first profiler of a new thread, and put one in place that counts."""
        thread = threading.current_thread()
        if not self._active or thread.name.startswith(OWN_THREADS) or os.getpid() != self.pid:
            sys.setprofile(None)
            return
        with self._lock:
            profile = None
            for place, (before, theirs) in enumerate(self._followed):
                if not before.is_alive():
                    profile = theirs
                    self._followed[place] = thread, profile
                    break
            if profile is None:
                profile = cProfile.Profile()
                self._followed.append((thread, profile))
            self._begun += 1
        profile.enable()


class ProcessCapture:
    """A capture of all threads on one stack, from Python 3.12 on."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.started = time.monotonic()
        self._clock = _Clock()
        self._profile = cProfile.Profile()
        self._others = 0

    def begin(self) -> None:
        self._others = max(self._others, _other_stacks())
        self._clock.begin()
        try:
            self._profile.enable()
        except ValueError as error:
            # The text differs from version to version; there is only one cause.
            self._clock.end()
            raise OtherProfilerError(
                f"another profiler is active in this process ({error}): end it first; "
                "only one tool of sys.monitoring can be the profiler"
            ) from None

    def end(self) -> None:
        self._profile.disable()
        self._clock.end()
        self._others = max(self._others, _other_stacks())

    def forget(self) -> None:
        self._profile.disable()

    def add_to(self, tally: Tally) -> None:
        tally.add(self._profile.getstats())
        self._others = max(self._others, _other_stacks())
        code = threading.Thread.run.__code__
        began = tally.functions.get((code.co_qualname, code.co_filename, code.co_firstlineno))
        self._others = max(self._others, 0 if began is None else began.calls)

    @property
    def seconds(self) -> float:
        return self._clock.seconds

    @property
    def threads(self) -> int:
        return 1 + self._others

    def limits(self) -> list[str]:
        if not self._others:
            return []
        return [
            "this Python records all threads on one stack, and there was more than one: "
            "counts are right, times are not"
        ]


def new_capture() -> Capture:
    """Return a capture as this interpreter allows it."""
    return ThreadCapture() if sys.version_info < (3, 12) else ProcessCapture()


_departed: list[tuple[threading.Thread, cProfile.Profile]] = []
"""Profilers that are to leave a thread; freed while the thread is inside one, it would crash."""


def _take_off(thread: threading.Thread, profile: cProfile.Profile, ended: Tally) -> None:
    """Add what the profiler of another thread recorded, and let that thread take it off.

    Only a thread itself can do that. A clock of its own gives it the occasion: cProfile asks it at
    the next call or return.
    """
    alone = _profiler_here() is None
    if alone:
        # It ends the profiler of the thread that calls it, whosever it is.
        profile.disable()
    ended.add(profile.getstats())
    if thread.is_alive() or not alone:
        _departed.append((thread, profile))
        profile.__init__(timer=_depart)  # type: ignore[misc]


def _profiler_here() -> object:
    """Return the profiler of this thread; typeshed does not know that it can be a cProfile."""
    return sys.getprofile()


def _depart() -> float:
    mine = _profiler_here()
    if any(profile is mine for _, profile in _departed):
        sys.setprofile(None)
    return 0.0


def _forget_departed() -> None:
    """Free the profilers of threads that are not inside one: this one, and those that are gone.

    This thread must not have a profiler.
    """
    here = threading.current_thread()
    for gone in [each for each in _departed if each[0] is here or not each[0].is_alive()]:
        _departed.remove(gone)
        # The end of a profiler asks its clock once more.
        gone[1].__init__()  # type: ignore[misc]
        gone[1].disable()


def _give_clocks_back() -> None:
    """Let the interpreter end the profilers that are left when this module is gone."""
    for _, profile in _departed:
        profile.__init__()  # type: ignore[misc]


def _hold_collection() -> bool:
    """Collect no garbage until `gc.enable()`, and return whether it has been collected so far.

    A collection may let another thread run, in the middle of a walk through what it records. A
    function of its own, since calls count as the profiler's own only once their caller has ended.
    """
    collecting = gc.isenabled()
    gc.disable()
    return collecting


def _other_threads() -> int:
    """Return how many threads run beside this one, without those of perftui."""
    here = threading.current_thread()
    return sum(
        thread is not here and not thread.name.startswith(OWN_THREADS)
        for thread in threading.enumerate()
    )


def _other_stacks() -> int:
    """Return how many threads run Python beside this one; those of perftui disturb as well.

    By one call into C, as functions that it called would be recorded.
    """
    return len(sys._current_frames()) - 1


def _name(profiler: Any) -> str:
    if isinstance(profiler, cProfile.Profile):
        return "a cProfile"
    kind = type(profiler)
    named = profiler if hasattr(profiler, "__qualname__") else kind
    return f"{named.__module__}.{named.__qualname__}"


atexit.register(_give_clocks_back)
hide(_depart.__code__.co_filename)
