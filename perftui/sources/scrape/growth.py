"""By how much the counts of a page have grown, added up by service and operation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from perftui.sources.metric_mapping import MetricMapping
from perftui.sources.packed_counts import Layout, layout
from perftui.sources.scrape.page import Counted, Page, Timed, Timing, counters, cut

MOST_GONE = 500
"""Label sets that are remembered though they are not on the page any more."""
MOST_CALLS = 1e12
"""Calls that no counter can have counted between two pages."""
NOTHING = Timing(0.0, 0.0, (), ())

Failed: TypeAlias = Callable[[str], object]


class ServiceGrowth:
    """What one service on a page has counted, by bounds and operation, packed.

    `statuses` are calls by operation and status. `apart` are operations whose failed calls are
    not in the histogram, and `names` are all operations on the page.
    """

    def __init__(self) -> None:
        self.counts: dict[Layout, dict[str, int]] = {}
        self.statuses: dict[str, dict[str, float]] = {}
        self.apart: set[str] = set()
        self.names: set[str] = set()


class Growth(NamedTuple):
    """What was counted between two monotonic times, by service; empty name for the page's own.

    `known` is false for a page that nothing can be compared with: it only tells the names.
    `spoiled` tells that an earlier growth has turned out to be a change of process.
    """

    begin: float
    end: float
    known: bool
    services: dict[str, ServiceGrowth]
    spoiled: bool = False
    notes: tuple[str, ...] = ()


class Before(NamedTuple):
    """The last counts of each label set; those that were left out last can be compared to none."""

    timings: dict[Timed, Timing]
    counted: dict[Counted, float]
    left_out: frozenset[Timed | Counted]

    def is_more_than(self, page: Page) -> bool:
        """Whether something on the page has become less."""
        timings, counted = self.timings, self.counted
        return any(
            timed in timings and timing.calls < timings[timed].calls
            for timed, timing in page.timings.items()
        ) or any(each in counted and value < counted[each] for each, value in page.counted.items())

    def followed_by(self, page: Page, anew: bool) -> Before:
        """Return the counts after a page; what is not on it is kept, unless it begins `anew`."""
        if anew or len(self.timings) > 2 * len(page.timings) + MOST_GONE:
            return Before(page.timings, page.counted, page.left_out)
        return Before(
            {**self.timings, **page.timings},
            {**self.counted, **page.counted},
            self.left_out.difference(page.timings, page.counted) | page.left_out,
        )

    def timing(self, timed: Timed) -> Timing | None:
        """Return what a label set had counted; None where that cannot be told."""
        known = self.timings.get(timed)
        return None if known is None and timed in self.left_out else known or NOTHING

    def value(self, each: Counted) -> float | None:
        """Return what a counter stood at; None where that cannot be told."""
        known = self.counted.get(each)
        return None if known is None and each in self.left_out else known or 0.0


class _Sum:
    """Counts of one operation with one set of bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.calls = self.seconds = self.failures = self.cancelled = self.untold = 0.0
        self.buckets = [0.0] * (len(bounds) + 1)


class Growths:
    """Adds the growths of label sets up to those of operations, by certain mappings."""

    def __init__(self, mappings: Sequence[MetricMapping]) -> None:
        self._mappings = [(each, re.compile(each.failure).fullmatch) for each in mappings]

    def of(self, page: Page, before: Before) -> tuple[dict[str, ServiceGrowth], list[str]]:
        """Return what has been counted since `before`, by service, and what was impossible."""
        adding = _Adding(page, before)
        timings = _by_metric(page)
        for mapping, failed in self._mappings:
            adding.add(mapping, timings.get(mapping.metric, []), failed)
        return adding.found(), adding.notes


