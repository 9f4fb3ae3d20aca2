"""The file that holds deleted keys for a while, so that they can be put back.

A magic number, then records: length and CRC-32 of the payload as little-endian 32-bit numbers, then
the payload. The first payload is the JSON of the header, each other one is a key: length of the key
(32 bit), moment of expiry (64 bit, milliseconds of Unix time, -1 for none), key, output of DUMP. A
record that was cut off by a crash ends the file. The values are production data: only the user who
made the journal may read it, and it goes as soon as it is of no more use.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

MAGIC = b"PTUNDO\x001"
SUFFIX = ".undo"
MOST_KEYS = 100_000
MOST_BYTES = 64_000_000
LIFETIME = 600.0
"""Seconds for which a journal may be used; then the values are too old to be anybody's."""
NO_EXPIRY = -1
LONGEST_RECORD = 128_000_000

_FRAME = struct.Struct("<II")
_KEY = struct.Struct("<Iq")
_NAME = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")


class JournalError(Exception):
    """A journal that cannot be read or used; the message says why."""


class Header(msgspec.Struct, frozen=True):
    """Where the keys come from; `created` is Unix time, `servers` the run ids of all primaries."""

    id: str
    created: float
    address: str
    db: int
    servers: tuple[str, ...]
    version: str
    pattern: bytes
    who: str


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """One deleted key; `expires_at` in milliseconds of Unix time, -1 when it had no expiry."""

    key: bytes
    expires_at: int
    dump: bytes


def directory() -> Path:
    """Return where journals are: $XDG_STATE_HOME/perftui/undo, ~/.local/state by default."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # The specification wants relative paths to be passed over.
    root = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state"
    return root / "perftui" / "undo"


def room_problem(where: Path | None = None) -> str:
    """Return why no journal could be written there, empty when one could."""
    where = where or directory()
    existing = next(path for path in (where, *where.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"{existing} is not writable; set XDG_STATE_HOME"
    if shutil.disk_usage(existing).free < 2 * MOST_BYTES:
        return f"less than {2 * MOST_BYTES // 1_000_000} MB are free in {existing}"
    return ""


class JournalWriter:
    """A journal that is being written, readable by this user alone.

    Each batch goes to the operating system at once, so that a crash of this program loses none.
    Raises OSError where the file cannot be written.
    """

    def __init__(
        self,
        *,
        address: str,
        db: int,
        servers: tuple[str, ...],
        version: str,
        pattern: bytes,
        who: str,
        where: Path | None = None,
    ) -> None:
        where = where or directory()
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        where.chmod(0o700)
        remove_old(where)
        now = time.time()
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}-{secrets.token_hex(4)}"
        self.header = Header(name, now, address, db, servers, version, pattern, who)
        self.path = where / f"{name}{SUFFIX}"
        self.keys = 0
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: BinaryIO = os.fdopen(descriptor, "wb", buffering=0)
        self.size = 0
        self._write(MAGIC + _frame(msgspec.json.encode(self.header)))

    def fits(self, keys: int) -> bool:
        """Tell whether so many keys more stay within the limits."""
        return self.keys + keys <= MOST_KEYS and self.size < MOST_BYTES

    def add(self, batch: list[Deleted]) -> None:
        """Append keys that have just been deleted."""
        self._write(b"".join(_frame(_packed(one)) for one in batch))
        self.keys += len(batch)

    def close(self) -> None:
        """Finish the file, and remove it when no key is in it."""
        if self.keys:
            os.fsync(self._file.fileno())
        self._file.close()
        if not self.keys:
            self.path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) or 0 :]
        self.size += len(data)


class Journal:
    """A journal on disk; `header` is read at once, the keys as they are asked for.

    Raises JournalError for a file that is none, OSError where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.truncated = False
        with path.open("rb") as file:
            self.header = self._header(file)

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return time.time() - self.header.created

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size

    def deleted(self) -> Iterator[Deleted]:
        """Yield the keys up to the end or to a record that is damaged; `truncated` tells which."""
        with self.path.open("rb") as file:
            self._header(file)
            while payload := self._record(file):
                if len(payload) < _KEY.size:
                    self.truncated = True
                    return
                length, expires_at = _KEY.unpack_from(payload)
                end = _KEY.size + length
                if end > len(payload):
                    self.truncated = True
                    return
                yield Deleted(payload[_KEY.size : end], expires_at, payload[end:])

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def _header(self, file: BinaryIO) -> Header:
        if file.read(len(MAGIC)) != MAGIC:
            raise JournalError(f"{self.path.name} is no undo journal of this version")
        try:
            return msgspec.json.decode(self._record(file), type=Header)
        except msgspec.DecodeError:
            raise JournalError(f"{self.path.name} is damaged at its beginning") from None

    def _record(self, file: BinaryIO) -> bytes:
        """Return the next payload, nothing at the end."""
        frame = file.read(_FRAME.size)
        if len(frame) == _FRAME.size:
            length, checksum = _FRAME.unpack(frame)
            payload = file.read(length) if 0 < length <= LONGEST_RECORD else b""
            if payload and len(payload) == length and zlib.crc32(payload) == checksum:
                return payload
        self.truncated = self.truncated or bool(frame)
        return b""


def journals(where: Path | None = None) -> list[Journal]:
    """Return the journals that may still be used, the newest first."""
    where = where or directory()
    remove_old(where)
    found = []
    for path in _paths(where):
        with contextlib.suppress(JournalError, OSError):
            found.append(Journal(path))
    usable = [journal for journal in found if journal.age <= LIFETIME]
    return sorted(usable, key=lambda one: one.header.created, reverse=True)


def remove_old(where: Path) -> None:
    """Remove the journals whose time is over; those of others are left alone."""
    now = time.time()
    for path in _paths(where):
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime > LIFETIME:
                path.unlink()


def _paths(where: Path) -> list[Path]:
    # Nothing but what this module has named: it deletes what it finds here.
    return [path for path in where.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.stem)]


def _packed(one: Deleted) -> bytes:
    return _KEY.pack(len(one.key), one.expires_at) + one.key + one.dump


def _frame(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
