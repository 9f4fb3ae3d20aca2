"""Silences: which alerts nobody need look at, until when, by whom and why; kept in a file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec

VERSION = 1
LOOK_AGAIN = 2.0
"""Seconds between two looks whether another process has changed the file."""

PATIENCE = 1.0
"""Seconds to wait for another process that is changing the file."""

SKEW = 60.0
"""Seconds by which clocks of machines that share a home directory may differ."""

LATEST = 253_402_214_400.0
"""Unix time at which a silence ends at the latest, a day before dates end with the year 9999."""

UnixTime = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]


class Silence(msgspec.Struct, frozen=True):
    """Quiet for the alerts whose rule and subject match, until a moment of the wall clock.

    `rule` and `subject` are patterns with `*`, `?` and `[...]`; a `fingerprint` means that alert
    alone. `until` and `created` are Unix times.
    """

    id: str
    until: UnixTime
    rule: str = "*"
    subject: str = "*"
    fingerprint: str = ""
    by: str = ""
    comment: str = ""
    created: UnixTime = 0.0

    def matches(self, rule: str, subject: str, fingerprint: str) -> bool:
        """Whether it means the alert of that rule, subject and fingerprint."""
        if self.fingerprint:
            return self.fingerprint == fingerprint
        return fnmatchcase(rule, self.rule) and fnmatchcase(subject, self.subject)


class _File(msgspec.Struct, frozen=True):
    silences: tuple[Silence, ...]
    version: int = VERSION


class SilenceBook:
    """The silences of one user, in memory and, with a path, in a file that others may change too.

    Threads and processes may use it at the same time. A file that cannot be read is kept beside
    under another name; what went wrong is in `problem`. What cannot be saved is in force all the
    same, and saved as soon as that is possible. The file is opened at first use.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._problem = ""
        self._aside = ""
        self._lock = threading.Lock()
        self._saved: dict[str, Silence] = {}
        # What has been changed since, None for a silence that was ended.
        self._unsaved: dict[str, Silence | None] = {}
        self._seen: tuple[int, int, int] | None = None
        self._looked = float("-inf")

    @staticmethod
    def trouble(path: Path) -> str:
        """Return what keeps silences from being read from or saved to a file, changing nothing."""
        try:
            _decoded(path.read_bytes())
        except FileNotFoundError:
            pass
        except OSError as error:
            return _told(error, path, "read from")
        except ValueError as error:
            return f"silences in {path} cannot be read ({error})"
        place = path.parent
        while not os.path.exists(place) and place != place.parent:
            place = place.parent
        if not os.path.isdir(place):
            return f"silences cannot be saved to {path}: {place} is no directory"
        if not os.access(place, os.W_OK | os.X_OK):
            return f"silences cannot be saved to {path}: {place} may not be written"
        return ""

    @property
    def problem(self) -> str:
        """What keeps the silences from being read or saved, empty when nothing does."""
        return self._problem or self._aside

    def add(self, silence: Silence) -> None:
        """Keep a silence from now on."""
        with self._lock:
            until = min(silence.until, LATEST)
            self._unsaved[silence.id] = msgspec.structs.replace(silence, until=until)
            self._save(PATIENCE)

    def remove(self, identity: str) -> bool:
        """End a silence; False when there is none with that id."""
        with self._lock:
            self._read()
            if identity not in self._all():
                return False
            self._unsaved[identity] = None
            self._save(PATIENCE)
            return True

    def active(self, now: float) -> tuple[Silence, ...]:
        """Return the silences that have not expired at Unix time `now`, oldest first."""
        with self._lock:
            looked = time.monotonic()
            if looked - self._looked >= LOOK_AGAIN:
                self._looked = looked
                self._read()
                self._follow_clock(now)
                if self._unsaved:
                    self._save(0.0)
            found = [silence for silence in self._all().values() if silence.until > now]
        return _ordered(found)

    def _all(self) -> dict[str, Silence]:
        if not self._unsaved:
            return self._saved
        merged: dict[str, Silence | None] = {**self._saved, **self._unsaved}
        return {name: one for name, one in merged.items() if one is not None}

    def _follow_clock(self, now: float) -> None:
        """Give a silence that begins in the future its duration from now on.

        The clock has been set back; else an hour that was asked for could last years.
        """
        for one in self._all().values():
            if one.created > now + SKEW:
                until = now + max(0.0, one.until - one.created)
                self._unsaved[one.id] = msgspec.structs.replace(one, created=now, until=until)

    def _save(self, patience: float) -> None:
        if self.path is None:
            self._saved, self._unsaved = self._all(), {}
            return
        with self._exclusive(self.path, patience) as may_write:
            # What cannot be read must not be replaced by what is known here.
            if may_write and self._read():
                self._write(self.path)

    @contextlib.contextmanager
    def _exclusive(self, path: Path, patience: float) -> Iterator[bool]:
        """Keep other processes from changing the file between reading and writing it."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            self._problem = _told(error, path, "saved to")
            yield False
            return
        try:
            locked = _locked(lock, patience)
            if not locked:
                self._problem = f"silences cannot be saved to {path}: another process holds it"
            yield locked
        finally:
            os.close(lock)

    def _read(self) -> bool:
        """Read the file if it has changed; return whether what is in it is known."""
        if self.path is None:
            return True
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen == self._seen:
                return True
            content = self.path.read_bytes()
        except FileNotFoundError:
            self._saved, self._seen = {}, None
            return True
        except OSError as error:
            self._problem = _told(error, self.path, "read from")
            return False
        try:
            self._saved = _decoded(content)
        except ValueError as error:
            return self._put_aside(self.path, error)
        self._seen = seen
        if not self._unsaved:
            self._problem = ""
        return True

    def _put_aside(self, path: Path, error: ValueError) -> bool:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        aside = path.with_name(f"{path.name}.unreadable-{stamp}-{os.getpid()}")
        try:
            path.rename(aside)
        except OSError as refusal:
            self._problem = _told(refusal, path, "read from")
            return False
        # What was read from it before it broke is still known, and in force.
        self._unsaved = {**self._saved, **self._unsaved}
        self._saved, self._seen = {}, None
        # Stays although the next silence makes a new file: what was in the old one is not in force.
        self._aside = f"silences in {path} cannot be read ({error}); kept as {aside.name}"
        return True

    def _write(self, path: Path) -> None:
        now = time.time()
        kept = {name: one for name, one in self._all().items() if one.until > now}
        encoded = msgspec.json.encode(_File(_ordered(list(kept.values()))))
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            # Comments may tell more than everybody on the machine should know.
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.format(encoded, indent=2) + b"\n")
                file.flush()
                os.fsync(file.fileno())
                status = os.fstat(file.fileno())
            new.replace(path)
        except OSError as error:
            self._problem = _told(error, path, "saved to")
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            return
        self._saved, self._unsaved = kept, {}
        self._seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        self._problem = ""


def _decoded(content: bytes) -> dict[str, Silence]:
    """Return the silences of a file by id; raises ValueError."""
    silences = msgspec.json.decode(content, type=_File).silences
    return {silence.id: silence for silence in silences}


def _ordered(silences: list[Silence]) -> tuple[Silence, ...]:
    return tuple(sorted(silences, key=lambda silence: (silence.created, silence.id)))


def _locked(lock: int, patience: float) -> bool:
    """Take the lock of a file within `patience` seconds; a stopped process may hold it for ever."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)
        except OSError:
            # Some file systems of networks have no locks; silences there are better than none.
            return True
        else:
            return True


def _told(error: OSError, path: Path, what: str) -> str:
    return f"silences cannot be {what} {path}: {error.strerror or error}"
