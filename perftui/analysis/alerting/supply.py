"""How the sources behind the rules do at one moment, and a snapshot without what went stale."""

from __future__ import annotations

import msgspec

from perftui.analysis.alerting.rule import Rule
from perftui.analysis.alerting.watch import Supply
from perftui.snapshot import Absent, Resources, Snapshot, SourceStatus, State

USUAL_INTERVAL = 1.0
MISSED = 3
"""A subject is gone, and a gap begins, after this many intervals without a reading."""


class Supplies:
    """What each rule has to read from at one moment.

    `trusted` is the snapshot without the readings of sources that stopped to answer: a runner keeps
    the last one for the screen, but a rule would take it for news.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._statuses = {status.name: status for status in snapshot.sources}
        self._made: dict[frozenset[str], Supply] = {}
        self._silent = _silent(snapshot)
        stale = {name: s for name, s in self._statuses.items() if s.state is State.STALE}
        self.trusted = _without(snapshot, stale) if stale else snapshot

    def of(self, rule: Rule) -> Supply:
        """Return how the sources of a rule do."""
        found = self._made.get(rule.sources)
        if found is None:
            found = self._made[rule.sources] = self._supply(rule.sources)
        return found

    def _supply(self, names: frozenset[str]) -> Supply:
        statuses = [self._statuses[name] for name in sorted(names) if name in self._statuses]
        lost = next((s for s in statuses if s.state is not State.OK), None)
        intervals = [status.interval for status in statuses if status.interval > 0]
        interval = max(intervals, default=USUAL_INTERVAL)
        return Supply(
            lost="" if lost is None else lost.reason or f"{lost.name} has no reading",
            interval=interval,
            patience=MISSED * interval if intervals else 0.0,
            partly=any(status.state is State.OK for status in statuses),
            silent=self._silent,
        )


def _silent(snapshot: Snapshot) -> dict[str, str]:
    """Return services, processes and mount points that tell nothing, each with the reason.

    They are known, so they have not gone; but nobody can say that they have become well.
    """
    silent: dict[str, str] = {}
    for service in snapshot.all_services:
        if not service.processes:
            silent[service.name] = f"no process of {service.name} tells of itself"
        for instance in service.instances:
            if instance.state is not State.OK:
                silent[instance.id] = f"process {instance.id} tells nothing of itself"
    if not isinstance(snapshot.file_systems, Absent):
        for mount in snapshot.file_systems.hung:
            silent[mount] = f"the file system at {mount} does not answer"
        for mount, reason in snapshot.file_systems.refused:
            silent[mount] = f"the file system at {mount} fails: {reason}"
    return silent


def _without(snapshot: Snapshot, stale: dict[str, SourceStatus]) -> Snapshot:
    absent = {name: Absent(s.state, s.reason, s.fix) for name, s in stale.items()}
    parts = {name: gone for name, gone in absent.items() if name in Snapshot.__struct_fields__}
    resources = {name: gone for name, gone in absent.items() if name in Resources.__struct_fields__}
    if (host := absent.get("host")) is not None:
        # One source reads the machine as a whole.
        resources |= {
            name: host for name in Resources.__struct_fields__ if name not in ("cgroup", *resources)
        }
    if resources:
        return msgspec.structs.replace(
            snapshot,
            **parts,
            resources=msgspec.structs.replace(snapshot.resources, **resources),
        )
    return msgspec.structs.replace(snapshot, **parts)
