"""Runs the command that somebody wants to be told by, with a time limit, and kills what hangs."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import threading
import time

from perftui.output.alert_messages import DeliveryError, Message
from perftui.text import printable

CHECK = 0.1
"""Seconds between two looks at whether the command has ended or shall end."""

GRACE = 0.5
"""Seconds between asking a command that is late to end and killing it."""

TAIL = 300
"""Bytes of what a failing command wrote last to standard error that are told."""

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
        with tempfile.TemporaryFile() as body:
            body.write(message.body + b"\n")
            body.seek(0)
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
                reason = error.strerror or type(error).__name__
                raise DeliveryError(f"{program} cannot be run: {reason}") from None
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
            how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
            raise DeliveryError(f"{program} failed with {how}{_said(tail)}")

    def interrupt(self) -> None:
        """Do nothing: the command looks at the event it was given."""


def _watch(
    process: subprocess.Popen[bytes], errors: int, deadline: float, stop: threading.Event
) -> bytes | None:
    """Return the end of what a process wrote until it ended, None if it must be ended."""
    tail = b""
    is_open = True
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or stop.is_set():
            return None
        ended = process.poll() is not None
        # A child that goes on keeps the pipe open; the command itself has ended all the same.
        pause = 0.0 if ended else min(CHECK, left)
        if is_open and select.select([errors], [], [], pause)[0]:
            chunk = os.read(errors, 65536)
            is_open = bool(chunk)
            tail = (tail + chunk)[-TAIL:]
            continue
        if ended:
            return tail
        if not is_open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(min(CHECK, left))


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def _said(tail: bytes) -> str:
    text = USER_OF_URL.sub("://***@", tail.decode(errors="backslashreplace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f": {printable(lines[-1])}" if lines else ""
