"""Maps what py-spy says when it cannot profile a process to a reason and a fix for its user.

The messages are those of py-spy 0.4; the state of the process itself is asked from /proc, because
py-spy gives one message for a process that ended and for one that may not be read.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from perftui.snapshot import Absent, State
from perftui.sources.pyspy.process import Finished
from perftui.sources.pyspy.tree import process_tree

NO_PROCESS = Absent(
    State.NOT_COLLECTED,
    "no process chosen",
    "choose a Python process and press p, or start with --pid PID",
)

NO_PY_SPY = Absent(
    State.UNAVAILABLE, "py-spy is not installed", "install it beside perftui: pip install py-spy"
)

_CAP_SYS_PTRACE = 1 << 19
"""Bit of the capability in CapEff, see capabilities(7) and linux/capability.h."""


class ProcessState(NamedTuple):
    """One letter as in proc_pid_stat(5), and the start time that tells reused ids apart.

    `image` is where the program's stack begins, which another program executed by the process has
    elsewhere; 0 where that is not told.
    """

    letter: str
    started: int
    image: int = 0


def process_state(pid: int) -> ProcessState | None:
    """Return the state of a process, None when there is no such process (any more).

    Without /proc only life and death can be told: the letter is "?".
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except FileNotFoundError:
        if os.path.exists("/proc/self/stat"):
            return None
        return ProcessState("?", 0) if _answers(pid) else None
    except OSError:
        return None
    # The name in brackets may hold spaces and brackets of its own.
    fields = text[text.rfind(b")") + 2 :].split()
    if len(fields) < 20:
        return None
    image = int(fields[25]) if len(fields) > 25 else 0
    return ProcessState(fields[0].decode("ascii", "replace"), int(fields[19]), image)


def ended(pid: int) -> Absent:
    """Say that a process that was watched is gone."""
    return Absent(
        State.UNAVAILABLE, f"process {pid} has exited", "choose another process and press p"
    )


def missing(pid: int) -> Absent:
    """Say that there never was such a process, as far as is known."""
    return Absent(
        State.UNAVAILABLE, f"process {pid} does not exist", "choose a running process and press p"
    )


def stopped(pid: int) -> Absent:
    """Say that a process is suspended."""
    return Absent(
        State.UNAVAILABLE, f"process {pid} is stopped by a signal", f"let it run: kill -CONT {pid}"
    )


def restless(pid: int) -> Absent:
    """Say that a process goes from program to program faster than it can be sampled."""
    return Absent(
        State.UNAVAILABLE,
        f"process {pid} executes itself or another program again and again",
        f"see what restarts it: tr '\\0' ' ' </proc/{pid}/cmdline",
    )


def not_python(pid: int) -> Absent:
    """Say that there is no Python interpreter in a process."""
    return Absent(
        State.UNAVAILABLE,
        f"process {pid} is not a Python program py-spy can read",
        "choose a Python process and press p",
    )


def no_python_in_tree(pid: int) -> Absent:
    """Say that neither a process nor any that descends from it is a Python program."""
    return Absent(
        State.UNAVAILABLE,
        f"no process of the tree of {pid} is a Python program py-spy can read",
        "choose a Python process and press p",
    )


def native_needs_pauses(pid: int) -> Absent:
    """Say that C frames and safe mode exclude each other."""
    return Absent(
        State.UNAVAILABLE,
        f"C frames of process {pid} cannot be read while it runs, as safe mode would have it",
        "leave profile.native off, or set profile.mode to auto or exact",
    )


def native_unsupported() -> Absent:
    """Say that this py-spy was built without the reading of C frames."""
    return Absent(
        State.UNAVAILABLE,
        f"this py-spy cannot read C frames on {os.uname().sysname} {os.uname().machine}",
        "leave profile.native off",
    )


def refused_pause(pid: int) -> Absent:
    """Say that a process may be read but not paused."""
    return Absent(
        State.DENIED,
        f"process {pid} cannot be paused: a debugger or another profiler holds it",
        'detach the other one, or set profile.mode to "auto" or "safe"',
    )


def denied(pid: int, py_spy: str) -> Absent:
    """Say that this user may not read a process, and what exactly would permit it."""
    reason = f"reading the memory of process {pid} is not permitted"
    if os.uname().sysname == "Darwin":
        return Absent(State.DENIED, reason, "macOS asks for root: start perftui with sudo")
    capability = f"sudo setcap cap_sys_ptrace=ep {os.path.realpath(py_spy)}"
    if os.geteuid() == 0:
        if _has_ptrace_capability():
            fix = f"run perftui where process {pid} runs: in its container or user namespace"
        else:
            fix = (
                "give this container the capability: docker run --cap-add SYS_PTRACE"
                " (Kubernetes: securityContext.capabilities.add: [SYS_PTRACE])"
            )
        return Absent(State.DENIED, reason, fix)
    scope = _ptrace_scope()
    if scope >= 3:
        fix = "kernel.yama.ptrace_scope is 3: nobody may profile until a reboot without it"
    elif scope >= 1 and _owner(pid) == os.geteuid() and scope == 1:
        fix = (
            f"start perftui with sudo, or: sudo sysctl kernel.yama.ptrace_scope=0, or: {capability}"
        )
    else:
        fix = f"start perftui with sudo, or: {capability}"
    return Absent(State.DENIED, reason, fix)


