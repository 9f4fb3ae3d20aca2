"""A program under a pseudo-terminal of its own: what it costs, and when it paints and answers."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

ESCAPE = re.compile(
    rb"\x1b(?:\[[0-9;:<=>?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|.)"
)
LATEST = 1 << 18
"""Bytes of output that are kept for looking for a text."""


class MeasuredProgram:
    """Runs a program under a terminal that is read by the methods of this object, at all times.

    Raises OSError when the program cannot be started.
    """

    def __init__(
        self, argv: Sequence[str], size: tuple[int, int], environment: Mapping[str, str]
    ) -> None:
        """Start `argv` on a terminal of `size` columns and rows, with just this environment."""
        self._master, slave = os.openpty()
        columns, rows = size
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.sent = 0
        self.first_byte: float | None = None
        self._output = bytearray()
        self._started = time.monotonic()
        try:
            self._process = subprocess.Popen(
                argv,
                env=dict(environment),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                preexec_fn=lambda: os.login_tty(0),
            )
        finally:
            os.close(slave)
        self.pid = self._process.pid

    def __enter__(self) -> MeasuredProgram:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the program, gently where it lets itself."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._process.send_signal(number)
            end = time.monotonic() + 3.0
            while self._process.poll() is None and time.monotonic() < end:
                self.read(0.05)
        self._process.wait()
        os.close(self._master)

    def read(self, timeout: float) -> int:
        """Read once what comes within `timeout` seconds; return the number of bytes."""
        if not select.select([self._master], [], [], max(0.0, timeout))[0]:
            return 0
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # EIO: the program has closed the terminal.
            time.sleep(min(max(timeout, 0.0), 0.02))
            return 0
        if self.first_byte is None:
            self.first_byte = time.monotonic() - self._started
        self.sent += len(data)
        self._output += data
        if len(self._output) > 2 * LATEST:
            del self._output[:-LATEST]
        return len(data)

    def read_for(self, seconds: float) -> None:
        """Read everything for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)

    def wait_for(self, text: bytes, timeout: float) -> float | None:
        """Read until the output since `forget` has the text, escape sequences apart.

        Returns seconds since the program was started, None when the text did not come.
        """
        return self._wait(lambda: text in self.text(), timeout, self._started)

    def press(self, key: bytes, answer: bytes, timeout: float) -> float | None:
        """Type a key and read until its answer comes; return how long that took, in seconds."""
        self.forget()
        pressed = time.monotonic()
        os.write(self._master, key)
        return self._wait(lambda: answer in self.text(), timeout, pressed)

    def _wait(self, there: Callable[[], bool], timeout: float, since: float) -> float | None:
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            if self.read(left) and there():
                return time.monotonic() - since
            if self._process.poll() is not None and not self.read(0.0):
                return None
        return None

    def forget(self) -> None:
        """Forget the output so far."""
        self._output.clear()

    def text(self) -> bytes:
        """Return the newest output without escape sequences."""
        return ESCAPE.sub(b"", bytes(self._output))

    @property
    def alive(self) -> bool:
        """Whether the program still runs."""
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """Return the CPU time of this process and only it.

        The process clock of clock_getcpuclockid(3) counts what /proc/PID/task/*/schedstat counts,
        to the nanosecond, and keeps that of threads which have ended.
        """
        return time.clock_gettime(_process_clock(self.pid))

    def children_cpu_seconds(self) -> float:
        """Return the CPU time of all descendants, those that have ended included."""
        total = _ended_children(self.pid)
        for pid in _descendants(self.pid):
            try:
                total += time.clock_gettime(_process_clock(pid)) + _ended_children(pid)
            except OSError:
                continue
        return total

    def threads(self) -> int:
        """Return the number of threads."""
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def resident_bytes(self) -> int:
        """Return the resident memory, see proc_pid_smaps(5)."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
        return 0


def _process_clock(pid: int) -> int:
    # How clock_getcpuclockid(3) makes the number on Linux; 2 is the scheduler's exact clock.
    return (~pid << 3) | 2


def _stat_fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _ended_children(pid: int) -> float:
    """Return cutime + cstime of proc_pid_stat(5) in seconds."""
    fields = _stat_fields(pid)
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat_fields(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
