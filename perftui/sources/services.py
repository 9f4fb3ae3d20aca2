"""Services that report to Redis: operations and cache tiers of all their processes together."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from typing import TYPE_CHECKING

from perftui.metrics import report as reports
from perftui.metrics.report import ServiceReport
from perftui.snapshot import Service, State
from perftui.sources.own_lookups import own_lookups
from perftui.sources.redis_connection import Link
from perftui.sources.redis_target import RedisTarget
from perftui.sources.service_caches import ServiceCaches
from perftui.sources.service_operations import WINDOW, Point, add_up
from perftui.sources.source import SourceError

if TYPE_CHECKING:
    import redis

STALE_AFTER = 6.0
"""Seconds without a report after which a process no longer counts."""
FORGOTTEN_AFTER = 3600.0
"""Seconds without a report after which a process is not shown at all."""
MOST_PROCESSES = 5000
CHUNK = 200
KEY_PREFIX = reports.report_key("", "").removesuffix("/").encode()


@dataclasses.dataclass
class _Process:
    """What is kept of one process between two samples; `score` is when its report was written."""

    score: float
    report: ServiceReport | None = None
    points: deque[Point] = dataclasses.field(default_factory=deque)


class ServicesSource:
    """Reads the newest report of every process; never writes.

    Rates of operations run over the last 10 s by the times in the reports, not by the time they
    were read, so that reports and samples need not keep step. `note` says which reports had to
    be left out.
    """

    name = "services"

    def __init__(self, target: RedisTarget, interval: float = 2.0) -> None:
        self.interval = interval
        self.deadline = max(interval, 2.0)
        self.note = ""
        self._target = target
        self._link = Link(target)
        self._own = own_lookups(target)
        self._processes: dict[bytes, _Process] = {}
        self._caches: dict[str, ServiceCaches] = {}
        self._refused: dict[bytes, str] = {}

    def sample(self) -> tuple[Service, ...]:
        """Return the services of the last hour by name; empty when nothing reports.

        Raises SourceError when Redis cannot be read or none of the reports can.
        """
        with self._link.use() as client:
            now, index = self._index(client)
            fresh = [
                member
                for member, score in index.items()
                if member not in self._processes or self._processes[member].score != score
            ]
            # A report outlives its process for some seconds only; the rest is age and name.
            fresh = [member for member in fresh if now - index[member] <= reports.EXPIRY + 5]
            payloads = self._payloads(client, fresh)
        self._forget(index)
        for member, score in index.items():
            self._processes.setdefault(member, _Process(score))
        for member, payload in zip(fresh, payloads, strict=True):
            self._take(member, index[member], payload)
        self._say_what_was_refused(index)
        return self._services(now, index)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _index(self, client: redis.Redis) -> tuple[float, dict[bytes, float]]:
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("TIME")
        pipeline.execute_command(
            "ZREVRANGE", reports.INDEX_KEY, 0, MOST_PROCESSES - 1, "WITHSCORES"
        )
        (seconds, micros), flat = pipeline.execute()
        self._own.add(1 if flat else 0, 0 if flat else 1)
        now = int(seconds) + int(micros) / 1e6
        scores = zip(flat[::2], map(float, flat[1::2]), strict=True)
        return now, {member: score for member, score in scores if now - score <= FORGOTTEN_AFTER}

    def _payloads(self, client: redis.Redis, members: list[bytes]) -> list[bytes | None]:
        payloads: list[bytes | None] = []
        for start in range(0, len(members), CHUNK):
            keys = [KEY_PREFIX + member for member in members[start : start + CHUNK]]
            payloads += client.execute_command("MGET", *keys)
        missing = payloads.count(None)
        self._own.add(len(payloads) - missing, missing)
        return payloads

    def _take(self, member: bytes, score: float, payload: bytes | None) -> None:
        process = self._processes[member]
        if payload is None:
            return
        try:
            report = reports.decode(payload)
            point = Point.of(report)
        except ValueError as error:
            self._refused[member] = str(error)
            return
        self._refused.pop(member, None)
        process.score = score
        self._advance(process, report, point)

    def _advance(self, process: _Process, report: ServiceReport, point: Point) -> None:
        previous = process.report
        points = process.points
        if previous is None:
            points.append(point)
        elif previous.started != report.started or point.went_back(points[-1]):
            # The counts began at zero after the last report, so all of them are new.
            points.clear()
            points.append(Point(_zero_time(previous.time, point.time), {}))
            points.append(point)
        else:
            # The clock of Redis was set back: what lies ahead of it cannot be a beginning.
            while points and points[-1].time >= point.time:
                points.pop()
            points.append(point)
        while len(points) > 1 and points[1].time <= point.time - WINDOW:
            points.popleft()
        caches = self._caches.setdefault(report.service, ServiceCaches())
        caches.add(previous, report)
        process.report = report

    def _forget(self, index: dict[bytes, float]) -> None:
        for member in [member for member in self._processes if member not in index]:
            del self._processes[member]
        for member in [member for member in self._refused if member not in index]:
            del self._refused[member]

    def _say_what_was_refused(self, index: dict[bytes, float]) -> None:
        self.note = ""
        if not self._refused:
            return
        count = len(self._refused)
        why = next(iter(self._refused.values()))
        plural = "report" if count == 1 else "reports"
        self.note = f"{count} service {plural} could not be read: {why}"
        if count == len(index):
            raise SourceError(
                State.UNAVAILABLE,
                self.note,
                "run the same version of perftui in the services and here",
            )

    def _services(self, now: float, index: dict[bytes, float]) -> tuple[Service, ...]:
        members: dict[str, list[bytes]] = {}
        for member in index:
            members.setdefault(self._service_of(member), []).append(member)
        self._caches = {name: caches for name, caches in self._caches.items() if name in members}
        monotonic = time.monotonic()
        for caches in self._caches.values():
            caches.tick(monotonic)
        return tuple(self._service(name, members[name], now, index) for name in sorted(members))

    def _service_of(self, member: bytes) -> str:
        report = self._processes[member].report
        if report is not None:
            return report.service
        return member.rpartition(b"/")[0].decode("utf-8", "backslashreplace")

    def _service(
        self, name: str, members: list[bytes], now: float, index: dict[bytes, float]
    ) -> Service:
        live: list[ServiceReport] = []
        points: list[deque[Point]] = []
        for member in members:
            process = self._processes[member]
            if process.report is not None and now - index[member] <= STALE_AFTER:
                live.append(process.report)
                points.append(process.points)
        caches = self._caches.get(name)
        return Service(
            name=name,
            processes=len(live),
            hosts=len({report.host for report in live}),
            last_seen=max(0.0, now - max(index[member] for member in members)),
            operations=add_up(points),
            caches=caches.namespaces(live, points) if caches is not None and live else (),
        )


def _zero_time(previous: float, current: float) -> float:
    """Return when a process that began again stood at zero: after its last report, in the window.

    Seconds by the clock of Redis, always before `current`.
    """
    time_of_zero = max(previous, current - WINDOW)
    return time_of_zero if time_of_zero < current else current - reports.INTERVAL
