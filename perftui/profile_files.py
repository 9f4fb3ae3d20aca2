"""Profiles as files: their forms, their names, and writing them so that none is ever half there."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Literal, TypeAlias

from perftui.profiling.collapsed import collapsed
from perftui.profiling.speedscope_document import speedscope_document
from perftui.snapshot import Absent, TopCalls

StackForm: TypeAlias = Literal["collapsed", "speedscope"]
Form: TypeAlias = Literal["collapsed", "speedscope", "svg"]

SUFFIXES: dict[Form, str] = {
    "collapsed": "collapsed",
    "speedscope": "speedscope.json",
    "svg": "svg",
}
MOST_KEPT = 50
"""Profiles that are kept in the state directory; beyond, the oldest is dropped."""


class UnwritableError(Exception):
    """A file cannot be written there; the message says why and what to do."""


class NoStacksError(ValueError):
    """A profile has no stacks; the message says why."""


def default_name(pid: int, form: Form, wall: float) -> str:
    """Return the usual name of a file, with the local time of the Unix time `wall`."""
    moment = time.strftime("%Y%m%d-%H%M%S", time.localtime(wall))
    return f"perftui-{pid}-{moment}.{SUFFIXES[form]}"


def data_of(calls: TopCalls, form: StackForm, per_thread: bool = False) -> bytes:
    """Return the stacks of a profile in a form; the thread is the outermost frame if `per_thread`.

    Raises NoStacksError.
    """
    if isinstance(calls.stacks, Absent):
        raise NoStacksError(f"this profile has no stacks: {calls.stacks.reason}")
    if form == "speedscope":
        return speedscope_document(calls)
    return collapsed(calls, per_thread).encode()


def check_writable(path: Path) -> None:
    """Raise UnwritableError when a file cannot be written there; nothing is left behind."""
    target = _resolved(path)
    if target.is_dir():
        raise UnwritableError(f"{path} is a directory: name a file in it")
    directory = target.parent
    if not directory.is_dir():
        raise UnwritableError(f"there is no directory {directory}: mkdir -p {directory}")
    # A file is replaced as a whole, so its directory decides; a pipe or device is written to.
    decisive = target if _is_special(target) else directory
    if not os.access(decisive, os.W_OK):
        raise UnwritableError(
            f"{decisive} is not writable for this user: choose another file, "
            f"or change its permissions: ls -ld {decisive}"
        )
    if decisive is directory:
        # Rights are not all that it takes, least of all those of root: see /proc.
        try:
            tempfile.TemporaryFile(dir=directory).close()
        except OSError as error:
            why = error.strerror or error
            raise UnwritableError(
                f"no file can be made in {directory}: {why}; choose another directory"
            ) from error


def write_whole(path: Path, data: bytes, private: bool = False) -> None:
    """Write a file that is there as a whole or not at all, in place of one that there may be.

    A `private` one is for this user's eyes alone. Raises UnwritableError.
    """
    check_writable(path)
    target = _resolved(path)
    try:
        if _is_special(target):
            target.write_bytes(data)
        else:
            _replace(target, data, 0o600 if private else _usual_mode(target))
    except OSError as error:
        raise UnwritableError(f"{path} cannot be written: {error.strerror or error}") from error


def keep_profile(calls: TopCalls, directory: Path, wall: float) -> Path:
    """Keep a profile as speedscope document in a directory for this user alone; return its path.

    The oldest profiles there are dropped when there are more than MOST_KEPT. Raises
    UnwritableError, or NoStacksError.
    """
    data = data_of(calls, "speedscope")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        problem = f"{directory} cannot be made: {error.strerror or error}"
        raise UnwritableError(problem) from error
    path = directory / default_name(calls.pid, "speedscope", wall)
    write_whole(path, data, private=True)
    _drop_oldest(directory, path)
    return path


def _drop_oldest(directory: Path, newest: Path) -> None:
    found: list[tuple[float, Path]] = []
    for other in directory.glob(f"perftui-*.{SUFFIXES['speedscope']}"):
        # Another perftui may drop the same ones now.
        with contextlib.suppress(OSError):
            found.append((other.stat().st_mtime, other))
    found.sort(key=lambda each: (each[1] == newest, each[0], each[1].name))
    for _, other in found[:-MOST_KEPT]:
        with contextlib.suppress(OSError):
            other.unlink()


def _replace(target: Path, data: bytes, mode: int) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(descriptor, mode)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _usual_mode(target: Path) -> int:
    """Return the mode of the file that is there, else what a shell would give a new one."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except OSError:
        # The mask can only be read by setting it.
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask


def _resolved(path: Path) -> Path:
    """Return where a path leads to: what a link points to is replaced, not the link."""
    try:
        named = path.expanduser()
        # A link like /dev/stdout may lead to a pipe, which has no path of its own.
        return named if _is_special(named) and not named.is_dir() else Path(os.path.realpath(named))
    except (OSError, RuntimeError, ValueError) as error:
        raise UnwritableError(f"{path} is no path of a file: {error}") from error


def _is_special(target: Path) -> bool:
    return target.exists() and not target.is_file()
