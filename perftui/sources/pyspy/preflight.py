"""Asks once, before a profile begins, whether a process may be read and how large it is."""

from __future__ import annotations

import os
import re

import msgspec

from perftui.profiling.pause_budget import tick_seconds
from perftui.snapshot import Absent, State
from perftui.sources.pyspy.problems import (
    NO_PY_SPY,
    cannot_start,
    ended,
    explain,
    missing,
    no_python_in_tree,
    not_python,
    process_state,
)
from perftui.sources.pyspy.process import find_py_spy, run_dump
from perftui.sources.pyspy.tree import process_tree

ATTEMPTS = 3
"""A dump reads a running process without a lock, so on a large program one in four fails."""

MOST_LOOKED_AT = 4
MOST_TRIED = 8
"""Processes of a tree that are read to judge it, and that are tried before it is given up."""

# The command line above it may hold line breaks, so a line alone proves nothing: the last one with
# an empty line behind it is the real one.
_VERSION = re.compile(r"^Python v(\d+(?:\.\d+)+)(\S*) \([^\n]*\)\n\n", re.MULTILINE)
_THREAD_LINE = re.compile(r"^Thread (?:0x)?[0-9A-Fa-f]+ \(", re.MULTILINE)
_FRAME_LINE = re.compile(r"^ {4}\S.* \(.*\)$", re.MULTILINE)


class Preflight(msgspec.Struct, frozen=True):
    """What is known of a process before it is profiled.

    `problem` is None when it may be read; then `python` is its version ("3.11.7"), `threads` the
    number of its system threads and `frames` the Python frames of all threads together. Of a tree
    they are those of the process that takes longest to read; `crowd` are the threads of all.
    """

    pid: int
    command: str
    python: str = ""
    threads: int = 0
    frames: int = 0
    crowd: int = 0
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


def preflight_tree(pid: int, py_spy: str | None = None) -> Preflight:
    """Return the same of a process and all that descend from it, at least one of them Python.

    Every process is asked alone: of a tree py-spy does not say why it cannot be read.
    """
    root = preflight(pid, py_spy)
    problem = root.problem
    # Only its own nature and its owner leave hope for its descendants.
    if problem is not None and problem.state is not State.DENIED and problem != not_python(pid):
        return root
    descendants = process_tree(pid)[1:]
    threads = {member: _thread_count(member) for member in descendants}
    crowd = root.threads + sum(threads.values())
    readable = [root] if root.permitted else []
    problems = [problem] if problem is not None else []
    for member in sorted(descendants, key=lambda member: -threads[member])[:MOST_TRIED]:
        if len(readable) == MOST_LOOKED_AT:
            break
        found = preflight(member, py_spy)
        if found.problem is None:
            readable.append(found)
        elif found.problem != not_python(member):
            problems.append(found.problem)
    if not readable:
        telling = [absent for absent in problems if absent != not_python(pid)]
        problem = telling[0] if telling else no_python_in_tree(pid)
        return Preflight(pid, root.command, problem=problem)
    largest = max(readable, key=lambda found: tick_seconds(found.threads, found.frames))
    return Preflight(pid, root.command, readable[0].python, largest.threads, largest.frames, crowd)


def _thread_count(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


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
