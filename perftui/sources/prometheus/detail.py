"""One operation in detail: its buckets, how its calls ended, and what each instance did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perftui.snapshot import Absent, InstanceShare, Maybe, OperationDetail, State, StatusCount
from perftui.sources.operation_slots import NO_BUCKETS
from perftui.sources.prometheus import promql
from perftui.sources.prometheus.answers import number_of
from perftui.sources.prometheus.operations import (
    Counts,
    Quantiles,
    add_bucket,
    apart,
    counting_parts,
    quantiles_of,
)
from perftui.sources.prometheus.plan import Plan
from perftui.sources.prometheus.windows import operation_of

if TYPE_CHECKING:
    from perftui.sources.prometheus.api import PrometheusApi

MOST_SERIES = 8
"""Sets of labels that make one name together and are asked for."""
MOST_INSTANCES = 40
"""Instances whose buckets are asked for apart, some thirty series each."""
TOO_MANY = Absent(
    State.NOT_COLLECTED, f"quantiles are not asked for apart with over {MOST_INSTANCES} instances"
)
NATIVE = Absent(State.NOT_COLLECTED, "quantiles of native histograms are those of the service only")


def ask_detail(
    api: PrometheusApi,
    plan: Plan,
    series: list[dict[str, str]],
    matcher: str,
    index: int,
    seconds: float,
    time: float | None,
    instances: int,
) -> OperationDetail:
    """Return the detail of the operation that these series are, over the window of that number.

    `seconds` is what the window is called, `instances` how many the service has. Errors as
    `PrometheusApi.query`.
    """
    covered = plan.windows[index]
    apart_from_each_other = plan.buckets and instances <= MOST_INSTANCES
    found = _Found()
    for labels in series[:MOST_SERIES]:
        query = _query(plan, labels, matcher, covered, apart_from_each_other)
        for sample in api.query(query, time):
            part, instance = sample.metric.get(promql.PART), sample.metric.get("instance", "")
            value = number_of(sample)
            if value is None or value < 0:
                continue
            if part == "bucket":
                add_bucket(found.buckets.setdefault(instance, {}), sample)
            elif part == "status":
                status = sample.metric.get(plan.status[1], "") if plan.status else ""
                found.statuses[status] = found.statuses.get(status, 0.0) + value
            else:
                counts = found.counts.setdefault(instance, Counts())
                counts.add(part or "", value, plan.mapping.seconds_per_unit)
    return found.detail(plan, matched_name(plan, series), seconds, covered, instances)


def matched_name(plan: Plan, series: list[dict[str, str]]) -> str:
    """Return the name of the operation that the series are."""
    return plan.mapping.operation(series[0])


def _query(
    plan: Plan, labels: dict[str, str], matcher: str, seconds: float, by_instance: bool
) -> str:
    chosen = [promql.equals(label, labels.get(label, "")) for label in plan.by]
    asked = counting_parts(plan, matcher, seconds, ("instance",), *chosen)
    if plan.buckets:
        selected = plan.select(f"{plan.mapping.metric}_bucket", matcher, *chosen)
        by = ("instance", "le") if by_instance else ("le",)
        asked["bucket"] = promql.sum_by(by, promql.increase(selected, seconds))
    if plan.status is not None:
        metric, label = plan.status
        growth = promql.increase(plan.select(metric, matcher, *chosen), seconds)
        if plan.native:
            growth = f"histogram_count({growth})"
        asked["status"] = f"({promql.sum_by((label,), growth)} > 0)"
    return promql.parts(asked)


class _Found:
    """What the answers said so far; buckets of all instances together are under ''."""

    def __init__(self) -> None:
        self.counts: dict[str, Counts] = {}
        self.buckets: dict[str, dict[float, float]] = {}
        self.statuses: dict[str, float] = {}

    def detail(
        self, plan: Plan, name: str, seconds: float, covered: float, instances: int
    ) -> OperationDetail:
        unit = plan.mapping.seconds_per_unit
        together: dict[float, float] = {}
        for buckets in self.buckets.values():
            for bound, count in buckets.items():
                together[bound] = together.get(bound, 0.0) + count
        bounds, counts = apart(together, unit)
        total = sum(counts.count for counts in self.counts.values())
        statuses = dict(self.statuses)
        failed = sum(counts.failed for counts in self.counts.values())
        if plan.failed:
            statuses |= {"succeeded": total, "failed": failed}
        statuses["cancelled"] = statuses.get("cancelled", 0.0) + sum(
            counts.cancelled for counts in self.counts.values()
        )
        spent = sum(counts.seconds for counts in self.counts.values())
        return OperationDetail(
            operation=name,
            seconds=seconds,
            bounds=bounds,
            buckets=tuple(map(round, counts)) if bounds else (round(total),),
            statuses=tuple(
                StatusCount(status, round(count), count / covered)
                for status, count in sorted(statuses.items())
                if round(count)
            ),
            instances=self._instances(plan, name, covered, spent, unit),
            covered=covered,
        )

    def _instances(
        self, plan: Plan, name: str, covered: float, spent: float, unit: float
    ) -> Maybe[tuple[InstanceShare, ...]]:
        if set(self.counts) == {""}:
            return Absent(State.NOT_COLLECTED, "the series have no label instance")
        return tuple(
            InstanceShare(
                instance,
                operation_of(name, counts, plan, covered, spent, self._quantiles(plan, instance)),
            )
            for instance, counts in sorted(self.counts.items())
        )

    def _quantiles(self, plan: Plan, instance: str) -> Quantiles | Absent:
        if plan.native:
            return NATIVE
        if not plan.buckets:
            return NO_BUCKETS
        if instance not in self.buckets:
            return TOO_MANY
        return quantiles_of(self.buckets[instance], plan.mapping.seconds_per_unit) or NO_BUCKETS
