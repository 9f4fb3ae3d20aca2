"""Reads the source files of a process as the process itself sees them.

A process in a container has other files under the same names: /proc/PID/root and /proc/PID/cwd lead
to its own, see proc_pid_root(5) and proc_pid_cwd(5).
"""

from __future__ import annotations

import os
import stat

from perftui.snapshot import Absent, Maybe, State

LARGEST = 1 << 20
"""Bytes of a source file from which on it is not read: nobody wrote it by hand."""


def read_source(pid: int, file: str) -> Maybe[str]:
    """Return the text of a file of Python source, Absent with the reason when there is none.

    The name comes from the process and may be anything, such as `<string>` or a pipe: only regular
    files are read, and none is waited for.
    """
    if not file.endswith(".py") or "\0" in file:
        return Absent(State.UNAVAILABLE, f"{file or 'this frame'} is not a file of Python source")
    own = f"/proc/{pid}/root" if os.path.isabs(file) else f"/proc/{pid}/cwd/"
    # Without /proc every process sees the same files.
    path = own + file if os.path.isdir(f"/proc/{pid}") else file
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except PermissionError:
        return Absent(
            State.DENIED, f"{file} may not be read by this user", "run perftui as root or its owner"
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return Absent(State.UNAVAILABLE, f"{file} cannot be read: {why}")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Absent(State.UNAVAILABLE, f"{file} is not a regular file")
        if status.st_size > LARGEST:
            return Absent(State.UNAVAILABLE, f"{file} is larger than 1 MiB")
        return os.read(descriptor, LARGEST).decode("utf-8", "replace")
    except OSError as error:
        return Absent(State.UNAVAILABLE, f"{file} cannot be read: {error.strerror}")
    finally:
        os.close(descriptor)
