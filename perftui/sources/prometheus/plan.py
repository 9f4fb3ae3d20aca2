"""Finds out which operations a Prometheus server knows, and what can be asked about them.

Only metrics that exist are asked for later, with the labels they have and over windows of at
least four scrapes, since `increase` of fewer says little or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from perftui.sources.metric_mapping import MetricMapping
from perftui.sources.operation_slots import WINDOWS
from perftui.sources.prometheus import promql
from perftui.sources.prometheus.answers import Sample, number_of, seconds_of
from perftui.sources.prometheus.api import RefusedError

if TYPE_CHECKING:
    from perftui.sources.prometheus.api import PrometheusApi

SCRAPES = 4
"""Scrapes that a window has to hold."""
USUAL_INTERVAL = 15.0
"""Seconds between two scrapes where nothing tells."""
MANY_TARGETS = 2000
"""Targets from which on their list, of about a kilobyte each, is not asked for."""
_ESTIMATE = 300.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about one metric of some jobs.

    `everybody` says that no other job has the metric. `windows` are the seconds asked for in place
    of `WINDOWS`; `interval` is the scrape interval where that made one longer, else 0. `by` are
    the labels that tell operations apart, after those of the service and `job`, of which there are
    `owners`. `status` is the metric and the label that tell how calls ended. A native histogram
    has neither buckets nor `_count`.
    """

    mapping: MetricMapping
    interval: float
    windows: tuple[float, ...]
    by: tuple[str, ...]
    owners: int
    jobs: tuple[str, ...] = ()
    everybody: bool = False
    native: bool = False
    buckets: bool = True
    status: tuple[str, str] | None = None
    failed: bool = False
    cancelled: bool = False

    @property
    def counted(self) -> str:
        """The metric whose series stand for the operations."""
        return self.mapping.metric if self.native else f"{self.mapping.metric}_count"

    def select(self, metric: str, matcher: str, *more: str) -> str:
        """Return the selector of one of its metrics, for its jobs alone."""
        named = any(matcher.startswith("job=") for matcher in more)
        jobs = "" if self.everybody or named else promql.one_of("job", self.jobs)
        return promql.selector(metric, matcher, jobs, *more)

    def service(self, labels: Mapping[str, str]) -> str:
        """Return the service of a series."""
        return self.mapping.service(labels) or labels.get("job") or "unknown"


class FoundPlans(msgspec.Struct, frozen=True):
    """The plans, those of earlier mappings first, and what could not be planned."""

    plans: tuple[Plan, ...] = ()
    notes: tuple[str, ...] = ()


def scrape_intervals(
    api: PrometheusApi, matcher: str, targets: int, time: float | None
) -> dict[str, float]:
    """Return the longest scrape interval of each job in seconds, empty where nothing tells.

    From the list of targets, where it is offered and not huge, and else from how many samples of
    `up` five minutes have, which is too long an interval for a server that is younger than that.
    """
    intervals: dict[str, float] = {}
    if targets <= MANY_TARGETS:
        try:
            for target in api.targets().active_targets:
                job, seconds = target.labels.get("job", ""), seconds_of(target.scrape_interval)
                if seconds is not None:
                    intervals[job] = max(seconds, intervals.get(job, 0.0))
        except RefusedError:
            intervals.clear()
    if intervals:
        return intervals
    up = promql.selector("up", matcher)
    expression = f"max by (job) (count_over_time({up}[{promql.duration(_ESTIMATE)}]))"
    for sample in api.query(expression, time):
        count = number_of(sample)
        if count:
            intervals[sample.metric.get("job", "")] = _ESTIMATE / count
    return intervals


def find_plans(
    api: PrometheusApi,
    mappings: Sequence[MetricMapping],
    matcher: str,
    intervals: Mapping[str, float],
    time: float | None,
) -> FoundPlans:
    """Return a plan for each metric that exists and each kind of job, and notes about them.

    Raises what `PrometheusApi.query` does; a mapping whose labels cannot be found out is left out
    with a note.
    """
    names = _existing(api, mappings, matcher, time)
    plans: list[Plan] = []
    notes: list[str] = []
    for mapping in mappings:
        metric = mapping.metric
        classic = names.get(f"{metric}_count", frozenset())
        native = names.get(metric, frozenset()) - classic
        for jobs, is_native in ((classic, False), (native, True)):
            if not jobs:
                continue
            try:
                probe = _Probe(api, mapping, matcher, names, is_native, time)
            except RefusedError as error:
                notes.append(f"{metric} is left out: {error.absent.reason}")
                continue
            plans += _plans(probe, jobs, names, intervals)
            notes += probe.notes
    return FoundPlans(tuple(plans), tuple(notes))


