"""Services that report to Redis: operations and cache tiers of all their processes together."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from perftui.metrics import report as reports
from perftui.snapshot import Selection, Service, State
from perftui.sources.redis.connection import Link
from perftui.sources.redis.own_lookups import own_lookups
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services.notes import MOST_COUNTS, MOST_PROCESSES, SAME_VERSION, refusal
from perftui.sources.services.process import (
    CLOCK_SET,
    KEPT_AFTER,
    MOST_OPERATIONS,
    SUPERSEDED_AFTER,
    ReadReport,
    ServiceProcess,
    read_report,
    service_of,
)
from perftui.sources.services.totals import ServiceTotals
from perftui.sources.source import SourceError

if TYPE_CHECKING:
    import redis

MOST_MEMBERS = 4 * MOST_PROCESSES
"""Entries of the index that are looked at, the newest; those of dead processes come last."""
CHUNK = 200
REPORT_PREFIX = reports.report_key("", "").removesuffix("/").encode()
BEFORE_PREFIX = reports.before_key("", "").removesuffix("/").encode()


class _Sighting(NamedTuple):
    """When a process wrote its newest report, and whether it was its last."""

    score: float
    ended: bool


_NEVER = _Sighting(-math.inf, False)


class _Reading(msgspec.Struct):
    """What Redis said in one sample; nothing changes before all has been read.

    `now` is Unix time by the clock of Redis, `monotonic` the same moment by that of this host.
    Reports by process; the older ones are of those for whom somebody comes anew. `refused` says
    why a report could not be read, and `left_out` are the processes that are too many by service.
    """

    now: float
    monotonic: float
    sightings: dict[bytes, _Sighting]
    reports: dict[bytes, ReadReport] = {}
    before: dict[bytes, ReadReport] = {}
    refused: dict[bytes, str] = {}
    left_out: Counter[str] = msgspec.field(default_factory=Counter)


class ServicesSource:
    """Reads the newest report of every process; never writes.

    Only the clock of Redis counts: the growth of the counts belongs to the time between the times
    in two reports, whenever they are read and whatever the clocks of the hosts say.
    """

    name = "services"

    def __init__(self, target: RedisTarget, interval: float = 2.0) -> None:
        self.interval = interval
        self.deadline = max(interval, 2.0)
        self._link = Link(target)
        self._own = own_lookups(target)
        self._selection = Selection()
        self._selected = self._selection
        self._began: float | None = None
        self._moment: tuple[float, float] | None = None
        self._processes: dict[bytes, ServiceProcess] = {}
        self._services: dict[str, ServiceTotals] = {}

    def select(self, selection: Selection) -> None:
        """Look at these hosts and this operation from the next sample on; from any thread."""
        self._selection = selection

    def sample(self) -> tuple[Service, ...]:
        """Return the services of the last hour by name; empty when nothing reports.

        Raises SourceError when Redis cannot be read or none of the reports can.
        """
        selection = self._selection
        with self._link.use() as client:
            reading = self._read(client, selection)
        self._follow_clock(reading)
        self._began = self._watched_since(reading.now)
        self._select(selection, reading)
        for member, sighting in reading.sightings.items():
            self._take(member, sighting, reading)
        self._forget(reading)
        return self._found(reading)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _read(self, client: redis.Redis, selection: Selection) -> _Reading:
        reading = self._index(client)
        unread = [
            member
            for member, sighting in reading.sightings.items()
            if (member not in self._processes or self._processes[member].read != sighting.score)
            # A report outlives its process for some seconds only; the rest is age and name.
            and reading.now - sighting.score <= reports.EXPIRY + 5
        ]
        self._read_reports(client, reading, unread)
        began = self._watched_since(reading.now)
        wanted = [
            member
            for member, report in reading.reports.items()
            if self._is_new(member) and not report.from_zero(began)
        ]
        wanted += self._newly_looked_at(selection)
        for member, payload in self._payloads(client, BEFORE_PREFIX, wanted):
            with contextlib.suppress(ValueError):
                reading.before[member] = read_report(payload)
        return reading

    def _index(self, client: redis.Redis) -> _Reading:
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("TIME")
        for key in (reports.INDEX_KEY, reports.ENDED_KEY):
            pipeline.execute_command("ZREVRANGE", key, 0, MOST_MEMBERS - 1, "WITHSCORES")
        (seconds, micros), *indexes = pipeline.execute()
        found = sum(1 for flat in indexes if flat)
        self._own.add(found, len(indexes) - found)
        now = int(seconds) + int(micros) / 1e6
        sightings: dict[bytes, _Sighting] = {}
        for flat, ended in zip(indexes, (False, True), strict=True):
            for member, text in zip(flat[::2], flat[1::2], strict=True):
                score = float(text)
                if now - score > reports.FORGOTTEN_AFTER:
                    continue
                # One that said farewell and reports again can be in both for a moment.
                if sightings.get(member, _NEVER).score < score:
                    sightings[member] = _Sighting(score, ended)
        return _Reading(now, time.monotonic(), sightings)

    def _read_reports(self, client: redis.Redis, reading: _Reading, members: list[bytes]) -> None:
        """Read the reports of these processes, and of new ones only as many as there is room for.

        They are looked at one by one, since all payloads together can be very large.
        """
        known = [each for each in self._processes.values() if not (each.new or each.ended)]
        room = MOST_PROCESSES - len(known)
        counts = MOST_COUNTS - sum(process.size for process in known)
        new = [member for member in members if self._is_new(member)]
        if counts < MOST_OPERATIONS:
            room = 0
        for member in new[max(0, room) :]:
            reading.left_out[service_of(member)] += 1
            del reading.sightings[member]
        wanted = [member for member in members if member in reading.sightings]
        for member, payload in self._payloads(client, REPORT_PREFIX, wanted):
            is_new = self._is_new(member)
            if is_new and counts < MOST_OPERATIONS:
                reading.left_out[service_of(member)] += 1
                del reading.sightings[member]
                continue
            try:
                report = read_report(payload)
            except ValueError as error:
                reading.refused[member] = str(error)
                continue
            reading.reports[member] = report
            if is_new:
                counts -= report.size

    def _payloads(
        self, client: redis.Redis, prefix: bytes, members: list[bytes]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the values of the keys that exist, some hundred at a time."""
        for start in range(0, len(members), CHUNK):
            chunk = members[start : start + CHUNK]
            payloads = client.execute_command("MGET", *[prefix + member for member in chunk])
            missing = payloads.count(None)
            self._own.add(len(payloads) - missing, missing)
            for member, payload in zip(chunk, payloads, strict=True):
                if payload is not None:
                    yield member, payload

    def _follow_clock(self, reading: _Reading) -> None:
        """Notice that somebody has set the clock of Redis, or that this host has slept."""
        earlier, self._moment = self._moment, (reading.now, reading.monotonic)
        if earlier is None:
            return
        step = reading.now - earlier[0] - (reading.monotonic - earlier[1])
        if abs(step) > CLOCK_SET:
            if self._began is not None:
                self._began += step
            for totals in self._services.values():
                totals.clock_was_set(step)

    def _watched_since(self, now: float) -> float:
        return now if self._began is None else min(self._began, now)

    def _is_new(self, member: bytes) -> bool:
        process = self._processes.get(member)
        return process is None or process.new

    def _newly_looked_at(self, selection: Selection) -> list[bytes]:
        """Return the processes that this selection can look at and the one before did not."""
        if selection == self._selected:
            return []
        service = selection.operation[0] if selection.operation is not None else None
        return [
            member
            for member, process in self._processes.items()
            if not process.new
            and (process.host in selection.hosts if selection.hosts else process.service == service)
        ]

    def _select(self, selection: Selection, reading: _Reading) -> None:
        if selection == self._selected:
            return
        self._selected = selection
        anew = {name for name, totals in self._services.items() if totals.select(selection)}
        for member, process in self._processes.items():
            if process.service in anew:
                growth = process.history(reading.before.get(member))
                self._services[process.service].add_history(process, growth)

    def _take(self, member: bytes, sighting: _Sighting, reading: _Reading) -> None:
        process = self._processes.get(member)
        if process is None:
            process = self._processes[member] = ServiceProcess(member, sighting.score)
        process.score, process.ended = sighting
        if member in reading.refused:
            process.read, process.problem = sighting.score, reading.refused[member]
        report = reading.reports.get(member)
        if report is None:
            return
        process.read = sighting.score
        process.ended = process.ended or report.report.ended
        began = self._watched_since(reading.now)
        growth = process.take(report, reading.before.get(member), began)
        if growth is not None and growth.end > reading.now:
            growth = growth._replace(end=reading.now)
        self._totals(process.service).add(process, growth)

    def _totals(self, service: str) -> ServiceTotals:
        totals = self._services.get(service)
        if totals is None:
            totals = self._services[service] = ServiceTotals(service, self._selected)
        return totals

    def _forget(self, reading: _Reading) -> None:
        for member, process in list(self._processes.items()):
            long_ago = abs(reading.now - process.score) > KEPT_AFTER
            if member not in reading.sightings and (process.ended or long_ago):
                del self._processes[member]
            elif long_ago:
                process.rest()

    def _found(self, reading: _Reading) -> tuple[Service, ...]:
        now = reading.now
        processes = [self._processes[member] for member in reading.sightings]
        problems = [each.problem for each in processes if each.problem and each.recent(now)]
        if problems and not any(each.last is not None for each in processes):
            raise SourceError(State.UNAVAILABLE, refusal(problems), SAME_VERSION)
        shown: dict[str, list[ServiceProcess]] = {}
        for process in _not_superseded(processes, now):
            shown.setdefault(process.service, []).append(process)
        lasting = {name for name, totals in self._services.items() if not totals.empty}
        names = {*shown, *lasting, *reading.left_out}
        self._services = {name: self._totals(name) for name in sorted(names)}
        return tuple(
            totals.read(shown.get(name, []), reading.left_out[name], now, reading.monotonic)
            for name, totals in self._services.items()
        )


def _not_superseded(processes: list[ServiceProcess], now: float) -> Iterator[ServiceProcess]:
    """Yield those that have not ended; of two on a host the older one, once silent, soon goes."""
    newest: dict[tuple[str, str], float] = {}
    for process in processes:
        if process.live(now):
            place = process.service, process.host
            newest[place] = max(newest.get(place, -math.inf), process.began)
    for process in processes:
        if process.ended:
            continue
        replaced = newest.get((process.service, process.host), -math.inf) > process.began
        if not (replaced and abs(now - process.score) > SUPERSEDED_AFTER):
            yield process
