"""Ends the program when the terminal or the system says so, even if the event loop is stuck.

Wiring::

    with TerminalGuard() as guard:             # main thread, before the app and heavy imports
        app = PerftuiApp(guard=guard, ...)
        guard.on_hard_exit(stop_children)      # what must not outlive the program
        app.run()
    sys.exit(guard.exit_code or app.return_code or 0)

and in the app::

    def on_mount(self) -> None:
        self.guard.attach(self)                # from now on signals end the app cleanly

A signal or a hang-up asks the app to exit with 128 plus the signal's number; where the process is
still there `patience` seconds later, the terminal is reset and the process ended from the guard's
thread. Between `start` and `attach` there is no app to ask, so the same happens then.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable
from time import monotonic
from types import FrameType, TracebackType
from typing import Any

from textual.app import App

from perftui.tui.cell_diff import terminal_driver
from perftui.tui.loop_calls import call_soon
from perftui.tui.terminal import force_reset
from perftui.tui.terminal_writer import open_terminal

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

PATIENCE = 1.5
"""Seconds between asking the app to exit and ending the process."""

CLEANUP_PATIENCE = 1.0
"""Seconds that all cleanups together may take on a hard exit."""

HUNG_UP = select.POLLHUP | select.POLLERR


class TerminalGuard:
    """Watches a terminal for its hang-up and the process for signals, from one sleeping thread."""

    def __init__(self, *, fd: int | None = None, patience: float = PATIENCE) -> None:
        """Watch the terminal behind `fd`, which is stdin unless told otherwise."""
        stdin = sys.__stdin__
        self._fd = fd if fd is not None else stdin.fileno() if stdin is not None else 0
        self._patience = patience
        self._attributes: list[Any] | None = None
        self._cleanups: list[Callable[[], None]] = []
        self._app: App[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ask: Callable[[], object] | None = None
        self._asked = False
        self._suspended = False
        self._exit_code: int | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._wake = self._wake_write = -1
        self._former_handlers: dict[signal.Signals, Any] = {}
        self._former_wakeup = -1

    @property
    def exit_code(self) -> int | None:
        """128 plus the number of the signal that ended the program; None when none did."""
        return self._exit_code

    def on_hard_exit(self, cleanup: Callable[[], None]) -> None:
        """Register what to do before the process is ended by force; called in another thread.

        All calls together get CLEANUP_PATIENCE seconds.
        """
        self._cleanups.append(cleanup)

    def start(self) -> None:
        """Remember the terminal's settings and begin to watch; call from the main thread."""
        try:
            self._attributes = termios.tcgetattr(self._fd)
        except termios.error:
            self._attributes = None
        self._wake, self._wake_write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._wake_write, False)
        # The C handler writes the signal's number at once, whatever the main thread is doing.
        self._former_wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in SIGNALS:
            # What nohup or the shell ignores stays ignored; a hang-up is seen by poll anyway.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._former_handlers[number] = signal.signal(number, self._on_signal)
        self._thread = threading.Thread(target=self._watch, daemon=True, name="terminal-guard")
        self._thread.start()

    def attach(self, app: App[Any], leave: Callable[[int], None] | None = None) -> None:
        """Ask this app to exit from now on; call from `on_mount`.

        `leave` gets the exit code, in the event loop; without it, `app.exit(return_code=code)`.
        """
        driver = app._driver
        if driver is None:
            return
        loop = driver._loop

        def ask() -> None:
            code = self._exit_code or 0
            if leave is None:
                app.exit(return_code=code)
            else:
                leave(code)

        self._app = app
        self._loop = loop
        self._ask = ask
        app.app_suspend_signal.subscribe(app, self._on_suspend, immediate=True)
        app.app_resume_signal.subscribe(app, self._on_resume, immediate=True)
        self._poke(0)

    def stop(self) -> None:
        """Stop watching, and put signal handlers and the terminal back; call from main thread."""
        if self._thread is None:
            return
        self._stopped.set()
        self._poke(0)
        self._thread.join(1.0)
        self._thread = None
        for number, handler in self._former_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_wakeup)
        self._former_handlers.clear()
        os.close(self._wake)
        os.close(self._wake_write)
        if self._owns_terminal():
            force_reset(self._fd, self._attributes)

    def __enter__(self) -> TerminalGuard:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, whatever happened."""
        self.stop()

    def _on_suspend(self, _app: App[Any]) -> None:
        self._suspended = True

    def _on_resume(self, _app: App[Any]) -> None:
        self._suspended = False

    def _owns_terminal(self) -> bool:
        """True when the screen's modes are still set."""
        driver = None if self._app is None else terminal_driver(self._app)
        return driver is not None and driver.in_application_mode

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # Normally told already; this is for a wakeup descriptor that another library has taken.
        self._poke(number)

    def _poke(self, number: int) -> None:
        try:
            os.write(self._wake_write, bytes([number]))
        except BlockingIOError:
            return  # Full of wake-ups already.

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._fd, 0)
        poll.register(self._wake, select.POLLIN)
        deadline: float | None = None
        while not self._stopped.is_set():
            timeout = None if deadline is None else max(0.0, deadline - monotonic()) * 1000
            for fd, events in poll.poll(timeout):
                if fd == self._wake:
                    self._read_signals()
                    continue
                poll.unregister(fd)  # It would be reported again and again.
                if events & HUNG_UP:
                    self._note(signal.SIGHUP)
            if self._exit_code is None:
                continue
            if deadline is None:
                deadline = monotonic() + self._patience
            if not self._asked and self._loop is not None and self._ask is not None:
                self._asked = True
                call_soon(self._loop, self._ask)
            if monotonic() >= deadline:
                self._end_process(self._exit_code)

    def _read_signals(self) -> None:
        for number in os.read(self._wake, 512):
            if number not in SIGNALS:
                # SIGWINCH or SIGCONT: the kernel may hand it to a thread other than the main
                # one, whose loop then sleeps on and runs no handler.
                if number and self._loop is not None:
                    call_soon(self._loop, wake_up)
                continue
            # ctrl+c while another program has the terminal is meant for that program.
            if number == signal.SIGINT and self._suspended:
                continue
            self._note(signal.Signals(number))

    def _note(self, number: signal.Signals) -> None:
        if self._exit_code is None:
            self._exit_code = 128 + number

    def _end_process(self, code: int) -> None:
        if self._app is None or terminal_driver(self._app) is None or self._owns_terminal():
            force_reset(self._fd, self._attributes)
        # From a thread of its own, so that one that hangs does not keep the process.
        cleaning = threading.Thread(target=self._clean_up, daemon=True, name="terminal-guard-clean")
        cleaning.start()
        cleaning.join(CLEANUP_PATIENCE)
        os._exit(code)

    def _clean_up(self) -> None:
        for cleanup in self._cleanups:
            try:
                cleanup()
            except Exception as error:  # The next one must run, and then the process must end.
                self._complain(f"perftui: {cleanup!r} failed on exit: {error!r}\n")

    def _complain(self, text: str) -> None:
        try:
            own = open_terminal(self._fd)
            os.write(own, text.encode("utf-8", "replace"))
        except OSError:
            return  # Nobody is left to be told.


def wake_up() -> None:
    """Do nothing: the interpreter runs pending signal handlers before the call."""
