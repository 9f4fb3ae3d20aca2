"""What rarely changes about a process: its command line, its user, whether it runs Python."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import NamedTuple

COMMAND_BYTES = 4096
"""How much of a command line is kept: some Java command lines are megabytes long."""

DELETED = " (deleted)"
PYTHON = re.compile(r"python[w]?(\d+(\.\d+)*)?[a-z]{0,2}(-dbg|-intel64)?(\.exe)?", re.IGNORECASE)
PYTHON_SERVER = re.compile(r"\[?(gunicorn|uvicorn|hypercorn|daphne|granian|celeryd?|ipython)\b")
"""Servers written in Python that replace their command line by a title of their own."""


class Details(NamedTuple):
    """The slow attributes of one process."""

    command: str
    user: str
    python: bool


def read_guarded(path: str, size: int = COMMAND_BYTES) -> bytes | None:
    """Return up to `size` bytes of a file under /proc/PID, None when the process has gone.

    Every read of the process table goes through here, as a process can vanish between any two.
    Raises PermissionError where the kernel hides the process (hidepid, see proc(5)).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        return os.read(descriptor, size)
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)


def command_text(cmdline: bytes, name: str) -> str:
    """Return the arguments joined by spaces, or `[name]` where there are none.

    Kernel threads and zombies have none. Bytes that are not UTF-8 become backslash escapes.
    """
    arguments = cmdline.rstrip(b"\0 ")
    if not arguments:
        return f"[{name}]"
    return arguments.replace(b"\0", b" ").decode("utf-8", "backslashreplace")


def runs_python(executable: str | None, cmdline: bytes) -> bool:
    """Tell whether a process is a CPython interpreter.

    `executable` is the path of its program file: the interpreter, also for scripts such as
    gunicorn and celery, because the kernel starts those through their first line. None means that
    it may not be read; then the first argument has to do, which servers may have replaced.
    """
    if executable is not None:
        return _is_python(executable.removesuffix(DELETED))
    first = cmdline.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
    return _is_python(first) or PYTHON_SERVER.match(first.rpartition("/")[2]) is not None


def effective_uid(status: bytes) -> int | None:
    """Return the effective user id of /proc/PID/status: real, effective, saved, file system."""
    start = status.find(b"\nUid:")
    fields = status[start + 5 : start + 80].split(None, 2) if start >= 0 else []
    return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else None


class DetailsReader:
    """Reads the details of processes under `proc`; user names are asked for once per user id."""

    def __init__(self, proc: str, user_name: Callable[[int], str] | None = None) -> None:
        self._proc = proc
        self._user_name = user_name or system_user_name
        self._users: dict[int, str] = {}

    def read(self, pid: str, name: str, kernel_thread: bool) -> Details:
        """Return the details of a process; what has vanished or is hidden reads as empty."""
        if kernel_thread:
            return Details(f"[{name}]", self._user(0), False)
        directory = f"{self._proc}/{pid}"
        cmdline = self._read(f"{directory}/cmdline")
        uid = effective_uid(self._read(f"{directory}/status"))
        return Details(
            command_text(cmdline, name),
            "" if uid is None else self._user(uid),
            runs_python(_executable(f"{directory}/exe"), cmdline),
        )

    def _read(self, path: str) -> bytes:
        try:
            return read_guarded(path) or b""
        except PermissionError:
            return b""

    def _user(self, uid: int) -> str:
        known = self._users.get(uid)
        if known is None:
            known = self._users[uid] = self._user_name(uid)
        return known


def system_user_name(uid: int) -> str:
    """Return the name of a user, the number itself where it has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _is_python(path: str) -> bool:
    return PYTHON.fullmatch(path.rpartition("/")[2]) is not None


def _executable(link: str) -> str | None:
    """Return where /proc/PID/exe points to, "" when there is no program, None when hidden."""
    try:
        return os.readlink(link)
    except PermissionError:
        return None
    except OSError:
        return ""
