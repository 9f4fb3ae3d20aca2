"""What SIGTERM, a fork and the end of the interpreter do to the pool agents of a process."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

EXIT_SECONDS = 0.4
"""Seconds that leaving the pool may take when the interpreter ends without `stop`."""

_logger = logging.getLogger("perftui")


class Agent(Protocol):
    @property
    def left(self) -> threading.Event: ...
    def begin_drain(self, seconds: float | None = None) -> None: ...
    def after_fork(self) -> None: ...


_running: dict[int, Agent] = {}
_hooked = False
_previous: Any = None
_installed = False
_draining = False
_pid = os.getpid()


def enter(agent: Agent, handle_sigterm: bool) -> None:
    """Look after an agent that began to beat, and keep it alive."""
    global _hooked
    _running[id(agent)] = agent
    if not _hooked:
        _hooked = True
        os.register_at_fork(after_in_child=_after_fork_in_child)
        atexit.register(_leave_at_exit)
    if handle_sigterm:
        _install()


def leave(agent: Agent) -> None:
    """Forget an agent that left the pool; the last one gives SIGTERM back."""
    _running.pop(id(agent), None)
    if not _running:
        _restore()


def _install() -> None:
    global _previous, _installed, _draining
    if _installed or threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGTERM)
    if handler is None or _is_of_asyncio(handler):
        # It would act on the signal at once, before and beside anything that is put in its place.
        return
    _previous, _installed, _draining = handler, True, False
    signal.signal(signal.SIGTERM, _on_sigterm)


def _restore() -> None:
    global _installed
    main = threading.current_thread() is threading.main_thread()
    if _installed and main and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, _previous)
        _installed = False


def _is_of_asyncio(handler: Any) -> bool:
    """Return whether an event loop handles the signal, by the function it puts in the way."""
    loop: Callable[..., Any] | None = vars(asyncio.unix_events).get("_sighandler_noop")
    return handler is loop


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    """Drain at the first signal; hand it on when that is done, at the second, or in a child."""
    global _draining
    if _draining or not _running:
        _hand_on(number, frame)
        return
    _draining = True
    agents = list(_running.values())
    for agent in agents:
        agent.begin_drain()
    threading.Thread(
        target=_signal_again, args=(agents,), name="perftui-pool-drain", daemon=True
    ).start()


def _signal_again(agents: list[Agent]) -> None:
    for agent in agents:
        agent.left.wait()
    # Handlers run in the main thread, which must be woken if it waits for something.
    main = threading.main_thread().ident
    if _installed and main is not None:
        signal.pthread_kill(main, signal.SIGTERM)


def _hand_on(number: int, frame: FrameType | None) -> None:
    global _installed
    previous = _previous
    for agent in list(_running.values()):
        agent.begin_drain(0.0)
    signal.signal(signal.SIGTERM, previous)
    _installed = False
    if callable(previous):
        previous(number, frame)
    elif previous == signal.SIG_DFL:
        for agent in list(_running.values()):
            agent.left.wait(EXIT_SECONDS)
        os.kill(os.getpid(), number)


def _leave_at_exit() -> None:
    if os.getpid() != _pid:
        return
    agents = list(_running.values())
    for agent in agents:
        agent.begin_drain(0.0)
    for agent in agents:
        agent.left.wait(EXIT_SECONDS / len(agents))


def _after_fork_in_child() -> None:
    global _pid, _draining
    _pid = os.getpid()
    _draining = False
    for agent in list(_running.values()):
        agent.after_fork()
