"""Runs the command that somebody wants to be told by, with a time limit, and kills what hangs."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from typing import IO

from perftui.output.alert_messages import DeliveryError, Message
from perftui.text import printable

CHECK = 0.1
"""Seconds between two looks at whether the command has ended or shall end."""

GRACE = 0.5
"""Seconds between asking a command that is late to end and killing it."""

TAIL = 4096
"""Bytes of what a command wrote last to standard error that are kept."""

PIPE = 65536
"""Bytes that a pipe holds, see pipe(7)."""

LONGEST_LINE = 300
"""Characters of the last line of a failing command that are told."""

USER_OF_URL = re.compile(r"://[^@/\s]*@")


def parse_command(text: str) -> tuple[str, ...]:
    """Return the words of a command line; raises ValueError that says what is wrong with it."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"the quotes of the command are wrong: {error}") from None
    if not words or not words[0]:
        raise ValueError("the command names no program")
    if "\0" in text:
        raise ValueError("the command contains a zero byte")
    return words


class AlertCommand:
    """One command line; no shell is involved, so that no text of an alert can be a command.

    It gets the JSON of a message on standard input and its key facts as variables PERFTUI_ALERT_*.
    What it writes is not shown, except for the end of its errors when it fails.
    """

    name = "alerts.exec"

    def __init__(self, command: str, timeout: float) -> None:
        self._words = parse_command(command)
        self._timeout = timeout

    def deliver(self, message: Message, stop: threading.Event) -> None:
        """Run the command to its end; raises DeliveryError when it fails, is late or is stopped."""
        program = printable(self._words[0])
        deadline = time.monotonic() + self._timeout
        with _holding(message.body + b"\n") as body:
            try:
                process = subprocess.Popen(
                    self._words,
                    stdin=body,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env={**os.environ, **message.variables},
                    # A group of its own, of which a late command is killed with all its children.
                    start_new_session=True,
                )
            except OSError as error:
                raise DeliveryError(f"{program} cannot be run: {_reason(error)}") from None
        assert process.stderr is not None
        with process.stderr as errors:
            tail = _watch(process, errors.fileno(), deadline, stop)
        if tail is None:
            _end(process)
            if stop.is_set():
                raise DeliveryError(f"{program} was stopped before it had ended")
            raise DeliveryError(f"{program} did not end within {self._timeout:g} s")
        code = process.returncode
        if code:
            how = f"exit code {code}" if code > 0 else _signal_name(-code)
            raise DeliveryError(f"{program} failed with {how}{_said(tail)}")

    def interrupt(self) -> None:
        """Do nothing: the command looks at the event it was given."""


def _holding(content: bytes) -> IO[bytes]:
    """Return a file without a name that holds `content`; raises DeliveryError."""
    try:
        # Without a buffer, whose rest the disk would be asked to take once more at the end.
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
    except OSError as error:
        raise DeliveryError(f"there is no place for a temporary file: {_reason(error)}") from None
    try:
        whole = file.write(content) == len(content)
        file.seek(0)
        reason = "" if whole else os.strerror(errno.ENOSPC)
    except OSError as error:
        reason = _reason(error)
    if reason:
        file.close()
        raise DeliveryError(f"a temporary file cannot be written: {reason}")
    return file


def _watch(
    process: subprocess.Popen[bytes], errors: int, deadline: float, stop: threading.Event
) -> bytes | None:
    """Return the end of what a process wrote until it ended, None if it must be ended."""
    tail = b""
    is_open = True
    # Not select(2), which knows no descriptors above 1023.
    poll = select.poll()
    poll.register(errors, select.POLLIN)
    while True:
        ended = process.poll() is not None
        # A child that goes on keeps the pipe open; the command itself has ended all the same.
        if ended:
            return (tail + _rest(errors, poll))[-TAIL:] if is_open else tail
        left = deadline - time.monotonic()
        if left <= 0 or stop.is_set():
            return None
        pause = min(CHECK, left)
        if not is_open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(pause)
        elif poll.poll(pause * 1000):
            chunk = os.read(errors, PIPE)
            is_open = bool(chunk)
            tail = (tail + chunk)[-TAIL:]


def _rest(errors: int, poll: select.poll) -> bytes:
    """Return what a command that has ended left in the pipe, which holds no more than this."""
    return os.read(errors, PIPE) if poll.poll(0) else b""


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Between SIGRTMIN and SIGRTMAX they have no names.
        return f"signal {number}"


def _said(tail: bytes) -> str:
    text = tail.decode(errors="backslashreplace")
    if len(tail) == TAIL:
        # The first word may be cut in a password, of which the rest would not be recognised.
        text = re.sub(r"^\S*", "", text)
    text = USER_OF_URL.sub("://***@", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f": {printable(lines[-1][:LONGEST_LINE])}" if lines else ""
