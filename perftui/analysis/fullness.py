"""What fills up, in the order in which a person wants to see it: the fullest first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from perftui.snapshot import (
    Absent,
    AlertState,
    Descriptors,
    FileSystem,
    FileSystems,
    Maybe,
    ProcessDescriptors,
    Snapshot,
    State,
)

HOURS_RULE = "R17b"
"""The rule that draws a line through what is left; only it watches for long enough."""
NO_TREND = Absent(State.NOT_COLLECTED, "no alert says that it fills up")
NO_DESCRIPTOR_LIMIT = 1 << 62
"""From here on the limit of the machine is none: the kernel's default is the largest number."""


@dataclass(frozen=True)
class Mounted:
    """One mount point: its file system, or why there is none to be seen.

    `hours` are those until it is full; they are known while it fills up fast. `trouble` is empty
    where `usage` is measured; one that hangs is worse than one that may not be asked.
    """

    mount: str
    usage: FileSystem | None
    hours: Maybe[float] = NO_TREND
    trouble: str = ""
    hangs: bool = False

    @property
    def fullness(self) -> float:
        """The percent that is used, to sort by.

        A mount point that hangs is above, one that may not be asked below all others.
        """
        if self.usage is None:
            return math.inf if self.hangs else -1.0
        return self.usage.used_percent


def mounted(snapshot: Snapshot) -> list[Mounted]:
    """Return all mount points of a snapshot, those that hang first, then the fullest."""
    found = snapshot.file_systems
    if isinstance(found, Absent):
        return []
    hours = _hours(snapshot)
    rows = [Mounted(row.mount, row, hours.get(row.mount, NO_TREND)) for row in found.rows]
    rows += _troubled(found)
    return sorted(rows, key=lambda row: (-row.fullness, row.mount))


def _hours(snapshot: Snapshot) -> dict[str, float]:
    return {
        alert.subject: alert.value
        for alert in snapshot.alerts
        if alert.rule == HOURS_RULE
        and alert.state is not AlertState.NODATA
        and not isinstance(alert.value, Absent)
    }


def _troubled(found: FileSystems) -> list[Mounted]:
    hung = [Mounted(mount, None, trouble="does not answer", hangs=True) for mount in found.hung]
    return hung + [Mounted(mount, None, trouble=reason) for mount, reason in found.refused]


def limit_of(descriptors: Descriptors) -> Maybe[int | None]:
    """Return how many files the machine may have open, None where that is without a limit."""
    limit = descriptors.limit
    return None if not isinstance(limit, Absent) and limit >= NO_DESCRIPTOR_LIMIT else limit


def nearest_to_limit(descriptors: Descriptors) -> ProcessDescriptors | None:
    """Return the process that has used most of what it may open, None where none can be seen."""
    return max(
        (row for row in descriptors.rows if row.limit > 0),
        key=lambda row: row.open / row.limit,
        default=None,
    )
