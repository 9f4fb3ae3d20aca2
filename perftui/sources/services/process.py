"""One process of a service, and how much its counts have grown from report to report."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import msgspec

from perftui.metrics import report as reports
from perftui.metrics.report import CacheCounts, ServiceReport
from perftui.sources.packed_counts import Layout, layout
from perftui.sources.services.cache_states import possible_counts

KEPT_AFTER = 300.0
"""Seconds that the counts of a silent process are kept, in case it goes on."""
STALE_AFTER = 6.0
"""Seconds without a report after which a process no longer counts."""
SUPERSEDED_AFTER = 300.0
"""Seconds a process that fell silent is shown once a newer one has taken its place."""
YOUNG = 2 * reports.BEFORE_INTERVAL
"""Seconds of age up to which all that a process has counted is news."""
MOST_OPERATIONS = 2000
"""Operations of one process, and of one service; more are not told apart."""
CLOCK_SET = 5.0
"""Seconds by which two clocks part only where somebody has set one of them."""

Packed: TypeAlias = dict[Layout, dict[str, int]]
"""Counts by operation, for each set of bounds."""


class Growth(NamedTuple):
    """What a process counted from `begin` to `end`, Unix time by the clock of Redis.

    `caches` is what it had counted of its caches before.
    """

    begin: float
    end: float
    counts: Packed
    caches: dict[str, CacheCounts]


class ReadReport(NamedTuple):
    """A report, and apart from it its operations in the form they are kept in."""

    report: ServiceReport
    counts: Packed

    @property
    def size(self) -> int:
        """How many operations it has."""
        return sum(map(len, self.counts.values()))

    @property
    def zero(self) -> float | None:
        """When the counts were zero, Unix time by the clock of Redis; None if nobody says."""
        return self.report.time - self.report.uptime if self.report.uptime > 0 else None

    def from_zero(self, watched_since: float) -> bool:
        """Tell whether all of the counts are news to somebody who has watched since then.

        So they are of a process that began later, or so lately that there is no older report.
        """
        zero = self.zero
        return zero is not None and (self.report.uptime <= YOUNG or zero >= watched_since)


def read_report(payload: bytes) -> ReadReport:
    """Return a report; ValueError for one that is broken, of another version, or impossible."""
    report = reports.decode(payload)
    times = (report.time, report.uptime, report.clock, report.started)
    if not all(map(math.isfinite, times)) or report.time < 0:
        raise ValueError("the time of the report is not a time")
    for name, cache in report.caches.items():
        if not possible_counts(cache, report.cache_states):
            raise ValueError(f"cache {name!r} has impossible counts")
    if len(report.operations) > MOST_OPERATIONS:
        raise ValueError(
            f"{len(report.operations):,} operations are more than the {MOST_OPERATIONS:,} "
            "of a whole service"
        )
    full = layout(report.bounds)
    counts: Packed = {full: {}}
    for name, operation in report.operations.items():
        place, buckets = full, operation.buckets
        if not buckets:
            place, buckets = layout(()), (operation.count,)
        try:
            packed = place.pack(
                operation.count, operation.failures, operation.cancelled, operation.seconds, buckets
            )
        except ValueError as error:
            raise ValueError(f"operation {name!r} has {error}") from None
        counts.setdefault(place, {})[name] = packed
    # Processes of one service mostly have the same bounds, of which one copy is enough.
    return ReadReport(msgspec.structs.replace(report, operations={}, bounds=full.bounds), counts)


class ServiceProcess(msgspec.Struct, eq=False):
    """What is kept of one process between two samples.

    `score` is when its newest report was written and `read` when the newest one that was read,
    by the clock of Redis; `last` is None where none could be. `ended` tells that it said farewell,
    `problem` why the newest report could not be understood, and `dormant` that the counts have
    been thrown away.
    """

    member: bytes
    score: float
    read: float = -math.inf
    last: ReadReport | None = None
    ended: bool = False
    problem: str = ""
    dormant: bool = False

    @property
    def service(self) -> str:
        """The name of the service, also where no report could be read."""
        return service_of(self.member) if self.last is None else self.last.report.service

    @property
    def instance(self) -> str:
        """The id of the process."""
        if self.last is not None:
            return self.last.report.instance
        return self.member.rpartition(b"/")[2].decode("utf-8", "backslashreplace")

    @property
    def host(self) -> str:
        """The host it runs on, which an id begins with."""
        return self.instance.partition(":")[0] if self.last is None else self.last.report.host

    @property
    def began(self) -> float:
        """When it began to count by the clock of Redis, or when it was last seen."""
        zero = None if self.last is None else self.last.zero
        return self.score if zero is None else zero

    @property
    def new(self) -> bool:
        """Whether there is nothing that the next report could be compared with."""
        return self.last is None or self.dormant

    @property
    def size(self) -> int:
        """How many operations are kept."""
        return 0 if self.last is None else self.last.size

    def recent(self, now: float) -> bool:
        """Tell whether it reports; a report from the future is from before the clock was set."""
        return not self.ended and abs(now - self.score) <= STALE_AFTER

    def live(self, now: float) -> bool:
        """Tell whether it reports something that could be understood."""
        return self.last is not None and not self.problem and self.recent(now)

    def take(
        self, new: ReadReport, before: ReadReport | None, watched_since: float
    ) -> Growth | None:
        """Make `new` the newest report, and return what was counted since the one there was.

        For the first one that is its `history`.
        """
        old = None if self.new else self.last
        self.last, self.dormant, self.problem = new, False, ""
        return self.history(before, watched_since) if old is None else _since(old, new)

    def history(self, before: ReadReport | None, watched_since: float = math.inf) -> Growth | None:
        """Return what was counted up to the newest report, for somebody who comes anew.

        That is since the report `before`, or since the counts were zero if all of them are news;
        None where nobody can tell.
        """
        last = self.last
        if last is None or self.dormant:
            return None
        if last.zero is not None and last.from_zero(watched_since):
            return Growth(last.zero, last.report.time, last.counts, {})
        if before is None or not _same_life(before, last):
            return None
        return _since(before, last)

    def rest(self) -> None:
        """Throw the counts away; should it report again, it counts as one that has just come."""
        if self.last is not None:
            report = msgspec.structs.replace(self.last.report, caches={}, cache_states=())
            self.last, self.dormant = ReadReport(report, {}), True


def service_of(member: bytes) -> str:
    """Return the name of the service that an entry of the index belongs to."""
    return member.rpartition(b"/")[0].decode("utf-8", "backslashreplace")


def _same_life(earlier: ReadReport, later: ReadReport) -> bool:
    """Tell whether both are of one process that did not begin again in between."""
    one, other = earlier.report, later.report
    return (
        one.instance == other.instance
        and one.started == other.started
        and one.uptime <= other.uptime
        and one.time <= other.time
    )


def _since(old: ReadReport, new: ReadReport) -> Growth:
    begin, end = old.report.time, new.report.time
    lived = new.report.uptime - old.report.uptime
    if new.zero is not None and lived >= 0 and abs(end - begin - lived) > CLOCK_SET:
        # The clock of Redis was set between the two reports, that of the process was not.
        begin = end - lived
    if old.report.started != new.report.started or new.report.uptime < old.report.uptime:
        # It began at zero after its last report, so all of its counts are news.
        zero = begin if new.zero is None else max(begin, new.zero)
        return Growth(zero, end, new.counts, {})
    grown: Packed = {}
    for place, operations in new.counts.items():
        before = old.counts.get(place, {})
        news = grown[place] = {}
        for name, packed in operations.items():
            known = before.get(name)
            if known is None:
                # With other buckets than before there is nothing to compare with.
                if not any(name in counts for counts in old.counts.values()):
                    news[name] = packed
            elif packed != known:
                news[name] = place.growth(packed, known)
    return Growth(begin, end, grown, old.report.caches)
