"""Rules for file systems that fill up."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.format import measure
from perftui.snapshot import Absent, FileSystem, Snapshot

SOURCES = frozenset({"file_systems"})
PANE = "resources"
SCARCE = 5_000_000_000
"""Bytes: a file system with more than that left is not critical, however large it is."""
CRITICAL_PERCENT = 98.0
SPAN, EVERY = 6 * 3600.0, 60.0
POINTS = 30
MOSTLY_FULL = 60.0
LEAST_GROWTH = 0.005
"""Part of the file system that has to be filled before a trend is one."""
LEAST_FIT = 0.6
"""Coefficient of determination below which the course is no line."""
FAR = 1000.0
"""Hours that stand for never."""
MOST_COURSES = 200


def rows(snapshot: Snapshot) -> tuple[FileSystem, ...]:
    """Return the file systems, empty while they are not read."""
    found = snapshot.file_systems
    return () if isinstance(found, Absent) else found.rows


def _usage(snapshot: Snapshot) -> Iterator[Reading]:
    for row in rows(snapshot):
        value = row.used_percent
        if row.available >= SCARCE:
            value = min(value, CRITICAL_PERCENT)
        yield Reading(row.mount, value)


def _used(reading: Reading, level: float) -> str:
    # Above that it is told exactly only where little is left, see _usage.
    least = "at least " if reading.value == CRITICAL_PERCENT else ""
    return f"{least}{reading.value:.1f} % full, limit {level:g} %"


def _inodes(snapshot: Snapshot) -> Iterator[Reading]:
    for row in rows(snapshot):
        if not isinstance(row.inodes_percent, Absent):
            yield Reading(row.mount, row.inodes_percent)


def _look_for_size(reading: Reading) -> str:
    mount = shlex.quote(reading.subject)
    return f"find what is large: du -x --max-depth=2 {mount} | sort -n | tail"


def _look_for_number(reading: Reading) -> str:
    mount = shlex.quote(reading.subject)
    return f"find many small files: du -x --inodes --max-depth=2 {mount} | sort -n | tail"


def _about(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    return tuple(
        f"{row.mount} is {row.device} ({row.kind}), {measure(row.available, 'bytes')} of "
        f"{measure(row.total, 'bytes')} left"
        for row in rows(snapshot)
        if row.mount == reading.subject
    )


class HoursToFull:
    """When a file system will be full if it goes on as in the last hours: a line through them.

    `left` gives percent that are used, and how much is left of how much, in whatever unit.
    """

    def __init__(self, left: Callable[[FileSystem], tuple[float, float, float] | None]) -> None:
        self._left = left
        self._courses: dict[str, deque[tuple[float, float]]] = {}

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        """Yield hours to full, FAR where it does not fill up."""
        now = snapshot.monotonic
        for row in rows(snapshot):
            found = self._left(row)
            if found is None:
                continue
            percent, left, total = found
            course = self._course(row.mount, now)
            if course is None:
                continue
            if not course or now - course[-1][0] >= EVERY:
                course.append((now, left))
            while now - course[0][0] > SPAN:
                course.popleft()
            hours = FAR
            if percent > MOSTLY_FULL and len(course) >= POINTS:
                hours = _hours_to_zero(course, left, total)
            yield Reading(row.mount, hours, len(course), window=SPAN)

    def _course(self, mount: str, now: float) -> deque[tuple[float, float]] | None:
        course = self._courses.get(mount)
        if course is None:
            if len(self._courses) >= MOST_COURSES:
                # Mounts that are gone make room for new ones.
                self._courses = {
                    name: kept for name, kept in self._courses.items() if now - kept[-1][0] < SPAN
                }
            if len(self._courses) >= MOST_COURSES:
                return None
            course = self._courses[mount] = deque(maxlen=int(SPAN / EVERY) + 1)
        return course


def _bytes_left(row: FileSystem) -> tuple[float, float, float] | None:
    return row.used_percent, row.available, row.total


def _inodes_left(row: FileSystem) -> tuple[float, float, float] | None:
    percent = row.inodes_percent
    return None if isinstance(percent, Absent) else (percent, 100 - percent, 100.0)


def _hours_to_zero(course: deque[tuple[float, float]], now_left: float, total: float) -> float:
    """Return hours until nothing is left by least squares, FAR where the course is no such line."""
    count = len(course)
    begin = course[0][0]
    mean_time = sum(time - begin for time, _ in course) / count
    mean_left = sum(left for _, left in course) / count
    spread = sum((time - begin - mean_time) ** 2 for time, _ in course)
    together = sum((time - begin - mean_time) * (left - mean_left) for time, left in course)
    scatter = sum((left - mean_left) ** 2 for _, left in course)
    if together >= 0 or not spread or not scatter:
        return FAR
    slope = together / spread
    filled = -slope * (course[-1][0] - begin)
    if filled < LEAST_GROWTH * total or together**2 / (spread * scatter) < LEAST_FIT:
        return FAR
    return min(FAR, now_left / -slope / 3600)


def _until_full(reading: Reading, level: float) -> str:
    if reading.value >= FAR:
        return "does not fill up any more"
    return f"full in {reading.value:.1f} h if it goes on like that, limit {level:g} h"


def _until_out(reading: Reading, level: float) -> str:
    if reading.value >= FAR:
        return "the number of files does not grow any more"
    return f"no file more in {reading.value:.1f} h if it goes on like that, limit {level:g} h"


def _filling_rules() -> tuple[Rule, ...]:
    bytes_rule = Rule(
        id="R17b",
        name="disk_fills",
        title="Disk fills up",
        kind=Kind.CAPACITY,
        unit="h",
        levels=Levels(24.0, 36.0, 4.0, 8.0, above=False),
        measure=HoursToFull(_bytes_left).measure,
        message=_until_full,
        hint=_look_for_size,
        sources=SOURCES,
        pane=PANE,
        hold=60.0,
        keep=900.0,
        least=POINTS,
        evidence=_about,
        inhibited_by=frozenset({"R17"}),
    )
    inodes_rule = replace(
        bytes_rule,
        id="R18b",
        name="inodes_run_out",
        title="Inodes run out",
        measure=HoursToFull(_inodes_left).measure,
        message=_until_out,
        hint=_look_for_number,
        inhibited_by=frozenset({"R18"}),
    )
    return bytes_rule, inodes_rule


def disk_rules() -> tuple[Rule, ...]:
    """Return the rules for file systems, with memories of their own."""
    return (
        Rule(
            id="R17",
            name="disk_full",
            title="Disk full",
            kind=Kind.CAPACITY,
            unit="percent",
            levels=Levels(90.0, 80.0, CRITICAL_PERCENT, 90.0),
            measure=_usage,
            message=_used,
            hint=_look_for_size,
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=900.0,
            evidence=_about,
        ),
        *_filling_rules(),
        Rule(
            id="R18",
            name="inodes_full",
            title="Out of inodes",
            kind=Kind.CAPACITY,
            unit="percent",
            levels=Levels(90.0, 80.0, CRITICAL_PERCENT, 90.0),
            measure=_inodes,
            message=lambda reading, level: (
                f"{reading.value:.1f} % of the files there may be exist, limit {level:g} %"
            ),
            hint=_look_for_number,
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=900.0,
            evidence=_about,
        ),
    )
