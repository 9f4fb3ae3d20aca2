"""Rules for file descriptors that run out."""

from __future__ import annotations

from collections.abc import Iterator

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.snapshot import Absent, Snapshot

SOURCES = frozenset({"descriptors"})


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


def _who(reading: Reading) -> str:
    pid = reading.subject.rpartition("(")[2].rstrip(")")
    return f"ls -l /proc/{pid}/fd shows what it does not close: sockets, files"


def descriptor_rules() -> tuple[Rule, ...]:
    """Return the rules for file descriptors of processes and of the machine."""
    return (
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
            hint=_who,
            sources=SOURCES,
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
            sources=SOURCES,
            pane="resources",
            hold=60.0,
            keep=300.0,
            evidence=_nearest,
        ),
    )
