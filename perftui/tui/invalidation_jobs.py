"""Invalidation for the screen: each step runs on a thread of its own against Redis."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from perftui.cache.audit import operator
from perftui.cache.glob import escape
from perftui.cache.invalidation import (
    Estimate,
    Invalidation,
    InvalidationResult,
    Progress,
    estimate,
)
from perftui.sources.redis.connection import connect, failure
from perftui.sources.redis.target import RedisTarget
from perftui.tui.jobs import Job

TYPED_COUNT_LIMIT = 10_000
TIMEOUT = 5.0
"""Seconds for one command; a batch takes milliseconds, a server in trouble takes longer."""

_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})|([nrt])|.)",
    re.DOTALL,
)
_SHORT = {"n": b"\n", "r": b"\r", "t": b"\t"}


class ProgressSlot:
    """Holds the newest progress of a deletion."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def put(self, progress: Progress) -> None:
        """Replace the progress; called on the job's thread."""
        self.progress = progress


@dataclass(frozen=True)
class Deletion:
    """A deletion under way: its job and the newest progress."""

    job: Job[InvalidationResult]
    latest: ProgressSlot


class InvalidationJobs:
    """Starts estimates and deletions on the Redis of one URL."""

    def __init__(self, url: str) -> None:
        self._target = RedisTarget.parse(url)

    @property
    def address(self) -> str:
        """Where the keys are deleted, without secrets."""
        return self._target.address

    def confirmation(self, pattern: str, found: Estimate) -> str:
        """Return the word that must be typed: the count, or the host when very much would go."""
        if found.matched > TYPED_COUNT_LIMIT or set(pattern) <= {"*", "?"}:
            return socket.gethostname() if self._target.scheme == "unix" else self._target.host
        return str(found.matched)

    def estimate(self, pattern: str) -> Job[Estimate]:
        """Start to estimate how many keys match."""
        wanted = pattern_bytes(pattern)

        def work() -> Estimate:
            try:
                with connect(self._target, TIMEOUT) as client:
                    return estimate(client, wanted)
            except Exception as error:
                raise failure(error, self._target) from error

        return Job(work)

    def delete(self, pattern: str) -> Deletion:
        """Start to delete every matching key; written to the audit stream at the end."""
        slot = ProgressSlot()
        client = connect(self._target, TIMEOUT)
        run = Invalidation(client, pattern_bytes(pattern), audit_as=operator())

        def work() -> InvalidationResult:
            with client:
                return run.run(slot.put)

        return Deletion(Job(work, run.cancel), slot)


def pattern_bytes(text: str) -> bytes:
    r"""Return the glob pattern that was typed.

    `\xNN` stands for one byte, `\uNNNN` and `\UNNNNNNNN` for one character, `\n`, `\r` and `\t`
    for line end, return and tabulator, none of them a wildcard: keys on the screen show in this
    way what is not printable, so one can be typed as it is seen. All else means what Redis says.
    """
    pattern = bytearray()
    end = 0
    for match in _ESCAPE.finditer(text):
        byte, short_code, long_code, short = match.groups()
        pattern += _encoded(text[end : match.start()])
        end = match.end()
        if byte:
            pattern += escape(bytes([int(byte, 16)]))
        elif code := short_code or long_code:
            pattern += _encoded(chr(int(code, 16)))
        else:
            pattern += _SHORT[short] if short else _encoded(match[0])
    return bytes(pattern) + _encoded(text[end:])


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