def explain(pid: int, py_spy: str, log: str, returncode: int | None) -> Absent:
    """Return why py-spy failed on a process; `log` is all it printed."""
    first = _error_line(log)
    if "Permission Denied" in log or "Permission denied (os error 13)" in log:
        return denied(pid, py_spy)
    if "requires root on OSX" in log:
        return denied(pid, py_spy)
    if "--native" in log and returncode == 2:
        return native_unsupported()
    state = process_state(pid)
    if state is None or state.letter in "ZX":
        return ended(pid)
    if "No python processes found" in log:
        return _explain_tree(pid, state)
    if "Failed to suspend process" in log:
        if "EPERM" in log:
            return refused_pause(pid)
        # py-spy itself may hold it for a moment yet, so that its state is another one.
        if state.letter == "T" or "SIGSTOP" in log:
            return stopped(pid)
        return Absent(State.UNAVAILABLE, f"process {pid} cannot be paused: {first}")
    if "Failed to get process executable name" in log:
        return _no_executable(pid)
    if version := re.search(r"Unsupported version of Python: (\S+)", log):
        return Absent(
            State.UNAVAILABLE,
            f"process {pid} runs Python {version[1]}, which this py-spy does not know",
            "pip install --upgrade py-spy",
        )
    if "Failed to find python version" in log or "Failed to find a python interpreter" in log:
        return not_python(pid)
    if "process_vm_readv" in log or "Operation not permitted" in log:
        return denied(pid, py_spy)
    if returncode is None:
        return hung(pid)
    return Absent(
        State.UNAVAILABLE,
        f"py-spy failed on process {pid}: {first or f'exit status {returncode}'}",
        f"see what it says: {py_spy} dump --pid {pid}",
    )


def explain_recording(pid: int, py_spy: str, finished: Finished) -> Absent | None:
    """Return why a recording has nothing to read, None when it has data."""
    if finished.hung:
        return hung(pid)
    if finished.returncode == 0 and finished.data:
        return None
    if finished.returncode == 0:
        state = process_state(pid)
        if state is None or state.letter in "ZX":
            return ended(pid)
        return unreadable(pid, py_spy)
    return explain(pid, py_spy, finished.log, finished.returncode)


def hung(pid: int) -> Absent:
    """Say that py-spy did not answer and had to be killed."""
    state = process_state(pid)
    if state is not None and state.letter == "T":
        return stopped(pid)
    return Absent(
        State.UNAVAILABLE,
        f"py-spy did not answer on process {pid} and was ended",
        "perftui tries again; on a very busy machine choose a lower profile.rate",
    )


def unreadable(pid: int, py_spy: str) -> Absent:
    """Say that py-spy wrote something that is not a profile."""
    return Absent(
        State.UNAVAILABLE,
        f"py-spy wrote no readable profile of process {pid}",
        f"check its version (0.4 is expected): {py_spy} --version",
    )


def cannot_start(py_spy: str, error: OSError) -> Absent:
    """Say that the operating system did not start py-spy."""
    return Absent(
        State.UNAVAILABLE,
        f"py-spy cannot be started: {error.strerror or error}",
        f"check the file {py_spy}, or: pip install --force-reinstall py-spy",
    )


def _explain_tree(pid: int, state: ProcessState) -> Absent:
    """Return why nothing of a tree can be read: of a tree py-spy tells only that it is so."""
    if state.letter == "T":
        return stopped(pid)
    if any(_is_traced(member) for member in process_tree(pid)):
        return refused_pause(pid)
    return no_python_in_tree(pid)


def _is_traced(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"TracerPid:"):
                    return line.split()[1] != b"0"
    except OSError:
        return False
    return False


def _error_line(log: str) -> str:
    """Return the first line that is an error and not a progress message, without its prefix."""
    for line in log.splitlines():
        text = line.strip()
        if text and not text.startswith("py-spy>"):
            return text.removeprefix("Error: ")[:200]
    return ""


def _no_executable(pid: int) -> Absent:
    try:
        os.readlink(f"/proc/{pid}/exe")
    except FileNotFoundError:
        return Absent(
            State.UNAVAILABLE,
            f"process {pid} is a thread of the kernel, not a program",
            "choose a Python process and press p",
        )
    except OSError:
        return denied(pid, "py-spy")
    return Absent(State.UNAVAILABLE, f"py-spy could not open process {pid}")


def _has_ptrace_capability() -> bool:
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"CapEff:"):
                    return bool(int(line.split()[1], 16) & _CAP_SYS_PTRACE)
    except OSError:
        return True
    return True


def _ptrace_scope() -> int:
    """Return kernel.yama.ptrace_scope, 0 where there is no Yama."""
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _owner(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
