"""What a person chose to see of the profile: how it is added up, held still, or compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from perftui.profiling.breakdown import By
from perftui.snapshot import Absent, Maybe, Snapshot, State, TopCalls

BREAKDOWNS: tuple[By, ...] = ("function", "line", "file", "module")

PROFILE_WINDOWS = (1.0, 5.0, 30.0, 0.0)
"""Seconds of the sliding window that the key goes through; 0 is all since the last reset."""

Feed: TypeAlias = tuple[str, str]
"""Service and instance whose own profiler is looked at instead of py-spy."""

FEED_GONE = Absent(
    State.UNAVAILABLE,
    "the process that profiled itself no longer reports",
    "press p to choose another process",
)


@dataclass(frozen=True)
class SourceText:
    """The lines of one source file as the process `pid` sees it, or why there are none."""

    pid: int
    file: str
    lines: Maybe[tuple[str, ...]]


@dataclass(frozen=True)
class ProfileView:
    """How the profile is looked at.

    `frozen` is held still, `pinned` is what the rows are compared with, `source` the text of the
    file that the selected row is in, `feed` a process that profiles itself.
    """

    by: By = "function"
    per_thread: bool = False
    frozen: TopCalls | None = None
    pinned: TopCalls | None = None
    source: SourceText | None = None
    feed: Feed | None = None


def shown_calls(snapshot: Snapshot, view: ProfileView) -> Maybe[TopCalls]:
    """Return the profile that is looked at: the one held still, of a service, or of py-spy."""
    if view.frozen is not None:
        return view.frozen
    if view.feed is None:
        return snapshot.top_calls
    service, instance = view.feed
    for one in snapshot.all_services:
        if one.name != service:
            continue
        for process in one.instances:
            if process.id == instance:
                return process.profile
    return FEED_GONE


def profile_window_label(seconds: float) -> str:
    """Return how a window of the profile is called."""
    return f"{seconds:g} s" if seconds else "since reset"
