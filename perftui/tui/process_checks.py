"""What may be profiled, for the screen: read and tried on threads of their own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from perftui.profiling.profilable import Checked, Subject, Viewer
from perftui.tui.jobs import Job

ProcessKey: TypeAlias = tuple[int, float]
"""Process id and the Unix time of its start, which tells a reused id apart."""

FRESH = 5.0
"""Seconds after which what was read of a process is read again: who traces it may have changed."""

MOST_AT_ONCE = 300
"""Processes read in one go; each takes about 50 us."""


class _Read(NamedTuple):
    viewer: Viewer
    subjects: dict[ProcessKey, Subject]


class ProcessChecks:
    """Reads what decides about many processes, and tries to read single ones.

    Everything is called on the event loop, which never waits here.
    """

    def __init__(self) -> None:
        self.viewer: Viewer | None = None
        self._subjects: dict[ProcessKey, tuple[Subject, float]] = {}
        self._checked: dict[ProcessKey, Checked] = {}
        self._reading: Job[_Read] | None = None
        self._trying: tuple[ProcessKey, Job[Checked]] | None = None

    def subject(self, key: ProcessKey) -> Subject | None:
        """Return what was read of a process, None before."""
        found = self._subjects.get(key)
        return None if found is None else found[0]

    def checked(self, key: ProcessKey) -> Checked | None:
        """Return what the attempt to read a process found, None before."""
        return self._checked.get(key)

    def is_trying(self, key: ProcessKey) -> bool:
        """Whether a process is being tried now."""
        return self._trying is not None and self._trying[0] == key

    def want(self, keys: Sequence[ProcessKey]) -> None:
        """Have processes read that have not been read lately, the first ones first."""
        if self._reading is not None:
            return
        now = time.monotonic()
        old = [key for key in keys if now - self._subjects.get(key, (None, -1e9))[1] > FRESH]
        if old:
            chosen = tuple(old[:MOST_AT_ONCE])
            self._reading = Job(lambda: _read(chosen))

    def check(self, key: ProcessKey) -> bool:
        """Begin to try a process, which takes about 20 ms; False while another one is tried."""
        if self._trying is not None:
            return False
        self._checked.pop(key, None)
        self._trying = key, Job(lambda: _try(key[0]))
        return True

    def poll(self) -> bool:
        """Take what has arrived; whether there was anything."""
        arrived = False
        reading = self._reading
        if reading is not None and reading.done:
            self._reading = None
            if reading.result is not None:
                arrived = True
                now = time.monotonic()
                self.viewer = reading.result.viewer
                for key, subject in reading.result.subjects.items():
                    self._subjects[key] = subject, now
        trying = self._trying
        if trying is not None and trying[1].done:
            self._trying = None
            arrived = True
            key, job = trying
            self._checked[key] = job.result or _failed(job.error)
        return arrived


def _read(keys: Sequence[ProcessKey]) -> _Read:
    from perftui.sources.processes.subject import SubjectReader
    from perftui.sources.pyspy.process import find_py_spy

    reader = SubjectReader(find_py_spy())
    return _Read(reader.viewer(), {key: reader.read(key[0]) for key in keys})


def _try(pid: int) -> Checked:
    from perftui.sources.pyspy.preflight import preflight

    found = preflight(pid)
    return Checked(found.problem, found.python, found.threads)


def _failed(error: str) -> Checked:
    from perftui.snapshot import Absent, State

    return Checked(Absent(State.UNAVAILABLE, f"the check failed: {error or 'without a reason'}"))
