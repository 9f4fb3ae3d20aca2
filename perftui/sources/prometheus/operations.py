"""Counts and quantiles of operations: the queries, and their answers by service and operation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from perftui.analysis.quantiles import bucket_quantiles
from perftui.snapshot import Quantile
from perftui.sources.operation_slots import QUANTILES
from perftui.sources.prometheus import promql
from perftui.sources.prometheus.answers import Sample, bound_of, number_of
from perftui.sources.prometheus.plan import Plan

if TYPE_CHECKING:
    from perftui.sources.prometheus.api import PrometheusApi

MOST_OPERATIONS = 1000
"""Operations of one metric that are shown, the busiest."""
MOST_QUANTILES = 100
"""Operations whose quantiles are asked for: each costs some thirty series."""
LONGEST_NAME = 200
"""Characters of an operation's name that are worth keeping."""
_NAMES_KEPT = 20_000

Key: TypeAlias = tuple[str, str]
"""Service and operation."""
Quantiles: TypeAlias = tuple[Quantile, Quantile, Quantile]


class Counts(msgspec.Struct, gc=False):
    """What was counted of one operation in one window.

    `count` are timed calls and `seconds` their time. Of `ended` calls of another counter, or of
    `count` where that is zero, `failures` failed; `failed` are failed calls that were not timed.
    """

    count: float = 0.0
    seconds: float = 0.0
    failures: float = 0.0
    ended: float = 0.0
    failed: float = 0.0
    cancelled: float = 0.0

    def add(self, part: str, value: float, unit: float) -> None:
        """Add a value of the part of an answer that has the name of a field; others are no counts.

        `unit` is how many seconds the values of times are in.
        """
        if part == "count":
            self.count += value
        elif part == "seconds":
            self.seconds += value * unit
        elif part == "failures":
            self.failures += value
        elif part == "ended":
            self.ended += value
        elif part == "failed":
            self.failed += value
        elif part == "cancelled":
            self.cancelled += value


class Counted(msgspec.Struct, frozen=True):
    """The operations of one plan in one window, with the labels of their series.

    `totals` are the seconds of all operations of a service where only the busiest are in
    `operations`; `limited` says that this may be so.
    """

    time: float
    operations: dict[Key, Counts]
    series: dict[Key, list[dict[str, str]]]
    totals: dict[str, float]
    limited: bool


