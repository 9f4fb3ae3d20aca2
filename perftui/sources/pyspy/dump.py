"""Takes the stacks of all threads of a process once, through `py-spy dump --json`."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from perftui.profiling.thread_dump import ThreadDump, parse_dump
from perftui.snapshot import Absent, Maybe, State
from perftui.sources.pyspy.preflight import command_line
from perftui.sources.pyspy.problems import (
    NO_PY_SPY,
    cannot_start,
    ended,
    explain,
    missing,
    process_state,
)
from perftui.sources.pyspy.process import PATIENCE, clean_environment, find_py_spy

if TYPE_CHECKING:
    import subprocess

ATTEMPTS = 6
"""Times that a dump is tried: without a pause one in four fails on a large program, and even with
one the interpreter is not found now and then."""


class DumpReader:
    """Takes dumps of one process, each in whatever thread asks for it; `cancel` ends the newest.

    `py_spy` is the path of the program, searched for when it is not given. `patience` are the
    seconds after which py-spy is killed when it does not answer.
    """

    def __init__(self, pid: int, py_spy: str | None = None, patience: float = PATIENCE) -> None:
        self.pid = pid
        self._py_spy = py_spy
        self._patience = patience
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    def take(self, exact: bool = False, variables: bool = False) -> Maybe[ThreadDump]:
        """Return the stacks, Absent with reason and fix when there are none.

        `exact` pauses the process, for about 10 ms; `variables` reads local variables as well.
        """
        pid = self.pid
        state = process_state(pid)
        if state is None:
            return missing(pid)
        if state.letter in "ZX":
            return ended(pid)
        program = self._py_spy or find_py_spy()
        if program is None:
            return NO_PY_SPY
        arguments = [program, "dump", "--json", "--pid", str(pid)]
        arguments += [] if exact else ["--nonblocking"]
        arguments += ["--locals"] if variables else []
        problem: Absent = _unreadable(pid, program)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                document, log, returncode = self._run(arguments)
            except OSError as error:
                return cannot_start(program, error)
            taken = time.time()
            if returncode == 0:
                try:
                    threads = parse_dump(document)
                except ValueError:
                    return _unreadable(pid, program)
                return ThreadDump(pid, command_line(pid), taken, exact, variables, attempt, threads)
            if self._cancelled or not _may_pass(pid, returncode, log):
                return explain(pid, program, log, returncode)
            problem = explain(pid, program, log, returncode) if exact else _in_motion(pid)
        return problem

    def cancel(self) -> None:
        """End a dump that is under way, and take no further one."""
        with self._lock:
            self._cancelled = True
            if self._process is not None:
                self._process.kill()

    def _run(self, arguments: list[str]) -> tuple[bytes, str, int | None]:
        """Return output, log and exit status; the status is None when py-spy had to be killed."""
        import subprocess

        with self._lock:
            if self._cancelled:
                return b"", "", None
            process = self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=clean_environment(),
                start_new_session=True,
            )
        try:
            with process:
                try:
                    document, log = process.communicate(timeout=self._patience)
                except subprocess.TimeoutExpired:
                    process.kill()
                    return b"", "", None
        finally:
            with self._lock:
                if self._process is process:
                    self._process = None
        return document, log.decode("utf-8", "backslashreplace"), process.returncode


def _may_pass(pid: int, returncode: int | None, log: str) -> bool:
    """Whether a dump failed because the process moved on while it was read."""
    if returncode is None or "Permission" in log:
        return False
    if "os error 14" in log:
        return True
    if "Failed to find" not in log:
        return False
    try:
        return "python" in os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        # No /proc, so nothing speaks against another attempt.
        return True


def _in_motion(pid: int) -> Absent:
    return Absent(
        State.UNAVAILABLE,
        f"process {pid} changed its stacks {ATTEMPTS} times while they were read",
        "press x: an exact dump pauses the process for about 10 ms",
    )


def _unreadable(pid: int, py_spy: str) -> Absent:
    return Absent(
        State.UNAVAILABLE,
        f"py-spy printed no readable stacks of process {pid}",
        f"check its version (0.4 is expected): {py_spy} --version",
    )
