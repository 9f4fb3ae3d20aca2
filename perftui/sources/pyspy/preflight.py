"""Asks once, before a profile begins, whether a process may be read and how large it is."""

from __future__ import annotations

import os
import re

import msgspec

from perftui.snapshot import Absent
from perftui.sources.pyspy.problems import (
    NO_PY_SPY,
    cannot_start,
    ended,
    explain,
    missing,
    process_state,
)
from perftui.sources.pyspy.process import find_py_spy, run_dump

ATTEMPTS = 3
"""A dump reads a running process without a lock, so on a large program one in four fails."""

# The command line above it may hold line breaks, so a line alone proves nothing: the last one with
# an empty line behind it is the real one.
_VERSION = re.compile(r"^Python v(\d+(?:\.\d+)+)(\S*) \([^\n]*\)\n\n", re.MULTILINE)
_THREAD_LINE = re.compile(r"^Thread (?:0x)?[0-9A-Fa-f]+ \(", re.MULTILINE)
_FRAME_LINE = re.compile(r"^ {4}\S.* \(.*\)$", re.MULTILINE)


class Preflight(msgspec.Struct, frozen=True):
    """What is known of a process before it is profiled.

    `problem` is None when it may be read; then `python` is its version ("3.11.7"), `threads` the
    number of its system threads and `frames` the Python frames of all threads together.
    """

    pid: int
    command: str
    python: str = ""
    threads: int = 0
    frames: int = 0
    problem: Absent | None = None

    @property
    def permitted(self) -> bool:
        """Whether the process may be profiled now."""
        return self.problem is None

    @property
    def python_version(self) -> tuple[int, ...]:
        """The version as numbers, empty when unknown."""
        numbers = re.match(r"\d+(?:\.\d+)*", self.python)
        return tuple(int(part) for part in numbers[0].split(".")) if numbers else ()


def preflight(pid: int, py_spy: str | None = None) -> Preflight:
    """Return whether and how a process can be profiled; never pauses it, takes about 20 ms.

    `py_spy` is the path of the program, searched for when it is not given.
    """
    state = process_state(pid)
    if state is None:
        return Preflight(pid, "", problem=missing(pid))
    command = command_line(pid)
    if state.letter in "ZX":
        return Preflight(pid, command, problem=ended(pid))
    program = py_spy or find_py_spy()
    if program is None:
        return Preflight(pid, command, problem=NO_PY_SPY)
    return _ask(pid, command, program)


def command_line(pid: int) -> str:
    """Return the arguments of a process joined by spaces, empty when they cannot be read."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read(8192)
    except OSError:
        return ""
    return text.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "backslashreplace")


def _ask(pid: int, command: str, program: str) -> Preflight:
    problem: Absent | None = None
    for _ in range(ATTEMPTS):
        try:
            output = run_dump(program, pid)
        except OSError as error:
            return Preflight(pid, command, problem=cannot_start(program, error))
        if output.returncode == 0:
            return _understand(pid, command, output.text)
        problem = explain(pid, program, output.log, output.returncode)
        if not _may_pass(pid, output.returncode, output.log):
            break
    return Preflight(pid, command, problem=problem)


def _may_pass(pid: int, returncode: int | None, log: str) -> bool:
    """Whether a failed dump is worth another attempt at once."""
    if returncode is None or "Permission" in log:
        return False
    try:
        if "python" not in os.path.basename(os.readlink(f"/proc/{pid}/exe")):
            return False
    except OSError:
        # No /proc, so nothing speaks against it.
        pass
    return "Failed to find" in log or "os error 14" in log


def _understand(pid: int, command: str, text: str) -> Preflight:
    python, frames, threads = "", 0, 0
    versions = list(_VERSION.finditer(text))
    if versions:
        python = versions[-1][1] + versions[-1][2]
        text = text[versions[-1].end() :]
    frames = len(_FRAME_LINE.findall(text))
    try:
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        threads = len(_THREAD_LINE.findall(text))
    return Preflight(pid, command, python, max(threads, 1), frames)