class _Adding:
    """The sums of one page so far."""

    def __init__(self, page: Page, before: Before) -> None:
        self._page = page
        self._before = before
        self._services: dict[str, ServiceGrowth] = {}
        self._sums: dict[tuple[str, str], dict[tuple[float, ...], _Sum]] = {}
        self._owners: dict[tuple[str, str], str] = {}
        self.notes: list[str] = []

    def add(self, mapping: MetricMapping, timings: list[Timed], failed: Failed) -> None:
        """Add all that belongs to one mapping; `failed` tells which statuses are failures."""
        told = any(timed.status is not None for timed in timings)
        for timed in timings:
            # Programs in the middle of a change of names count the same calls twice.
            owner = self._owners.setdefault((timed.service, timed.operation), mapping.metric)
            if owner == mapping.metric:
                self._add_timing(timed, self._page.timings[timed], told, failed)
        wanted = set(counters(mapping))
        counted = [each for each in self._page.counted if each.name in wanted]
        if counted:
            self._add_counters(mapping, timings, counted, told, failed)

    def found(self) -> dict[str, ServiceGrowth]:
        """Return the sums, packed."""
        for (service, operation), sums in self._sums.items():
            mine = self._services[service]
            for bounds, sum_ in sums.items():
                try:
                    place, packed = _packed(bounds, sum_)
                except ValueError as error:
                    self.notes.append(f"left out: {operation}: {error}")
                    mine.statuses.pop(operation, None)
                    continue
                mine.counts.setdefault(place, {})[operation] = packed
        return self._services

    def _add_timing(self, timed: Timed, timing: Timing, told: bool, failed: Failed) -> None:
        service = self._service(timed.service)
        service.names.add(timed.operation)
        before = self._before.timing(timed)
        if before is None:
            return
        buckets: Iterable[float] = timing.buckets
        if before.calls > timing.calls or not before.buckets:
            before = NOTHING
        elif before.bounds != timing.bounds:
            return
        else:
            buckets = map(_growth, timing.buckets, before.buckets)
        grown = timing.calls - before.calls
        if not grown:
            return
        sum_ = self._sum(timed.service, timed.operation, timing.bounds)
        sum_.calls += grown
        sum_.seconds += max(0.0, timing.seconds - before.seconds)
        sum_.buckets = [one + other for one, other in zip(sum_.buckets, buckets, strict=True)]
        if not told:
            sum_.untold += grown
        elif timed.status is not None:
            self._status(timed.service, timed.operation, timed.status, grown)
            if failed(timed.status):
                sum_.failures += grown

    def _add_counters(
        self,
        mapping: MetricMapping,
        timings: list[Timed],
        counted: list[Counted],
        told: bool,
        failed: Failed,
    ) -> None:
        names = {label for timed in timings for label, _ in timed.labels}
        naming = names.intersection(mapping.name_labels)
        bounds = self._page.timings[timings[0]].bounds if timings else ()
        told_apart: set[tuple[str, str]] = set()
        for each in counted:
            counter = (
                each.name == mapping.counter
                and bool(timings)
                and not told
                and each.status is not None
            )
            if not counter and each.name not in (
                mapping.failure_counter,
                mapping.cancelled_counter,
            ):
                continue
            labels = dict(each.labels)
            if not naming <= labels.keys():
                continue
            # The counter may have labels that are no part of the name in the histogram.
            chosen = {label: labels[label] for label in naming} if timings else labels
            operation = cut(mapping.operation(chosen))
            place = (each.service, operation)
            before = self._before.value(each)
            grown = 0.0 if before is None else _growth(self._page.counted[each], before)
            if grown > MOST_CALLS:
                self.notes.append(f"left out: {each}: impossible counts")
                continue
            if counter:
                if self._owners.get(place) != mapping.metric:
                    continue
                told_apart.add(place)
                if not grown:
                    continue
                assert each.status is not None
                self._status(*place, each.status, grown)
                if failed(each.status):
                    self._some_sum(*place, bounds).failures += grown
            elif each.name == mapping.cancelled_counter:
                if grown:
                    self._service(each.service).names.add(operation)
                    self._some_sum(*place, bounds).cancelled += grown
                    self._status(*place, "cancelled", grown)
            else:
                told_apart.add(place)
                self._service(each.service).names.add(operation)
                self._service(each.service).apart.add(operation)
                if grown:
                    sum_ = self._some_sum(*place, bounds)
                    sum_.calls += grown
                    sum_.failures += grown
                    self._status(*place, "failed", grown)
        self._settle(mapping, told_apart)

    def _settle(self, mapping: MetricMapping, told_apart: set[tuple[str, str]]) -> None:
        """Take the calls of those operations as told whose outcome counters have told."""
        for place in told_apart:
            for sum_ in self._sums.get(place, {}).values():
                if mapping.failure_counter and sum_.untold:
                    self._status(*place, "succeeded", sum_.untold)
                sum_.untold = 0.0

    def _service(self, name: str) -> ServiceGrowth:
        return self._services.setdefault(name, ServiceGrowth())

    def _status(self, service: str, operation: str, status: str, grown: float) -> None:
        statuses = self._service(service).statuses.setdefault(operation, {})
        statuses[status] = statuses.get(status, 0.0) + grown

    def _sum(self, service: str, operation: str, bounds: tuple[float, ...]) -> _Sum:
        sums = self._sums.setdefault((service, operation), {})
        if bounds not in sums:
            sums[bounds] = _Sum(bounds)
        return sums[bounds]

    def _some_sum(self, service: str, operation: str, bounds: tuple[float, ...]) -> _Sum:
        """Return a sum of the operation with any bounds, those that are given if there is none."""
        sums = self._sums.get((service, operation))
        return next(iter(sums.values())) if sums else self._sum(service, operation, bounds)


def _packed(bounds: tuple[float, ...], sum_: _Sum) -> tuple[Layout, int]:
    place = layout(bounds)
    return place, place.pack(
        round(sum_.calls),
        round(sum_.failures),
        round(sum_.cancelled),
        sum_.seconds,
        [round(bucket) for bucket in sum_.buckets],
        round(sum_.untold),
    )


def _by_metric(page: Page) -> dict[str, list[Timed]]:
    found: dict[str, list[Timed]] = {}
    for timed in page.timings:
        found.setdefault(timed.mapping.metric, []).append(timed)
    return found


def names_only(page: Page) -> dict[str, ServiceGrowth]:
    """Return the operations of a page without any counts."""
    services: dict[str, ServiceGrowth] = {}
    for timed in page.timings:
        services.setdefault(timed.service, ServiceGrowth()).names.add(timed.operation)
    return services


def _growth(after: float, before: float) -> float:
    """Return by how much a counter has grown, which began again at zero where it is less."""
    return after - before if after >= before else after
