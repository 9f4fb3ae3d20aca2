"""Runs py-spy: where it is, one recording window, one dump; nothing here judges what it says.

py-spy writes a recording only when it ends, so a live view is a chain of short recordings, each
ended with SIGINT and read from an inherited pipe.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from perftui.sources.pyspy.death_guard import death_guard

if TYPE_CHECKING:
    import subprocess

SAFETY_NET = 6
"""Seconds after which py-spy ends by itself, so that it never long outlives a killed monitor.

It counts samples, not seconds, and may take half as long again.
"""

PATIENCE = 1.7
FLUSH_PATIENCE = 0.8
"""Seconds py-spy may take to attach or to print the stacks once, and to write its data after it was
told to stop: two seconds after it began to hang somebody shall know. Who tries again may give it
more."""

FAREWELL = 1.0
"""Seconds py-spy may take to end on SIGINT when its data are not wanted any more."""

ATTACHED = b"py-spy> Sampling process"

MOST_LOG = 1 << 16
MOST_DATA = 1 << 26
"""Bytes kept of what py-spy prints and writes: far more than it ever has, should it run wild."""


class Finished(NamedTuple):
    """One recording that ended; monotonic seconds, `attached` None when it never sampled."""

    data: bytes
    log: str
    returncode: int
    attached: float | None
    ended: float
    hung: bool


class DumpOutput(NamedTuple):
    """What one `py-spy dump` printed; `returncode` None when it had to be killed."""

    text: str
    log: str
    returncode: int | None


def find_py_spy() -> str | None:
    """Return the path of py-spy: the one beside this Python, else the first on PATH."""
    import shutil

    beside = os.path.join(os.path.dirname(sys.executable), "py-spy")
    if sys.executable and os.access(beside, os.X_OK) and not os.path.isdir(beside):
        return beside
    return shutil.which("py-spy")


def clean_environment() -> dict[str, str]:
    """Return this environment without what makes py-spy print backtraces and logs."""
    noisy = {"RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_LOG"}
    return {name: value for name, value in os.environ.items() if name not in noisy}


def run_dump(py_spy: str, pid: int, timeout: float = PATIENCE) -> DumpOutput:
    """Return the stacks of a process as text, read without pausing it.

    Raises OSError when py-spy cannot be started.
    """
    import subprocess

    process = subprocess.Popen(
        [py_spy, "dump", "--nonblocking", "--pid", str(pid)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
        start_new_session=True,
    )
    with process:
        try:
            text, log = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            return DumpOutput("", "", None)
    return DumpOutput(_decode(text), _decode(log), process.returncode)


class Recording:
    """One `py-spy record` from its start to its data; used by one thread.

    `wake` is a file descriptor that ends every wait when it becomes readable. `form` is a format of
    py-spy, `longest` after how many seconds it ends by itself, `guard` a command that runs another
    one in its place and has it end with this process. Raises OSError when py-spy cannot be started.
    """

    def __init__(
        self,
        py_spy: str,
        pid: int,
        rate: int,
        flags: tuple[str, ...],
        wake: int,
        form: str = "speedscope",
        longest: int = SAFETY_NET,
        guard: tuple[str, ...] | None = None,
    ) -> None:
        self.rate = rate
        self.started = time.monotonic()
        self.attached: float | None = None
        self.ended: float | None = None
        self._wake = wake
        self._log = bytearray()
        self._data = bytearray()
        if guard is None:
            guard = death_guard()
        command = (*guard, py_spy, "record", "--format", form, "--pid", str(pid))
        command += ("--rate", str(rate), "--duration", str(longest), *flags)
        self._log_pipe, self._data_pipe, self._process = _spawn(command)
        self._open = {self._log_pipe: self._log, self._data_pipe: self._data}
        self._poll = select.poll()
        for descriptor in (wake, *self._open):
            self._poll.register(descriptor, select.POLLIN)

    @property
    def over(self) -> bool:
        """Whether py-spy has closed both pipes: it has ended, or is about to."""
        return not self._open

    def wait_attached(self, until: float) -> bool:
        """Wait until sampling has begun; False on the wake signal, at the end and at `until`."""
        while self.attached is None and not self.over:
            if not self._read_some(until):
                return False
        return self.attached is not None

    def wait(self, until: float) -> bool:
        """Wait until the monotonic time `until` or the end of py-spy; False on the wake signal."""
        while not self.over and time.monotonic() < until:
            if not self._read_some(until) and time.monotonic() < until:
                return False
        return True

    def interrupt(self) -> None:
        """End the sampling, so that py-spy begins to write what it has."""
        if self.ended is None:
            self.ended = time.monotonic()
        # Before its handler is set SIGINT would only kill py-spy, and nobody waits for data then.
        self._process.send_signal(signal.SIGINT if self.attached is not None else signal.SIGKILL)

    def finish(self, patience: float = FLUSH_PATIENCE) -> Finished:
        """Return everything py-spy wrote, after `interrupt` or its own end; kills it when stuck."""
        until = time.monotonic() + patience
        hurried = False
        while not self.over and time.monotonic() < until:
            if not self._read_some(until) and not hurried:
                # Whoever woke this up does not want the data, so a hanging py-spy gets less time.
                hurried = True
                self._poll.unregister(self._wake)
                until = min(until, time.monotonic() + FAREWELL)
        hung = not self.over
        if hung:
            self._process.kill()
        returncode = self._reap()
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()
        return Finished(
            data=bytes(self._data),
            log=_decode(bytes(self._log)),
            returncode=returncode,
            attached=self.attached,
            ended=time.monotonic() if self.ended is None else self.ended,
            hung=hung,
        )

    def abandon(self) -> None:
        """End py-spy and drop what it has."""
        self.interrupt()
        self.finish(FAREWELL)

    def _reap(self) -> int:
        import subprocess

        try:
            return self._process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _read_some(self, until: float) -> bool:
        """Wait for output once; False on the wake signal and when `until` has passed."""
        remaining = until - time.monotonic()
        ready = self._poll.poll(max(0.0, remaining) * 1000)
        if not ready:
            return False
        woken = False
        for descriptor, _ in ready:
            if descriptor == self._wake:
                woken = True
            else:
                self._receive(descriptor)
        return not woken

    def _receive(self, descriptor: int) -> None:
        chunk = os.read(descriptor, 1 << 18)
        if not chunk:
            if self.ended is None:
                self.ended = time.monotonic()
            self._poll.unregister(descriptor)
            del self._open[descriptor]
            os.close(descriptor)
            return
        self._open[descriptor].extend(chunk)
        if len(self._log) > MOST_LOG:
            del self._log[MOST_LOG // 4 : -MOST_LOG // 4]
        if len(self._data) > MOST_DATA:
            self._data.clear()
            self._process.kill()
        if self.attached is None and descriptor == self._log_pipe and ATTACHED in self._log:
            self.attached = time.monotonic()


def _spawn(command: tuple[str, ...]) -> tuple[int, int, subprocess.Popen[bytes]]:
    """Start py-spy and return the read ends of its log and data pipes, and the process."""
    import subprocess

    log_pipe, log_end = os.pipe()
    data_pipe, data_end = os.pipe()
    command += ("--output", f"/dev/fd/{data_end}")
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_end,
            stderr=log_end,
            pass_fds=(data_end,),
            env=clean_environment(),
            start_new_session=True,
        )
    except BaseException:
        os.close(log_pipe)
        os.close(data_pipe)
        raise
    finally:
        os.close(log_end)
        os.close(data_end)
    return log_pipe, data_pipe, process


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")
