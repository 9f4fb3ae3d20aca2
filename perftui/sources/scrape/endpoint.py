"""One page of metrics that is read again and again: its numbers, its state, and the process."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from perftui.snapshot import FIRST_SAMPLE, Absent, Endpoint, Instance, Maybe, State
from perftui.sources.http.client import HttpAnswer, HttpClient
from perftui.sources.http.target import HttpTarget
from perftui.sources.metric_mapping import MetricMapping
from perftui.sources.scrape.growth import Growth
from perftui.sources.scrape.history import Moment, PageHistory
from perftui.sources.scrape.page import (
    CPU_PERCENT,
    CPU_SECONDS,
    MEMORY,
    RESIDENT,
    Page,
    PageReader,
)
from perftui.sources.source import SourceError

ACCEPT = "text/plain;version=0.0.4;q=1,text/plain;q=0.9,application/openmetrics-text;q=0.5"
"""OpenMetrics costs its writers and readers half as much again; protobuf is not read at all."""
FRESH_EVERY = 10
"""Pages after which a new connection is made, which may lead to another process."""
HISTORY = 12.0
"""Seconds of growths that are kept for hosts and operations that are chosen later."""
LONGEST_BACKOFF = 10.0
MOST_NAMES = 10
"""Services of one page that are named with it."""

MIXED = "looks like un-aggregated workers: several processes answer in turns and count apart"
MIXED_FIX = (
    "set PROMETHEUS_MULTIPROC_DIR in the service, or scrape each worker by a port of its own"
)
NO_METRICS = "has no metric that is known to time operations: name one with operations.metric"
NOT_READ = Absent(State.NOT_COLLECTED, "the page has not been read yet")
NO_PID = Absent(State.NOT_COLLECTED, "a page of metrics does not tell the process id")
NO_UPTIME = Absent(State.NOT_COLLECTED, "the page has no process_start_time_seconds")
NO_CPU = Absent(
    State.NOT_COLLECTED, "the page has neither process_cpu_seconds_total nor cpu_usage_percent"
)
NO_MEMORY = Absent(
    State.NOT_COLLECTED, "the page has neither process_resident_memory_bytes nor memory_usage_bytes"
)


class Reading(NamedTuple):
    """How the last reading went; replaced as a whole. Times are monotonic."""

    absent: Absent | None = NOT_READ
    read_at: float | None = None
    size: Maybe[int] = NOT_READ
    series: Maybe[int] = NOT_READ
    seconds: Maybe[float] = NOT_READ
    services: tuple[str, ...] = ()
    uptime: Maybe[float] = NOT_READ
    cpu_percent: Maybe[float] = NOT_READ
    memory: Maybe[int] = NOT_READ
    pid: Maybe[int] = NO_PID
    notes: tuple[str, ...] = ()


class ScrapeEndpoint:
    """One page; `read` runs on one thread at a time, all else on the thread of the source.

    `cost` is the CPU time of the last reading that is to be expected of the next one too. A
    reading is not `due` before that monotonic time. `discovered` pages were not named by anybody
    and only count when they time operations.
    """

    def __init__(
        self,
        target: HttpTarget,
        mappings: Sequence[MetricMapping],
        digesting: threading.Lock,
        discovered: bool = False,
    ) -> None:
        self.address = target.address
        self.discovered = discovered
        self.local = _is_local(target.host)
        self.host = socket.gethostname() if self.local else target.host
        place = target.origin.partition("://")[2]
        path = target.url.partition("://")[2].partition("/")[2]
        self.default_service = self.own_service = place
        self.id = place if path in ("", "metrics") else f"{place}/{path}"
        self.reading = Reading()
        self.recent: deque[Growth] = deque()
        self._client = HttpClient(target)
        self._digesting = digesting
        self._reader = PageReader(mappings)
        self._history = PageHistory(mappings)
        self._tried_since: float | None = None
        self._pages = 0
        self._cpu: tuple[float, float] | None = None
        self._failures = 0
        self.due = 0.0
        self.cost = 0.0

    @property
    def mixed(self) -> bool:
        """Whether several processes answer in turns, so that nothing can be added up."""
        return self._history.mixed

    def close(self) -> None:
        """End a reading that is under way, and the connection."""
        self._client.close()

    def read(self) -> Growth | None:
        """Read the page; None when that failed, which `reading` explains."""
        begin, cpu = time.monotonic(), time.thread_time()
        if self._tried_since is None:
            self._tried_since = begin
        try:
            growth = self._read(self._tried_since)
        except SourceError as error:
            self._failed(error.absent, begin)
            growth = None
        else:
            self._failures = 0
            self.due = 0.0
        seconds = time.thread_time() - cpu
        # The first page costs several times what later ones do, but only once.
        self.cost = seconds if self._pages > 1 else 0.0
        self.reading = self.reading._replace(seconds=seconds)
        return growth

    def failed(self, error: Exception) -> None:
        """Take note of a defect in reading the page."""
        reason = f"reading {self.address} failed: {type(error).__name__}: {error}"
        absent = Absent(State.UNAVAILABLE, reason[:300], "report this as a defect of perftui")
        self._failed(absent, time.monotonic())

    def endpoint(self, now: float, patience: float) -> Endpoint:
        """Return how reading goes; silence is stale after `patience` seconds."""
        reading = self.reading
        age = None if reading.read_at is None else max(0.0, now - reading.read_at)
        absent = reading.absent
        if absent is None and age is not None and age > patience:
            absent = Absent(State.STALE, f"{self.address} has not answered for {age:.0f} s")
        return Endpoint(
            address=self.address,
            service=_listed(reading.services),
            state=State.OK if absent is None else absent.state,
            reason="" if absent is None else absent.reason,
            fix="" if absent is None else absent.fix,
            age=age,
            size=reading.size,
            series=reading.series,
            seconds=reading.seconds,
            notes=reading.notes,
        )

    def instance(self, state: Endpoint) -> Instance:
        """Return the process behind the page, as it was when the page was read last."""
        reading = self.reading
        gone = None
        if state.state is not State.OK:
            gone = Absent(State.STALE, state.reason or "the page cannot be read")
        return Instance(
            id=self.id,
            host=self.host,
            pid=reading.pid,
            state=State.OK if gone is None else State.STALE,
            last_seen=0.0 if state.age is None else state.age,
            uptime=gone or reading.uptime,
            cpu_percent=gone or reading.cpu_percent,
            memory_rss=gone or reading.memory,
            note=state.reason or "; ".join(reading.notes[:1]),
        )

    def _read(self, tried_since: float) -> Growth:
        fresh = not self._history.settled or self._pages % FRESH_EVERY == 0
        answer = self._client.get(accept=ACCEPT, fresh=fresh)
        now, wall = time.monotonic(), time.time()
        if answer.status != 200:
            raise SourceError(
                State.UNAVAILABLE,
                f"{self.address} answered with status {answer.status}",
                "look into the logs of the service",
            )
        self._pages += 1
        # One page after the other, so that many large ones do not fill the memory at once.
        with self._digesting:
            page = self._page(answer)
            moment = Moment(
                now, tried_since, self._server_time(answer, wall), lambda: self._created(answer)
            )
            growth = self._history.take(page, moment)
        self._keep(growth)
        self._report(answer, page, growth, now)
        return growth

    def _page(self, answer: HttpAnswer) -> Page:
        try:
            return self._reader.read(answer.body, answer.content_type)
        except ValueError as error:
            raise SourceError(
                State.UNAVAILABLE,
                f"{self.address} {error}",
                f"see what it sends: curl -i {self.address}",
            ) from None

    def _created(self, answer: HttpAnswer) -> float | None:
        try:
            return self._reader.created(answer.body, answer.content_type)
        except ValueError:
            # Lines that nothing else needs; without them the page is as good as before.
            return None

    def _server_time(self, answer: HttpAnswer, wall: float) -> float | None:
        """Return the Unix time by the clock of the server, which may be wrong by hours."""
        from email.utils import parsedate_to_datetime

        if self.local:
            return wall
        try:
            return parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return None

    def _keep(self, growth: Growth) -> None:
        if growth.spoiled:
            self.recent.clear()
        if growth.known:
            self.recent.append(growth)
        while self.recent and self.recent[0].end < growth.end - HISTORY:
            self.recent.popleft()

    def _report(self, answer: HttpAnswer, page: Page, growth: Growth, now: float) -> None:
        self.own_service = page.service or self.default_service
        services = tuple(sorted({name or self.own_service for name in growth.services}))
        if not services and not self.discovered:
            services = (self.own_service,)
        notes = [*page.notes, *growth.notes]
        if not page.timed:
            notes.append(NO_METRICS)
        pids = sorted({pid for values in page.resources.values() for pid in values if pid})
        dead = self._dead(pids)
        if pids:
            notes.append(
                "gauges have a series for each process: use multiprocess_mode='livesum' for them"
            )
        if dead:
            notes.append(
                f"{len(dead)} of {len(pids)} processes are dead: call "
                "prometheus_client.multiprocess.mark_process_dead(pid) when a worker exits"
            )
        uptime = self._history.uptime
        self.reading = Reading(
            absent=Absent(State.UNAVAILABLE, f"{self.address} {MIXED}", MIXED_FIX)
            if self.mixed
            else None,
            read_at=now,
            size=len(answer.body),
            series=page.series,
            services=services,
            uptime=NO_UPTIME if uptime is None else uptime,
            cpu_percent=self._cpu_percent(page, dead, now),
            memory=_memory(page, dead),
            pid=int(pids[0]) if len(pids) == 1 and pids[0].isdecimal() else NO_PID,
            notes=tuple(notes),
        )

    def _dead(self, pids: Sequence[str]) -> frozenset[str]:
        """Return the processes that are gone, if they are on this machine and can be seen."""
        if not self.local or not os.path.isdir("/proc/self"):
            return frozenset()
        dead = frozenset(
            pid for pid in pids if pid.isdecimal() and not os.path.exists(f"/proc/{pid}")
        )
        # All of them: they run in a container, where they have other numbers.
        return dead if len(dead) < len(pids) else frozenset()

    def _cpu_percent(self, page: Page, dead: frozenset[str], now: float) -> Maybe[float]:
        values = page.resources.get(CPU_SECONDS)
        if not values:
            self._cpu = None
            percents = page.resources.get(CPU_PERCENT)
            return _sum(percents, dead) if percents else NO_CPU
        seconds = sum(values.values())
        before, self._cpu = self._cpu, (now, seconds)
        if before is None or now <= before[0] or seconds < before[1] or self.mixed:
            return FIRST_SAMPLE
        return 100.0 * (seconds - before[1]) / (now - before[0])

    def _failed(self, absent: Absent, begin: float) -> None:
        self._failures += 1
        took = time.monotonic() - begin
        # What fails at once costs nothing to try again; what takes its time holds a thread.
        if took > 0.2:
            self.due = begin + took + min(2.0 ** min(self._failures - 1, 5), LONGEST_BACKOFF)
        self._cpu = None
        self.reading = self.reading._replace(absent=absent)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _memory(page: Page, dead: frozenset[str]) -> Maybe[int]:
    for name in (RESIDENT, MEMORY):
        values = page.resources.get(name)
        if values:
            return round(_sum(values, dead))
    return NO_MEMORY


def _sum(values: dict[str, float], dead: frozenset[str]) -> float:
    return sum(value for pid, value in values.items() if pid not in dead)


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
