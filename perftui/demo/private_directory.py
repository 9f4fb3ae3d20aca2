"""The demo's directory: private, short enough for a Unix socket, and gone with its owner.

A lock on a file inside tells a directory in use from one whose owner and supervisor were both
killed; the next demo removes the latter.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "perftui-demo-"
SOCKET = "redis.sock"
LONGEST_SOCKET = 103
"""Bytes of a socket's path: sun_path holds 108 on Linux and 104 on macOS, with the final NUL."""

_LOCK = "lock"
_YOUNG = 60.0
"""Seconds in which a directory without a lock may still be about to get one."""


def choose_directory() -> Path:
    """Return a path for a new directory, which is not made yet.

    Raises OSError when no place to write to is short enough for a socket.
    """
    name = PREFIX + secrets.token_hex(4)
    for parent in _parents():
        directory = parent / name
        if len(os.fsencode(directory / SOCKET)) <= LONGEST_SOCKET:
            return directory
    raise OSError(
        f"no directory to write to has a path of less than {LONGEST_SOCKET - len(name) - 12} bytes"
    )


def make_directory(directory: Path) -> int:
    """Make the directory for this user only and return the descriptor that holds its lock.

    Raises OSError, also when something is there already.
    """
    directory.mkdir(mode=0o700)
    lock = os.open(directory / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def remove_directory(directory: Path) -> None:
    """Remove the directory with all that is in it, within 0.3 s; what resists stays."""
    for _ in range(6):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        # A process that is being killed may have made one more file.
        time.sleep(0.05)


def remove_abandoned(beside: Path) -> list[Path]:
    """Remove this user's demo directories that nobody uses, and return them."""
    removed = []
    for directory in beside.parent.glob(PREFIX + "*"):
        if directory != beside and _abandoned(directory):
            remove_directory(directory)
            removed.append(directory)
    return removed


def _abandoned(directory: Path) -> bool:
    try:
        status = directory.lstat()
        if status.st_uid != os.getuid() or time.time() - status.st_mtime < _YOUNG:
            return False
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def _parents() -> Iterator[Path]:
    wanted = [os.environ.get("XDG_RUNTIME_DIR", ""), _temporary_directory(), "/tmp"]
    for name in wanted:
        if name and os.path.isabs(name) and os.path.isdir(name) and os.access(name, os.W_OK):
            yield Path(name)


def _temporary_directory() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return ""
