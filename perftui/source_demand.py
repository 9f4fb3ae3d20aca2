"""Which sources run: those that something shows, that rules read, or that evidence is wanted of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perftui.snapshot import Selection, Snapshot
from perftui.sources.runner import SourceRunner
from perftui.sources.source import SelectingSource

if TYPE_CHECKING:
    from perftui.sources.pyspy.source import ProfileSource

ON_DEMAND = frozenset({"processes", "top_calls", "pools", "queries", "redis_detail"})
"""Sources that only run while something shows them or a rule reads them; the header needs others.
"""
AT_FIRST = ON_DEMAND - {"redis_detail"}
"""Those that run until somebody says what is shown: nobody reads the details without a screen."""
EVIDENCE = frozenset({"processes"})
"""Sources that tell who is behind an alert about the machine, from when it begins to look bad."""


def demand(runners: Sequence[SourceRunner[Any]], needed: frozenset[str]) -> None:
    """Have those of the on-demand sources rest that are not needed."""
    for runner in runners:
        name = runner.source.name
        runner.demand(name not in ON_DEMAND or name in needed)


def aim(runners: Sequence[SourceRunner[Any]], process: int | None, shown: frozenset[str]) -> None:
    """Have the calls of a process sampled while they are shown."""
    for source in profile_sources(runners):
        if source.target != process:
            source.set_target(process)
        source.rest(source.name not in shown)


def profile_sources(runners: Sequence[SourceRunner[Any]]) -> list[ProfileSource]:
    """Return the profilers among the sources."""
    from perftui.sources.pyspy.source import ProfileSource

    return [runner.source for runner in runners if isinstance(runner.source, ProfileSource)]


def select(runners: Sequence[SourceRunner[Any]], selection: Selection) -> None:
    """Tell the sources what is looked at."""
    for runner in runners:
        source = runner.source
        if isinstance(source, SelectingSource):
            source.select(selection)


def suspicious(snapshot: Snapshot) -> bool:
    """Return whether the machine may have trouble that somebody will want to see the cause of."""
    return any(
        alert.pane == "resources" and alert.origin == "local" and not alert.silenced_until
        for alert in snapshot.alerts
    )
