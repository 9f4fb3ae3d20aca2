"""A child process of the supervisor that cannot outlive it.

Linux kills the child when its parent dies (PR_SET_PDEATHSIG, prctl(2)). The signal comes when the
creating *thread* ends, which is why only the supervisor, a process of one thread, starts children.
Elsewhere the demo's own programs end at the end of their standard input, and for Redis a shell
waits for that.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LAST_WORDS = 4096


class Child:
    """One running child: instructions go to its standard input, reports come from its output.

    `reports` and `instructions` are False for a program that is not of the demo, like Redis, whose
    output goes to the log file. The pipes never block the supervisor.
    """

    def __init__(self, arguments: Sequence[str], log: Path, *, speaks: bool = True) -> None:
        self.log = log
        self._guard: subprocess.Popen[bytes] | None = None
        self._unfinished = b""
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if speaks else errors,
                stderr=errors,
                preexec_fn=_death_with_parent(),
                bufsize=0,
            )
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
        if not speaks and _prctl is None:
            self._guard = _guard_of(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> int | None:
        """Descriptor of what the child says, None when it says nothing."""
        return None if self.process.stdout is None else self.process.stdout.fileno()

    def send(self, line: bytes) -> None:
        """Send one line; a child that has left a whole pipe unread hangs and is killed."""
        if self.process.stdin is None:
            return
        try:
            os.write(self.process.stdin.fileno(), line)
        except BlockingIOError:
            self.process.kill()
        except BrokenPipeError:
            return

    def lines(self) -> list[bytes]:
        """Return the whole lines that arrived since the last call; never blocks."""
        if self.process.stdout is None:
            return []
        try:
            arrived = os.read(self.process.stdout.fileno(), 65536)
        except BlockingIOError:
            return []
        *whole, self._unfinished = (self._unfinished + arrived).split(b"\n")
        return whole

    def kill(self) -> None:
        """Kill the child and wait for its end: it holds nothing that must be saved."""
        self.process.kill()
        self.process.wait()
        self.release()

    def release(self) -> None:
        """Close the pipes of a child that has ended."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def last_words(self) -> str:
        """Return the last line of the child's log, empty when there is none."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_WORDS))
                lines = log.read().decode("utf-8", "backslashreplace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def describe_end(code: int) -> str:
    """Return how a process ended, from its return code as subprocess gives it."""
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _load_prctl() -> Callable[[int, int], int] | None:
    if sys.platform != "linux":
        return None
    function = ctypes.CDLL(None, use_errno=True).prctl
    function.argtypes = (ctypes.c_int, ctypes.c_ulong)
    function.restype = ctypes.c_int
    call: Callable[[int, int], int] = function
    return call


# Loaded before any fork: between fork and exec nothing may be imported.
_prctl = _load_prctl()


def _death_with_parent() -> Callable[[], None] | None:
    if _prctl is None:
        return None
    call, parent = _prctl, os.getpid()

    def arrange() -> None:
        call(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the call, and then no signal will ever come.
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def _guard_of(pid: int) -> subprocess.Popen[bytes]:
    """Start a shell that kills `pid` when this process ends and so closes the shell's input."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _; kill -9 "$1" 2>/dev/null', "sh", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
