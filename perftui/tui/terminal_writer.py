"""Writes to the terminal from a thread of its own, and never waits for a terminal that stalls."""

from __future__ import annotations

import os
import selectors
import sys
import threading
from collections.abc import Callable

from perftui.tui.terminal_meter import TerminalMeter

CHUNK = 4096
"""Bytes per write(2); a pseudo-terminal takes about as many at once."""

STALL_CHECK = 0.1
"""Seconds between looks at the stop request while the terminal takes nothing."""


def open_terminal(fd: int) -> int:
    """A new non-blocking descriptor of the terminal behind `fd`; raises OSError if there is none.

    O_NONBLOCK belongs to the open file, which the shell that started the program shares: setting
    it on `fd` itself would make the shell's reads fail. The terminal's own name may not be
    allowed (sudo) or not exist (containers); `/dev/tty` is always allowed.
    """
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(os.ttyname(fd), flags)
    except OSError:
        os.tcgetpgrp(fd)  # Raises unless fd is the controlling terminal, which is /dev/tty.
        return os.open("/dev/tty", flags)


def new_selector() -> selectors.BaseSelector:
    """A selector that can watch a terminal: poll(2) on Linux, select(2) elsewhere."""
    if sys.platform == "linux":
        return selectors.PollSelector()
    return selectors.SelectSelector()


class TerminalWriter(threading.Thread):
    """Queue of bytes to a terminal."""

    def __init__(self, fd: int, meter: TerminalMeter) -> None:
        """Write to the terminal behind the descriptor `fd`, counting with `meter`."""
        super().__init__(daemon=True, name="terminal-writer")
        try:
            self._fd = open_terminal(fd)
        except OSError:
            self._fd = os.dup(fd)
        self._meter = meter
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._abandoned = False
        self._drained: Callable[[], None] | None = None

    @property
    def backlog(self) -> int:
        """Number of writes that wait for the terminal, the one being written included."""
        with self._changed:
            return len(self._pending) + (self._pending_bytes > sum(map(len, self._pending)))

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait for the terminal."""
        return self._pending_bytes

    def write(self, text: str) -> None:
        """Queue text; never blocks, and does nothing once the terminal is gone."""
        data = text.encode("utf-8", "replace")
        with self._changed:
            if self._stopping or self._abandoned:
                return
            self._pending.append(data)
            self._pending_bytes += len(data)
            self._changed.notify()
        self._meter.add(len(data))

    def call_when_drained(self, callback: Callable[[], None]) -> None:
        """Call back once, from this writer's thread, when nothing waits any more."""
        with self._changed:
            if self._pending_bytes:
                self._drained = callback
                return
        callback()

    def run(self) -> None:
        """Write what is queued until stopped; the descriptor is closed at the end."""
        try:
            while data := self._next():
                self._send(data)
        finally:
            os.close(self._fd)

    def _next(self) -> bytes:
        with self._changed:
            while not self._pending and not self._stopping:
                self._changed.wait()
            data = b"".join(self._pending)
            self._pending.clear()
            return data

    def _send(self, data: bytes) -> None:
        sent = 0
        while sent < len(data) and not self._abandoned:
            try:
                written = os.write(self._fd, data[sent : sent + CHUNK])
            except BlockingIOError:
                self._wait_for_room()
                continue
            except OSError:
                # The terminal is gone; the hang-up is noticed elsewhere and ends the program.
                self._abandoned = True
                break
            sent += written
            with self._changed:
                self._pending_bytes -= written
        with self._changed:
            if self._abandoned:
                self._pending.clear()
                self._pending_bytes = 0
            if self._pending_bytes:
                return
            callback, self._drained = self._drained, None
        if callback is not None:
            callback()

    def _wait_for_room(self) -> None:
        with new_selector() as selector:
            selector.register(self._fd, selectors.EVENT_WRITE)
            selector.select(STALL_CHECK)

    def stop(self, patience: float) -> bool:
        """Stop after writing what is queued, waiting at most `patience` seconds.

        Returns False when the terminal did not take everything; the rest is then dropped.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self.join(patience)
        if not self.is_alive():
            return not self._abandoned
        with self._changed:
            self._abandoned = True
        self.join(2 * STALL_CHECK)
        return False