def _existing(
    api: PrometheusApi, mappings: Iterable[MetricMapping], matcher: str, time: float | None
) -> dict[str, frozenset[str]]:
    """Return the jobs of each metric that exists."""
    plain: dict[str, None] = {}
    buckets: dict[str, None] = {}
    for mapping in mappings:
        metric = mapping.metric
        plain |= dict.fromkeys((metric, f"{metric}_count"))
        buckets[f"{metric}_bucket"] = None
        for counter in (mapping.counter, mapping.failure_counter, mapping.cancelled_counter):
            if counter:
                plain[counter] = None
    if not plain:
        return {}
    any_plain = promql.selector("", promql.one_of("__name__", plain), matcher)
    # One bucket of each histogram is enough to know that it has them.
    any_bucket = promql.selector("", promql.one_of("__name__", buckets), 'le="+Inf"', matcher)
    # Told apart by a label, since `or` takes series for equal that differ in their name only.
    expression = promql.parts(
        {
            part: f"count by (__name__,job) ({selected})"
            for part, selected in (("plain", any_plain), ("buckets", any_bucket))
        }
    )
    jobs: dict[str, set[str]] = {}
    for sample in api.query(expression, time):
        labels = sample.metric
        jobs.setdefault(labels.get("__name__", ""), set()).add(labels.get("job", ""))
    return {name: frozenset(found) for name, found in jobs.items()}


class _Probe:
    """How many series of one metric have which of the labels, by job."""

    def __init__(
        self,
        api: PrometheusApi,
        mapping: MetricMapping,
        matcher: str,
        names: Mapping[str, frozenset[str]],
        native: bool,
        time: float | None,
    ) -> None:
        self.mapping = mapping
        self.native = native
        self.notes: list[str] = []
        self.series: dict[tuple[str, str], float] = {}
        self.counter = mapping.counter if mapping.counter in names else ""
        metric = mapping.metric if native else f"{mapping.metric}_count"
        self.metric = metric
        naming, statuses = mapping.name_labels, mapping.status_labels
        labels = dict.fromkeys((*naming, *statuses, *mapping.service_labels))
        expressions = {"": promql.selector(metric, matcher)}
        for label in labels:
            expressions[label] = promql.selector(metric, f'{label}!=""', matcher)
        if self.counter:
            for label in dict.fromkeys((*naming, *statuses)):
                place = f"counter {label}"
                expressions[place] = promql.selector(self.counter, f'{label}!=""', matcher)
        query = promql.parts(
            {part: f"count by (job) ({selected})" for part, selected in expressions.items()}
        )
        self._fill(api.query(query, time))
        self.failure_usable = self._failure_usable(api, matcher, time)

    def _fill(self, samples: list[Sample]) -> None:
        for sample in samples:
            labels = sample.metric
            place = (labels.get("job", ""), labels.get(promql.PART, ""))
            self.series[place] = number_of(sample) or 0.0

    def _failure_usable(self, api: PrometheusApi, matcher: str, time: float | None) -> bool:
        """Ask once whether the server understands the expression, which may be a person's own."""
        if not self.mapping.failure:
            return False
        pattern = promql.matches("job", f"(?:{self.mapping.failure})|.*")
        try:
            api.query(f"count({promql.selector(self.metric, pattern, matcher)})", time)
        except RefusedError as error:
            self.notes.append(f"operations.failure is not understood: {error.absent.reason}")
            return False
        return True

    def has(self, job: str, label: str) -> bool:
        return (job, label) in self.series

    def covers(self, job: str, label: str) -> bool:
        """Tell whether every series of the job has the label."""
        return self.series.get((job, label), 0.0) >= self.series.get((job, ""), 1.0)

    def naming(self, job: str) -> tuple[str, ...]:
        """Return the labels that the names of the job's operations can come from.

        A label that never decides, such as a raw path beside a route, would only multiply series.
        """
        mapping = self.mapping
        preferred = [label for label in mapping.preferred if self.has(job, label)]
        if any(self.covers(job, label) for label in preferred):
            return tuple(preferred)
        found = dict.fromkeys(preferred)
        decided = False
        for label in mapping.labels:
            if not self.has(job, label) or (label in mapping.either and decided):
                continue
            found[label] = None
            decided = decided or (label in mapping.either and self.covers(job, label))
        return tuple(found)

    def owners(self, job: str) -> tuple[str, ...]:
        return (*(label for label in self.mapping.service_labels if self.has(job, label)), "job")

    def status(self, job: str, naming: tuple[str, ...]) -> tuple[str, str] | None:
        if not self.failure_usable:
            return None
        for label in self.mapping.status_labels:
            if self.has(job, label):
                return self.metric, label
        # A counter that does not name the operation cannot tell which one failed.
        if all(self.has(job, f"counter {label}") for label in naming):
            for label in self.mapping.status_labels:
                if self.has(job, f"counter {label}"):
                    return self.counter, label
        return None


