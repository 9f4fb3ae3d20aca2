"""Rules for what fills up: file systems, inodes, file descriptors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

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


def _inodes(snapshot: Snapshot) -> Iterator[Reading]:
    for row in rows(snapshot):
        if not isinstance(row.inodes_percent, Absent):
            yield Reading(row.mount, row.inodes_percent)


def _about(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    return tuple(
        f"{row.mount} is {row.device} ({row.kind}), {measure(row.available, 'bytes')} of "
        f"{measure(row.total, 'bytes')} left"
        for row in rows(snapshot)
        if row.mount == reading.subject
    )


class HoursToFull:
    """When a file system will be full if it goes on as in the last hours: a line through them."""

    def __init__(self) -> None:
        self._courses: dict[str, deque[tuple[float, float]]] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R17b",
            name="disk_fills",
            title="Disk fills up",
            kind=Kind.CAPACITY,
            unit="h",
            levels=Levels(24.0, 36.0, 4.0, 8.0, above=False),
            measure=self.measure,
            message=lambda reading, level: (
                f"full in {reading.value:.1f} h at the speed of late, below {level:g} h"
            ),
            hint=lambda reading: (
                f"find what grows: du -x --max-depth=2 {reading.subject} | sort -n | tail"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=900.0,
            least=POINTS,
            evidence=_about,
            inhibited_by=frozenset({"R17"}),
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        now = snapshot.monotonic
        for row in rows(snapshot):
            course = self._courses.get(row.mount)
            if course is None:
                if len(self._courses) >= MOST_COURSES:
                    continue
                course = self._courses[row.mount] = deque(maxlen=int(SPAN / EVERY))
            if not course or now - course[-1][0] >= EVERY:
                course.append((now, float(row.available)))
            while now - course[0][0] > SPAN:
                course.popleft()
            hours = FAR
            if row.used_percent > MOSTLY_FULL and len(course) >= POINTS:
                hours = _hours_to_zero(course, row)
            yield Reading(row.mount, hours, len(course), window=SPAN)


def _hours_to_zero(course: deque[tuple[float, float]], row: FileSystem) -> float:
    """Return hours until nothing is left by least squares, FAR where the course is no such line."""
    count = len(course)
    mean_time = sum(time for time, _ in course) / count
    mean_left = sum(left for _, left in course) / count
    spread = sum((time - mean_time) ** 2 for time, _ in course)
    together = sum((time - mean_time) * (left - mean_left) for time, left in course)
    scatter = sum((left - mean_left) ** 2 for _, left in course)
    if together >= 0 or not spread or not scatter:
        return FAR
    slope = together / spread
    filled = -slope * (course[-1][0] - course[0][0])
    if filled < LEAST_GROWTH * row.total or together**2 / (spread * scatter) < LEAST_FIT:
        return FAR
    return min(FAR, row.available / -slope / 3600)


def _descriptors(snapshot: Snapshot) -> Iterator[Reading]:
    found = snapshot.descriptors
    if isinstance(found, Absent):
        return
    for row in found.rows:
        if row.limit > 0:
            yield Reading(f"{row.name} ({row.pid})", 100 * row.open / row.limit)


def _all_descriptors(snapshot: Snapshot) -> Iterator[Reading]:
    found = snapshot.descriptors
    if isinstance(found, Absent) or isinstance(found.open, Absent):
        return
    if not isinstance(found.limit, Absent) and found.limit > 0:
        yield Reading("host", 100 * found.open / found.limit)


def _nearest(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    found = snapshot.descriptors
    if isinstance(found, Absent):
        return ()
    chosen = [row for row in found.rows if reading.subject in ("host", f"{row.name} ({row.pid})")]
    chosen.sort(key=lambda row: -row.open)
    return tuple(
        f"{row.name} ({row.pid}) has {row.open:,} of {row.limit:,} open" for row in chosen[:3]
    )


def disk_rules() -> tuple[Rule, ...]:
    """Return the rules for file systems and descriptors, with memories of their own."""
    return (
        Rule(
            id="R17",
            name="disk_full",
            title="Disk full",
            kind=Kind.CAPACITY,
            unit="percent",
            levels=Levels(90.0, 80.0, CRITICAL_PERCENT, 90.0),
            measure=_usage,
            message=lambda reading, level: f"{reading.value:.1f} % full, limit {level:g} %",
            hint=lambda reading: (
                f"find what is large: du -x --max-depth=2 {reading.subject} | sort -n | tail"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=900.0,
            evidence=_about,
        ),
        HoursToFull().rule(),
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
            hint=lambda reading: (
                f"find many small files: du -x --inodes --max-depth=2 {reading.subject} | "
                "sort -n | tail"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=900.0,
            evidence=_about,
        ),
        Rule(
            id="R19",
            name="descriptors",
            title="File descriptors",
            kind=Kind.CAPACITY,
            unit="percent",
            levels=Levels(70.0, 60.0, 90.0, 80.0),
            measure=_descriptors,
            message=lambda reading, level: (
                f"{reading.value:.0f} % of its file descriptors are open, limit {level:g} %"
            ),
            hint=lambda reading: (
                "ls -l /proc/PID/fd of that process shows what it does not close: sockets, files"
            ),
            sources=frozenset({"descriptors"}),
            pane="processes",
            hold=60.0,
            keep=300.0,
            evidence=_nearest,
        ),
        Rule(
            id="R19b",
            name="all_descriptors",
            title="File descriptors of the machine",
            kind=Kind.CAPACITY,
            unit="percent",
            levels=Levels(70.0, 60.0, 90.0, 80.0),
            measure=_all_descriptors,
            message=lambda reading, level: (
                f"{reading.value:.0f} % of all file descriptors are open, limit {level:g} %"
            ),
            hint=lambda reading: "find who opens so many, or raise fs.file-max with sysctl",
            sources=frozenset({"descriptors"}),
            pane=PANE,
            hold=60.0,
            keep=300.0,
            evidence=_nearest,
        ),
    )
