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

import msgspec

VERSION = 1
LOOK_AGAIN = 2.0
"""Seconds between two looks whether another process has changed the file."""


class Silence(msgspec.Struct, frozen=True):
    """Quiet for the alerts whose rule and subject match, until a moment of the wall clock.

    `rule` and `subject` are patterns with `*`, `?` and `[...]`; a `fingerprint` means that alert
    alone. `until` and `created` are Unix times.
    """

    id: str
    until: float
    rule: str = "*"
    subject: str = "*"
    fingerprint: str = ""
    by: str = ""
    comment: str = ""
    created: float = 0.0

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
    under another name; what went wrong is in `problem`, and silences then last as long as the
    process. The file is opened at first use.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._problem = ""
        self._aside = ""
        self._lock = threading.Lock()
        self._silences: dict[str, Silence] = {}
        self._seen: tuple[int, int] | None = None
        self._looked = float("-inf")

    @property
    def problem(self) -> str:
        """What keeps the silences from being read or saved, empty when nothing does."""
        return self._problem or self._aside

    def add(self, silence: Silence) -> None:
        """Keep a silence from now on."""
        self._change(silence.id, silence)

    def remove(self, identity: str) -> bool:
        """End a silence; False when there is none with that id."""
        return self._change(identity, None)

    def active(self, now: float) -> tuple[Silence, ...]:
        """Return the silences that have not expired at Unix time `now`, oldest first."""
        with self._lock:
            looked = time.monotonic()
            if looked - self._looked >= LOOK_AGAIN:
                self._looked = looked
                self._read()
            found = [silence for silence in self._silences.values() if silence.until > now]
        return tuple(sorted(found, key=lambda silence: (silence.created, silence.id)))

    def _change(self, identity: str, silence: Silence | None) -> bool:
        with self._lock, self._exclusive():
            self._read()
            known = self._silences.pop(identity, None) is not None
            if silence is not None:
                self._silences[identity] = silence
            if known or silence is not None:
                self._write()
            return known

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep other processes from changing the file between reading and writing it."""
        if self.path is None:
            yield
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            self._problem = _told(error, self.path, "saved to")
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _read(self) -> None:
        if self.path is None:
            return
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_ino)
            if seen == self._seen:
                return
            content = self.path.read_bytes()
        except FileNotFoundError:
            if self._seen is not None:
                self._silences, self._seen = {}, None
            return
        except OSError as error:
            self._problem = _told(error, self.path, "read from")
            return
        try:
            silences = msgspec.json.decode(content, type=_File).silences
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._put_aside(error)
            return
        self._silences = {silence.id: silence for silence in silences}
        self._seen = seen
        self._problem = ""

    def _put_aside(self, error: Exception) -> None:
        assert self.path is not None
        stamp = time.strftime("%Y%m%d-%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.unreadable-{stamp}-{os.getpid()}")
        try:
            self.path.rename(aside)
        except OSError as refusal:
            self._problem = _told(refusal, self.path, "read from")
            return
        self._seen = None
        # Stays although the next silence makes a new file: what was in the old one is not in force.
        self._aside = f"silences in {self.path} cannot be read ({error}); kept as {aside.name}"

    def _write(self) -> None:
        if self.path is None:
            return
        now = time.time()
        self._silences = {name: one for name, one in self._silences.items() if one.until > now}
        ordered = sorted(self._silences.values(), key=lambda one: (one.created, one.id))
        content = msgspec.json.format(msgspec.json.encode(_File(tuple(ordered))), indent=2)
        new = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            # Comments may tell more than everybody on the machine should know.
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content + b"\n")
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
            status = self.path.stat()
        except OSError as error:
            self._problem = _told(error, self.path, "saved to")
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            return
        self._seen = (status.st_mtime_ns, status.st_ino)
        self._problem = ""


def _told(error: OSError, path: Path, what: str) -> str:
    return f"silences cannot be {what} {path}: {error.strerror or error}"