def _plans(
    probe: _Probe,
    jobs: frozenset[str],
    names: Mapping[str, frozenset[str]],
    intervals: Mapping[str, float],
) -> list[Plan]:
    mapping = probe.mapping
    usual = max(intervals.values(), default=USUAL_INTERVAL)
    found = {job: _plan_of(probe, job, names, intervals.get(job, usual)) for job in sorted(jobs)}
    if any(plan.by[: plan.owners] != ("job",) for plan in found.values()):
        # A service may span several jobs, whose quantiles can only be computed together.
        kinds = {_merged(mapping, list(found.values())): list(found)}
    else:
        kinds = {}
        for job, plan in found.items():
            kinds.setdefault(plan, []).append(job)
    everybody = names_of(mapping, names)
    return [
        msgspec.structs.replace(plan, jobs=tuple(members), everybody=len(members) == len(everybody))
        for plan, members in kinds.items()
    ]


def _plan_of(probe: _Probe, job: str, names: Mapping[str, frozenset[str]], interval: float) -> Plan:
    mapping = probe.mapping
    naming, owners = probe.naming(job), probe.owners(job)
    windows = tuple(max(seconds, SCRAPES * interval) for seconds in WINDOWS)
    return Plan(
        mapping=mapping,
        # Jobs whose windows are the same can be asked together.
        interval=interval if windows != WINDOWS else 0.0,
        windows=windows,
        by=(*owners, *(label for label in naming if label not in owners)),
        owners=len(owners),
        native=probe.native,
        buckets=not probe.native and job in names.get(f"{mapping.metric}_bucket", ()),
        status=probe.status(job, naming),
        failed=job in names.get(mapping.failure_counter, ()),
        cancelled=job in names.get(mapping.cancelled_counter, ()),
    )


def _merged(mapping: MetricMapping, plans: Sequence[Plan]) -> Plan:
    """Return one plan for jobs that differ; what only some of them tell is not told."""
    owners = dict.fromkeys(label for plan in plans for label in plan.by[: plan.owners])
    owners = {**dict.fromkeys(label for label in owners if label != "job"), "job": None}
    used = {label for plan in plans for label in plan.by[plan.owners :]}
    naming = [label for label in mapping.name_labels if label in used and label not in owners]
    slowest = max(plans, key=lambda plan: plan.interval)
    statuses = {plan.status for plan in plans}
    return msgspec.structs.replace(
        slowest,
        by=(*owners, *naming),
        owners=len(owners),
        buckets=any(plan.buckets for plan in plans),
        status=statuses.pop() if len(statuses) == 1 else None,
        failed=all(plan.failed for plan in plans),
        cancelled=any(plan.cancelled for plan in plans),
    )


def names_of(mapping: MetricMapping, names: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return all jobs that have the metric in any form."""
    metric = mapping.metric
    return names.get(metric, frozenset()) | names.get(f"{metric}_count", frozenset())
