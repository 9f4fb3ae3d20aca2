"""What a fork and the end of the interpreter do to the Reporters of a process."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from multiprocessing import util as multiprocessing_util
from typing import TYPE_CHECKING

from perftui.metrics.reported_process import forget_parent

if TYPE_CHECKING:
    from perftui.metrics.reporter_life import Reporting

EXIT_SECONDS = 0.4
"""Seconds that the last reports may take in all when the interpreter ends."""
REST_SECONDS = 0.1
"""Seconds that a fork waits for a report on its way: its locks and its connection must not be
copied half-way. Redis hangs when that is not enough, and then the thread only waits."""
INHERIT_SECONDS = 0.25
"""Seconds that a forked process waits until it is known what it inherited.

A lock that another thread held at the fork can make that impossible; it takes a millisecond.
"""

_running: dict[int, Reporting] = {}
_resting: dict[int, list[Callable[[], None]]] = {}
_hooked = False


def enter(reporting: Reporting) -> None:
    """Look after a Reporter that began to report, and keep it alive."""
    global _hooked
    _running[id(reporting)] = reporting
    if not _hooked:
        _hooked = True
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=_after_fork_in_parent,
            after_in_child=_after_fork_in_child,
        )
        atexit.register(stop_all)
        # A child of multiprocessing ends without atexit, and forgets finalizers it inherited.
        multiprocessing_util.register_after_fork(_running_keeper, _finish_with_child)
        _finish_with_child(_running_keeper)


def leave(reporting: Reporting) -> None:
    """Forget a Reporter that was told to stop."""
    _running.pop(id(reporting), None)


def stop_all() -> None:
    """Send the last report of every Reporter, within 0.4 s in all."""
    ending = list(_running.values())
    for reporting in ending:
        reporting.begin_stop()
    deadline = time.monotonic() + EXIT_SECONDS
    for reporting in ending:
        reporting.join(deadline - time.monotonic())


def take_leave() -> None:
    """Send what may be the last report of every Reporter, within 0.4 s in all; they go on."""
    said = [reporting.take_leave() for reporting in list(_running.values())]
    deadline = time.monotonic() + EXIT_SECONDS
    for event in said:
        if event is not None:
            event.wait(max(0.0, deadline - time.monotonic()))


class _Keeper:
    """Something to hang the hook of multiprocessing on, which refers to it weakly."""


_running_keeper = _Keeper()


def _finish_with_child(_: _Keeper) -> None:
    multiprocessing_util.Finalize(None, stop_all, exitpriority=-1)


def _before_fork() -> None:
    deadline = time.monotonic() + REST_SECONDS
    rests = [reporting.rest(deadline - time.monotonic()) for reporting in list(_running.values())]
    # Two threads may fork at the same time.
    _resting[threading.get_ident()] = [go_on for go_on in rests if go_on is not None]


def _after_fork_in_parent() -> None:
    for go_on in _resting.pop(threading.get_ident(), ()):
        go_on()


def _after_fork_in_child() -> None:
    _resting.clear()
    forget_parent()
    ready = [reporting.after_fork() for reporting in list(_running.values())]
    deadline = time.monotonic() + INHERIT_SECONDS
    for event in ready:
        event.wait(max(0.0, deadline - time.monotonic()))
