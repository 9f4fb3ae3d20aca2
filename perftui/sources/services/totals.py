"""All that the processes of one service counted together, and what is looked at more closely."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from perftui.snapshot import Selection, Service
from perftui.sources.operation_slots import OperationSlots
from perftui.sources.services.caches import ServiceCaches
from perftui.sources.services.detail import details
from perftui.sources.services.instances import MOST_INSTANCES, instances
from perftui.sources.services.notes import notes
from perftui.sources.services.process import MOST_OPERATIONS, Growth, Packed, ServiceProcess

OTHER = "_other"
"""The operation in which those without a row of their own are added up."""
LONGEST_WAIT = 3.0
"""Seconds that the windows wait for a process that is late with its report."""


class ServiceTotals:
    """One service: its operations in windows of time, its caches, and the chosen part of both.

    Times are Unix time by the clock of Redis, unless they are called monotonic.
    """

    def __init__(self, name: str, selection: Selection) -> None:
        self.name = name
        self._hosts: tuple[str, ...] = ()
        self._watched: str | None = None
        self._just_chosen = (False, False)
        self._slots = OperationSlots(lag=0.0)
        self._of_hosts = OperationSlots(lag=0.0)
        self._of_watched = OperationSlots(lag=0.0)
        self._shares: set[str] = set()
        self._caches = ServiceCaches()
        self._names: set[str] = set()
        self._complete = 0.0
        self._last_seen = -math.inf
        self.select(selection)

    @property
    def empty(self) -> bool:
        """Whether nothing is left of what the processes counted."""
        return self._slots.empty

    def select(self, selection: Selection) -> bool:
        """Look at something else; tell whether that wants `add_history` of the processes."""
        chosen = selection.operation
        watched = chosen[1] if chosen is not None and chosen[0] == self.name else None
        new_hosts = selection.hosts != self._hosts
        new_watched = new_hosts or watched != self._watched
        if new_hosts:
            self._hosts = selection.hosts
            self._of_hosts = OperationSlots(lag=0.0)
        if new_watched:
            self._watched = watched
            self._of_watched = OperationSlots(lag=0.0)
            self._shares = set()
        self._just_chosen = (
            new_hosts and bool(self._hosts),
            new_watched and watched is not None,
        )
        return any(self._just_chosen)

    def clock_was_set(self, step: float) -> None:
        """Follow the clock, which leapt by `step` seconds, before counts with the new times come.

        After a leap forward the windows begin anew: nobody knows whether the time was slept
        through or never was, and reports that reach over it bring it back in the first case.
        """
        self._last_seen += step
        self._complete += step
        if step > 0:
            self._slots = OperationSlots(lag=0.0)
            self._of_hosts = OperationSlots(lag=0.0)
            self._of_watched = OperationSlots(lag=0.0)
            self._caches.restart_rates()
        self._advance_slots()

    def looks_at(self, process: ServiceProcess) -> bool:
        """Tell whether the process is one of those that are looked at more closely."""
        if process.last is None:
            return False
        if self._hosts:
            return process.last.report.host in self._hosts
        return self._watched is not None

    def add(self, process: ServiceProcess, growth: Growth | None) -> None:
        """Add what a process has counted; None if nobody can tell for the time until now."""
        last = process.last
        if last is None:
            return
        self._last_seen = max(self._last_seen, process.score)
        if growth is None:
            self._caches.know(last.report)
            self._slots.watched_since(last.report.time)
        else:
            growth = growth._replace(counts=self._named(growth.counts))
            for place, operations in growth.counts.items():
                self._slots.add_packed(place, operations, growth.begin, growth.end)
            self._caches.add(growth.caches, last.report, growth.begin, growth.end)
        self._look(process, growth, bool(self._hosts), self._watched is not None)

    def add_history(self, process: ServiceProcess, growth: Growth | None) -> None:
        """Add what a process has counted lately to that alone which has just been chosen."""
        if growth is not None:
            growth = growth._replace(counts=self._named(growth.counts))
        self._look(process, growth, *self._just_chosen)

    def read(
        self,
        processes: Sequence[ServiceProcess],
        left_out: int,
        now: float,
        monotonic: float,
    ) -> Service:
        """Return the service at `now`, which is `monotonic` by the clock of this host.

        `processes` are those that have not ended, and `left_out` is how many are too many.
        """
        live = [process for process in processes if process.live(now)]
        self._advance(live, now)
        self._caches.tick(monotonic)
        names = _names(live)
        looked_at = [process for process in live if self.looks_at(process)]
        scores = [self._last_seen, *[process.score for process in processes]]
        return Service(
            name=self.name,
            processes=len(live),
            hosts=tuple(sorted({p.last.report.host for p in live if p.last is not None})),
            # Of those that are too many nothing is known but that they report.
            last_seen=max(0.0, now - max(scores)) if max(scores) > -math.inf else 0.0,
            windows=() if self.empty and not live else self._slots.windows(self._known(names)),
            caches=self._caches.namespaces(processes, now),
            instances=instances(processes, now),
            chosen_hosts=self._hosts,
            chosen=self._of_hosts.windows(self._known(_names(looked_at))) if self._hosts else (),
            details=details(
                self._watched,
                self._of_hosts if self._hosts else self._slots,
                self._of_watched,
                live,
                looked_at[:MOST_INSTANCES],
            ),
            notes=notes(self.name, processes, left_out, len(names), now),
        )

    def _look(
        self, process: ServiceProcess, growth: Growth | None, hosts: bool, watched: bool
    ) -> None:
        if process.last is None or not self.looks_at(process):
            return
        report = process.last.report
        begin = report.time if growth is None else growth.begin
        if hosts:
            self._of_hosts.watched_since(begin)
        if watched:
            self._of_watched.watched_since(begin)
        if growth is None:
            return
        for place, operations in growth.counts.items():
            if hosts:
                self._of_hosts.add_packed(place, operations, growth.begin, growth.end)
            if watched and self._watched in operations and self._has_share(report.instance):
                share = {report.instance: operations[self._watched]}
                self._of_watched.add_packed(place, share, growth.begin, growth.end)

    def _has_share(self, instance: str) -> bool:
        if instance not in self._shares and len(self._shares) < MOST_INSTANCES:
            self._shares.add(instance)
        return instance in self._shares

    def _advance(self, live: Sequence[ServiceProcess], now: float) -> None:
        heard = [process.last.report.time for process in live if process.last is not None]
        complete = max(min([*heard, now]) if heard else 0.0, now - LONGEST_WAIT)
        self._complete = max(self._complete, complete)
        self._advance_slots()
        if len(self._shares) >= MOST_INSTANCES:
            self._shares &= {p.last.report.instance for p in live if p.last is not None}
        if len(self._names) >= MOST_OPERATIONS:
            self._names &= self._slots.called().union(_names(live))

    def _advance_slots(self) -> None:
        for slots in (self._slots, self._of_hosts, self._of_watched):
            slots.advance(self._complete)
        self._caches.advance(self._complete)

    def _named(self, counts: Packed) -> Packed:
        """Return the counts with the operations put together that are too many."""
        if all(self._accept(operations) for operations in counts.values()):
            return counts
        kept: Packed = {}
        for place, operations in counts.items():
            mine = kept[place] = {}
            for name, value in operations.items():
                known = name if name in self._names else OTHER
                mine[known] = mine.get(known, 0) + value
        return kept

    def _accept(self, names: Iterable[str]) -> bool:
        """Tell whether all operations can have rows of their own."""
        if isinstance(names, Mapping) and names.keys() <= self._names:
            return True
        accepted = True
        for name in names:
            if name not in self._names:
                if len(self._names) < MOST_OPERATIONS:
                    self._names.add(name)
                else:
                    accepted = False
        return accepted

    def _known(self, names: set[str]) -> set[str]:
        if self._accept(names):
            return names
        return (names & self._names) | {OTHER}


def _names(processes: Iterable[ServiceProcess]) -> set[str]:
    return set().union(
        *[
            operations
            for process in processes
            if process.last is not None
            for operations in process.last.counts.values()
        ]
    )
