"""All that the endpoints of one service counted together, and what is looked at more closely."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from perftui.snapshot import Instance, OperationDetail, Selection, Service
from perftui.sources.operation_slots import OperationSlots
from perftui.sources.scrape.detail import CountedSlots
from perftui.sources.scrape.growth import Growth, ServiceGrowth

MOST_OPERATIONS = 500
OTHER = "_other"
"""The operation in which those without a row of their own are added up."""
LONGEST_WAIT = 3.0
"""Seconds that the windows wait for an endpoint that is late."""
RAW_PART = re.compile(r"/(?:\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{12,})(?=[/?\s]|$)")
"""A part of a path that looks like the id of something."""
MANY_RAW = 10
"""Names with ids in the same place, from which on they cannot be routes."""


class Member(NamedTuple):
    """One endpoint of a service; `read_at` is when its newest counts are from."""

    instance: Instance
    live: bool
    read_at: float
    notes: tuple[str, ...]


class ScrapeTotals:
    """One service: its operations in windows of time, and the chosen part of them.

    Times are monotonic. Each growth comes with the id and the host of its endpoint.
    """

    def __init__(self, name: str, selection: Selection) -> None:
        self.name = name
        self._slots = CountedSlots()
        self._of_hosts = CountedSlots()
        self._shares = OperationSlots(lag=0.0)
        self._hosts: tuple[str, ...] = ()
        self._watched: str | None = None
        self._just_chosen = (False, False)
        self._names: set[str] = set()
        self._on_page: dict[str, set[str]] = {}
        self._bounds: dict[str, tuple[float, ...]] = {}
        self._overflow: set[int] = set()
        self._complete = 0.0
        self._raw_note = ""
        self._raw_checked = 0
        self.select(selection)

    @property
    def empty(self) -> bool:
        """Whether nothing is left of what the endpoints counted."""
        return self._slots.empty

    def select(self, selection: Selection) -> bool:
        """Look at something else; tell whether it asks for `add_history` of the endpoints."""
        chosen = selection.operation
        watched = chosen[1] if chosen is not None and chosen[0] == self.name else None
        new_hosts = selection.hosts != self._hosts
        new_watched = new_hosts or watched != self._watched
        if new_hosts:
            self._hosts = selection.hosts
            self._of_hosts = CountedSlots()
            self._of_hosts.apart = self._slots.apart
        if new_watched:
            self._watched = watched
            self._shares = OperationSlots(lag=0.0)
        self._just_chosen = (
            new_hosts and bool(self._hosts),
            new_watched and watched is not None,
        )
        return any(self._just_chosen)

    def restart(self) -> None:
        """Forget all counts, because some of them have turned out to be wrong."""
        self._slots, self._of_hosts = CountedSlots(), CountedSlots()
        self._shares = OperationSlots(lag=0.0)

    def add(self, endpoint: str, host: str, growth: Growth, mine: ServiceGrowth) -> None:
        """Add what an endpoint has counted."""
        mine = self._named(mine)
        self._on_page[endpoint] = mine.names
        self._slots.apart |= mine.apart
        self._of_hosts.apart = self._slots.apart
        if not growth.known:
            self._slots.watched_since(growth.end)
        else:
            self._put(self._slots, growth, mine)
            for place, operations in mine.counts.items():
                for name in operations:
                    self._bounds[name] = place.bounds
        self._look(endpoint, host, growth, mine, bool(self._hosts), self._watched is not None)

    def add_history(self, endpoint: str, host: str, growth: Growth, mine: ServiceGrowth) -> None:
        """Add what an endpoint has counted lately to that alone which has just been chosen."""
        self._look(endpoint, host, growth, self._named(mine), *self._just_chosen)

    def read(self, now: float, members: Sequence[Member]) -> Service:
        """Return the service at `now`; the windows stay as they are while no endpoint is live."""
        live = [member for member in members if member.live]
        if live:
            oldest = min(member.read_at for member in live)
            self._complete = max(self._complete, min(now, max(oldest, now - LONGEST_WAIT)))
            for slots in (self._slots, self._of_hosts, self._shares):
                slots.advance(self._complete)
        present = {member.instance.id for member in members}
        self._on_page = {id_: names for id_, names in self._on_page.items() if id_ in present}
        known = set().union(*self._on_page.values())
        self._forget(known)
        hosts = tuple(sorted({member.instance.host for member in members}))
        looked_at = [
            member for member in members if not self._hosts or member.instance.host in self._hosts
        ]
        known_there = set[str]().union(
            *[self._on_page.get(member.instance.id, set()) for member in looked_at]
        )
        chosen = bool(self._hosts)
        return Service(
            name=self.name,
            processes=len(live),
            hosts=hosts,
            last_seen=min((member.instance.last_seen for member in members), default=0.0),
            windows=self._slots.windows(known),
            instances=tuple(member.instance for member in members),
            origin="scrape",
            chosen_hosts=self._hosts,
            chosen=self._of_hosts.windows(known_there) if chosen else (),
            details=self._details(
                known_there, {member.instance.id for member in looked_at if member.live}
            ),
            notes=self._notes(members),
        )

    def _details(self, known: set[str], listed: set[str]) -> tuple[OperationDetail, ...]:
        operation = self._watched
        if operation is None:
            return ()
        slots = self._of_hosts if self._hosts else self._slots
        if operation not in known and operation not in slots.called():
            return ()
        return slots.details(operation, self._bounds.get(operation, ()), self._shares, listed)

    def _put(self, slots: CountedSlots, growth: Growth, mine: ServiceGrowth) -> None:
        slots.watched_since(growth.begin)
        for place, operations in mine.counts.items():
            slots.add(place, operations, growth.begin, growth.end)
        slots.add_statuses(
            (
                (operation, status, count)
                for operation, statuses in mine.statuses.items()
                for status, count in statuses.items()
            ),
            growth.begin,
            growth.end,
        )

    def _look(
        self,
        endpoint: str,
        host: str,
        growth: Growth,
        mine: ServiceGrowth,
        of_hosts: bool,
        of_watched: bool,
    ) -> None:
        if self._hosts and host not in self._hosts:
            return
        begin = growth.begin if growth.known else growth.end
        if of_hosts:
            self._of_hosts.watched_since(begin)
            if growth.known:
                self._put(self._of_hosts, growth, mine)
        if self._watched is None or not of_watched:
            return
        self._shares.watched_since(begin)
        for place, operations in mine.counts.items():
            if growth.known and self._watched in operations:
                share = {endpoint: operations[self._watched]}
                self._shares.add_packed(place, share, growth.begin, growth.end)

    def _forget(self, known: set[str]) -> None:
        if len(self._names) < MOST_OPERATIONS:
            return
        used = self._slots.called() | known
        if not self._names <= used:
            self._names &= used
            self._slots.forget_statuses(used)
            self._bounds = {name: each for name, each in self._bounds.items() if name in used}

    def _named(self, mine: ServiceGrowth) -> ServiceGrowth:
        """Return the counts with the operations put together that are too many."""
        for name in mine.names - self._names:
            if len(self._names) < MOST_OPERATIONS:
                self._names.add(name)
            elif len(self._overflow) < 10 * MOST_OPERATIONS:
                self._overflow.add(hash(name))
        if mine.names <= self._names:
            return mine
        kept = ServiceGrowth()
        kept.apart = mine.apart & self._names
        kept.names = (mine.names & self._names) | {OTHER}
        for place, operations in mine.counts.items():
            counts = kept.counts[place] = {}
            for name, value in operations.items():
                known = name if name in self._names else OTHER
                counts[known] = counts.get(known, 0) + value
        for name, statuses in mine.statuses.items():
            into = kept.statuses.setdefault(name if name in self._names else OTHER, {})
            for status, count in statuses.items():
                into[status] = into.get(status, 0.0) + count
        return kept

    def _notes(self, members: Sequence[Member]) -> tuple[str, ...]:
        notes = [note for member in members for note in member.notes]
        if self._overflow:
            notes.append(
                f"more than {MOST_OPERATIONS} operations: {len(self._overflow)} of them are "
                f"added up as {OTHER}"
            )
        if len(self._names) != self._raw_checked:
            self._raw_checked = len(self._names)
            self._raw_note = _raw_note(self._names)
        if self._raw_note:
            notes.append(self._raw_note)
        return tuple(dict.fromkeys(notes))


def _raw_note(names: set[str]) -> str:
    """Return a warning when operations are named by raw paths, which never end."""
    routes = Counter(RAW_PART.sub("/{id}", name) for name in names if RAW_PART.search(name))
    if not routes:
        return ""
    route, count = routes.most_common(1)[0]
    if count < MANY_RAW:
        return ""
    return f"{count} operations look like raw paths of {route}: label them by route, not by path"
