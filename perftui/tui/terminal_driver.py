"""Textual's driver with better manners: it never blocks, never spins and asks for less.

- Output goes through a TerminalWriter, so a terminal that stalls stops neither keys nor the exit.
- Input sleeps until there is some; the end of input ends the app instead of spinning.
- The mouse reports clicks and the wheel, not every move (each costs bytes both ways over SSH).
- SIGCONT after a plain SIGSTOP takes the terminal back instead of starting everything twice.
"""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import sys
from codecs import getincrementaldecoder
from time import monotonic
from typing import Any

from textual import constants
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from perftui.tui.loop_calls import call_soon
from perftui.tui.terminal import force_reset
from perftui.tui.terminal_meter import TerminalMeter
from perftui.tui.terminal_writer import TerminalWriter, new_selector

HANGUP_CODE = 129
"""128 + SIGHUP: what a shell reports for a program that lost its terminal."""

FAREWELL_PATIENCE = 0.5
"""Seconds that a terminal gets to take the last output."""

EMPTY_READS = 5
"""So many reads without a byte in a row mean the end of input."""


class TerminalDriver(LinuxDriver):
    """Display and input of a real terminal."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Take the same arguments as Textual's driver."""
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.meter = TerminalMeter()
        self.in_application_mode = False
        self._output = (self._file or sys.stderr).fileno()
        self._writer: TerminalWriter | None = None
        self._wake_input, self._wake_input_write = os.pipe()
        os.set_blocking(self._wake_input, False)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the app runs in."""
        return self._loop

    @property
    def writer(self) -> TerminalWriter | None:
        """The running writer, if any: there is none while the app is suspended."""
        return self._writer

    def write(self, data: str) -> None:
        """Queue data for the terminal; dropped when the screen does not own the terminal."""
        if self._writer is not None:
            self._writer.write(data)

    def start_application_mode(self) -> None:
        """Take the terminal over."""
        if self._writer is None:
            self._writer = TerminalWriter(self._output, self.meter)
            self._writer.start()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        # Textual returns early, without an input thread, when it runs in the background.
        self.in_application_mode = self._key_thread is not None

    def stop_application_mode(self) -> None:
        """Give the terminal back."""
        super().stop_application_mode()
        self.in_application_mode = False

    def disable_input(self) -> None:
        """Stop the input thread and wait for its end."""
        os.write(self._wake_input_write, b"x")
        super().disable_input()
        try:
            while os.read(self._wake_input, 64):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Let the terminal take the last output, or reset it by force if it takes none."""
        writer, self._writer = self._writer, None
        if writer is not None and not writer.stop(FAREWELL_PATIENCE):
            force_reset(self._output, self.attrs_before)
        super().close()

    def _sigcont_application(self, *_: object) -> None:
        if not self._auto_restart:
            return
        if self.in_application_mode:
            # Stopped by SIGSTOP: nothing was handed back, but the shell had the terminal since.
            # Not from here: a signal handler may have interrupted the writer's caller.
            call_soon(self._loop, self._retake)
        else:
            self.resume_application_mode()

    def _retake(self) -> None:
        if self.in_application_mode:
            self.suspend_application_mode()
            self._must_signal_resume = True
            self.resume_application_mode()

    def _get_terminal_size(self) -> tuple[int, int]:
        try:
            # The terminal itself, not COLUMNS and LINES: those do not change on a resize.
            width, height = os.get_terminal_size(self._output)
        except OSError:
            return super()._get_terminal_size()
        return (width, height) if width and height else super()._get_terminal_size()

    def _enable_mouse_support(self) -> None:
        if self._mouse:
            self.write("\x1b[?1000h\x1b[?1006h")

    def _disable_mouse_support(self) -> None:
        if self._mouse:
            self.write("\x1b[?1016l\x1b[?1006l\x1b[?1000l")

    def run_input_thread(self) -> None:
        """Read keys until told to stop or until the terminal is gone."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        # An escape key is told from an escape sequence by a pause, which tick() looks for.
        settle = constants.ESCAPE_DELAY + 0.2
        last_input = monotonic()
        empty = 0
        with new_selector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            selector.register(self._wake_input, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                settled = monotonic() - last_input > settle
                ready = {key.fd for key, _ in selector.select(None if settled else 0.05)}
                if self.fileno in ready:
                    data = self._read_input()
                    empty = 0 if data else empty + 1
                    if not data and (empty >= EMPTY_READS or is_hung_up(self.fileno)):
                        self._end_of_input()
                        break
                    if data:
                        last_input = monotonic()
                        for event in parser.feed(decode(data)):
                            self.process_message(event)
                elif self._wake_input in ready:
                    self.exit_event.wait(0.05)
                for event in parser.tick():
                    self.process_message(event)
        try:
            for _ in parser.feed(""):
                pass
        except (EOFError, ParseError):
            pass

    def _read_input(self) -> bytes:
        try:
            return os.read(self.fileno, 4096)
        except OSError:
            return b""

    def _end_of_input(self) -> None:
        def leave() -> None:
            self._app.exit(return_code=HANGUP_CODE)

        call_soon(self._loop, leave)


def is_hung_up(fd: int) -> bool:
    """True when the other side of a terminal is closed."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))