class SeriesNames:
    """The service and the operation of a series, remembered by the values of its labels."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known: dict[tuple[str | None, ...], Key] = {}

    def key(self, labels: Mapping[str, str]) -> Key:
        """Return service and operation of a series with the labels of the plan."""
        values = tuple([labels.get(label) for label in self._plan.by])
        known = self._known.get(values)
        if known is None:
            if len(self._known) >= _NAMES_KEPT:
                self._known.clear()
            known = self._plan.service(labels), _cut(self._plan.mapping.operation(labels))
            self._known[values] = known
        return known


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def count_operations(
    api: PrometheusApi,
    plan: Plan,
    names: SeriesNames,
    matcher: str,
    seconds: float,
    time: float | None,
    limited: bool,
) -> Counted:
    """Ask for everything but quantiles over the last `seconds`; errors as `PrometheusApi.query`.

    `limited` asks for the busiest operations alone.
    """
    samples = api.query(counting_query(plan, matcher, seconds, limited), time)
    found: dict[Key, Counts] = {}
    series: dict[Key, list[dict[str, str]]] = {}
    totals: dict[str, float] = {}
    unit = plan.mapping.seconds_per_unit
    moment = time or 0.0
    for sample in samples:
        value = number_of(sample)
        # Nothing that is counted becomes less, whatever a server says.
        if value is None or value < 0 or sample.value is None:
            continue
        moment = sample.value[0]
        labels = sample.metric
        part = labels.pop(promql.PART, "")
        if part == "total":
            service = plan.service(labels)
            totals[service] = totals.get(service, 0.0) + value * unit
            continue
        key = names.key(labels)
        counts = found.get(key)
        if counts is None:
            counts = found[key] = Counts()
        counts.add(part, value, unit)
        if part == "count":
            series.setdefault(key, []).append(labels)
    return Counted(moment, found, series, totals, limited)


def counting_query(plan: Plan, matcher: str, seconds: float, limited: bool) -> str:
    """Return the query for counts, seconds, failed and cancelled calls over a window."""
    asked = counting_parts(plan, matcher, seconds, plan.by)
    if limited:
        spent = asked["seconds"]
        # Ranked by time, as what takes none of it is missed least.
        kept = f"topk({MOST_OPERATIONS},{spent})"
        asked = {part: f"({expression} and {kept})" for part, expression in asked.items()}
        asked["total"] = promql.sum_by(plan.by[: plan.owners], spent)
    return promql.parts(asked)


def counting_parts(
    plan: Plan, matcher: str, seconds: float, by: Sequence[str], *more: str
) -> dict[str, str]:
    """Return the expressions for what `Counts` holds, of the series that `more` matchers choose."""
    mapping = plan.mapping

    def growth(metric: str, *also: str) -> str:
        return promql.increase(plan.select(metric, matcher, *more, *also), seconds)

    if plan.native:
        count = promql.sum_by(by, f"histogram_count({growth(mapping.metric)})")
        spent = promql.sum_by(by, f"histogram_sum({growth(mapping.metric)})")
    else:
        count = promql.sum_by(by, growth(f"{mapping.metric}_count"))
        spent = promql.sum_by(by, growth(f"{mapping.metric}_sum"))
    asked = {"count": count, "seconds": f"({spent} > 0)"}
    if plan.status is not None:
        metric, label = plan.status
        failing = growth(metric, promql.matches(label, mapping.failure))
        failures = promql.sum_by(by, f"histogram_count({failing})" if plan.native else failing)
        asked["failures"] = f"({failures} > 0)"
        if metric != plan.counted:
            # Only where some failed: elsewhere the ratio is zero, whatever it is a part of.
            asked["ended"] = f"({promql.sum_by(by, growth(metric))} and {failures} > 0)"
    if plan.failed:
        asked["failed"] = f"({promql.sum_by(by, growth(mapping.failure_counter))} > 0)"
    if plan.cancelled:
        asked["cancelled"] = f"({promql.sum_by(by, growth(mapping.cancelled_counter))} > 0)"
    return asked


def busiest(counted: Iterable[Counted]) -> frozenset[Key]:
    """Return the operations that take most of the time."""
    spent: dict[Key, float] = {}
    for one in counted:
        for key, counts in one.operations.items():
            if counts.count > 0:
                spent[key] = spent.get(key, 0.0) + counts.seconds
    return frozenset(sorted(spent, key=lambda key: spent[key], reverse=True)[:MOST_QUANTILES])


def ask_quantiles(
    api: PrometheusApi,
    plan: Plan,
    names: SeriesNames,
    matcher: str,
    counted: Counted,
    wanted: frozenset[Key],
    seconds: float,
) -> dict[Key, Quantiles]:
    """Return p50, p95 and p99 of those wanted operations that were called in the window.

    Buckets are added up by the server before any quantile is computed; those of a native histogram
    stay there, so the bounds of its quantiles are the quantiles. Errors as `PrometheusApi.query`.
    """
    series = {key: counted.series[key] for key in wanted if key in counted.series}
    if not series or not (plan.buckets or plan.native):
        return {}
    selections = list(_selections(plan, series.values()))
    unit = plan.mapping.seconds_per_unit
    if plan.native:
        query = native_query(plan, matcher, seconds, selections)
        return _native_quantiles(names, api.query(query, counted.time), wanted, unit)
    query = bucket_query(plan, matcher, seconds, selections)
    buckets: dict[Key, dict[float, float]] = {}
    for sample in api.query(query, counted.time):
        key = names.key(sample.metric)
        if key in wanted:
            add_bucket(buckets.setdefault(key, {}), sample)
    found: dict[Key, Quantiles] = {}
    for key, counts in buckets.items():
        quantiles = quantiles_of(counts, unit)
        if quantiles is not None:
            found[key] = quantiles
    return found


def _selections(plan: Plan, series: Iterable[list[dict[str, str]]]) -> Iterable[tuple[str, ...]]:
    """Return matchers that together choose these series and few others: one set per owner."""
    owners, naming = plan.by[: plan.owners], plan.by[plan.owners :]
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for alike in series:
        for labels in alike:
            owner = tuple(labels.get(label, "") for label in owners)
            groups.setdefault(owner, []).append(labels)
    for owner, members in groups.items():
        yield (
            *map(promql.equals, owners, owner),
            *(promql.one_of(label, (m.get(label, "") for m in members)) for label in naming),
        )


def bucket_query(
    plan: Plan,
    matcher: str,
    seconds: float,
    selections: Iterable[tuple[str, ...]],
    by: Sequence[str] = (),
) -> str:
    """Return the query for how many calls each bucket got, added up over processes."""
    metric = f"{plan.mapping.metric}_bucket"
    by = (*(by or plan.by), "le")
    return " or ".join(
        promql.sum_by(by, promql.increase(plan.select(metric, matcher, *chosen), seconds))
        for chosen in selections
    )


def native_query(
    plan: Plan,
    matcher: str,
    seconds: float,
    selections: Iterable[tuple[str, ...]],
    by: Sequence[str] = (),
) -> str:
    """Return the query for the quantiles of native histograms, which have no label `le`."""
    window = promql.duration(seconds)
    rates = " or ".join(
        promql.sum_by(
            by or plan.by, f"rate({plan.select(plan.mapping.metric, matcher, *chosen)}[{window}])"
        )
        for chosen in selections
    )
    return promql.parts({str(q): f"histogram_quantile({q},{rates})" for q in QUANTILES})


def _native_quantiles(
    names: SeriesNames, samples: Iterable[Sample], wanted: frozenset[Key], unit: float
) -> dict[Key, Quantiles]:
    values: dict[Key, dict[str, float]] = {}
    for sample in samples:
        key, value = names.key(sample.metric), number_of(sample)
        if key in wanted and value is not None:
            values.setdefault(key, {})[sample.metric.get(promql.PART, "")] = value * unit
    found: dict[Key, Quantiles] = {}
    for key, by_part in values.items():
        if len(by_part) == len(QUANTILES):
            p50, p95, p99 = (by_part[str(q)] for q in QUANTILES)
            found[key] = Quantile(p50, p50, p50), Quantile(p95, p95, p95), Quantile(p99, p99, p99)
    return found


def add_bucket(counts: dict[float, float], sample: Sample) -> None:
    """Add one series of a bucket to the cumulative counts by upper bound."""
    value = number_of(sample)
    try:
        bound = bound_of(sample.metric.get("le", ""))
    except ValueError:
        return
    if value is None or value < 0:
        return
    counts[bound] = counts.get(bound, 0.0) + value


def apart(cumulative: Mapping[float, float], unit: float) -> tuple[tuple[float, ...], list[float]]:
    """Return finite bounds in seconds and counts per bucket, +Inf last; empty without +Inf.

    A count that is lower than that of a smaller bound is raised to it, as the server itself does:
    extrapolation and scrapes between two updates leave such crumbs.
    """
    bounds = sorted(cumulative)
    if not bounds or bounds[-1] != math.inf:
        return (), []
    counts, before = [], 0.0
    for bound in bounds:
        reached = max(before, cumulative[bound])
        counts.append(reached - before)
        before = reached
    return tuple(bound * unit for bound in bounds[:-1]), counts


def quantiles_of(cumulative: Mapping[float, float], unit: float) -> Quantiles | None:
    """Return p50, p95 and p99 of cumulative counts by bound; None where nothing was counted."""
    bounds, counts = apart(cumulative, unit)
    found = bucket_quantiles(QUANTILES, bounds, counts) if bounds else None
    if found is None:
        return None
    p50, p95, p99 = found
    return p50, p95, p99
