"""Instances of services: whether they are up and since when, their CPU time and memory.

`up`, `process_*` and the metrics of node_exporter are asked for in one query.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from perftui.snapshot import Absent, Instance, Maybe, State
from perftui.sources.prometheus import promql
from perftui.sources.prometheus.answers import Sample, number_of
from perftui.sources.prometheus.plan import SCRAPES, USUAL_INTERVAL, Plan

if TYPE_CHECKING:
    from perftui.sources.prometheus.api import PrometheusApi

MOST_TARGETS = 300
"""Targets up to which the instances of jobs without operations are asked for as well."""
CPU_WINDOWS = (10.0, 20.0, 40.0, 60.0, 120.0, 240.0, 480.0, 960.0)
REMEMBERED = 300.0
"""Seconds for which an instance that is no longer a target is shown: its counts are as well."""
LOOK_BACK = 3600.0
MOST_DOWN = 50

Place: TypeAlias = tuple[str, str]
"""Job and instance."""

BY = ("job", "instance")
NO_PID = Absent(State.NOT_COLLECTED, "Prometheus does not know process ids")
NO_CPU = Absent(State.NOT_COLLECTED, "the target exposes no process_cpu_seconds_total")
NO_MEMORY = Absent(State.NOT_COLLECTED, "the target exposes no process_resident_memory_bytes")
NO_START = Absent(State.NOT_COLLECTED, "the target exposes no process_start_time_seconds")
DOWN = Absent(State.STALE, "the target is down")


class InstanceBook:
    """Remembers instances from answer to answer; times are those of the server."""

    def __init__(self) -> None:
        self._values: dict[Place, dict[str, float]] = {}
        self._seen: dict[Place, float] = {}
        self._looked_back: set[Place] = set()
        self._gone: dict[Place, float] = {}

    @property
    def jobs(self) -> frozenset[str]:
        """Jobs that have targets or had them a short while ago."""
        return frozenset(job for job, _ in (*self._values, *self._gone))

    def update(
        self,
        api: PrometheusApi,
        matcher: str,
        jobs: Iterable[str] | None,
        intervals: Mapping[str, float],
        time: float,
    ) -> None:
        """Ask for the instances of the jobs, None for all; errors as `PrometheusApi.query`."""
        values: dict[Place, dict[str, float]] = {}
        for sample in api.query(instances_query(matcher, jobs, intervals), time):
            value = number_of(sample)
            if value is not None:
                part = sample.metric.get(promql.PART, "").partition(" ")[0]
                values.setdefault(_place(sample), {})[part] = value
        self._remember(values, time)
        down = [
            place
            for place, found in values.items()
            if found.get("up") == 0 and place not in self._seen and place not in self._looked_back
        ][:MOST_DOWN]
        if down:
            self._look_back(api, matcher, down, time)

    def _remember(self, values: dict[Place, dict[str, float]], time: float) -> None:
        for place in self._values.keys() - values.keys():
            self._gone.setdefault(place, time)
        self._gone = {
            place: since
            for place, since in self._gone.items()
            if place not in values and time - since <= REMEMBERED
        }
        for place, found in values.items():
            if found.get("up", 1.0) > 0:
                self._seen[place] = found.get("seen", time)
        known = values.keys() | self._gone.keys()
        self._seen = {place: seen for place, seen in self._seen.items() if place in known}
        self._looked_back &= known
        self._values = values

    def _look_back(
        self, api: PrometheusApi, matcher: str, down: Sequence[Place], time: float
    ) -> None:
        """Find out when targets were up last that were down before anybody looked."""
        self._looked_back.update(down)
        chosen = promql.selector(
            "up",
            matcher,
            promql.one_of("job", (job for job, _ in down)),
            promql.one_of("instance", (instance for _, instance in down)),
        )
        moments = f"timestamp({chosen} == 1)[{promql.duration(LOOK_BACK)}:15s]"
        query = f"max by ({','.join(BY)}) (max_over_time({moments}))"
        for sample in api.query(query, time):
            value = number_of(sample)
            if value is not None:
                self._seen.setdefault(_place(sample), value)

    def of(self, members: Iterable[Place], time: float) -> tuple[Instance, ...]:
        """Return these instances at a time of the server, those that are down included."""
        return tuple(self._instance(place, time) for place in sorted(set(members)))

    @property
    def places(self) -> frozenset[Place]:
        """All instances, those that were targets a short while ago included."""
        return frozenset(self._values) | frozenset(self._gone)

    def _instance(self, place: Place, time: float) -> Instance:
        values = self._values.get(place, {})
        seen = self._seen.get(place)
        age = LOOK_BACK if seen is None else max(0.0, time - seen)
        up = values.get("up")
        if up == 0 or not values:
            note = "the scrape fails" if up == 0 else "no longer a target"
            if seen is None:
                note += ", for over an hour"
            return Instance(
                id=place[1], host=place[1], pid=NO_PID, state=State.STALE, last_seen=age,
                uptime=DOWN, cpu_percent=DOWN, memory_rss=DOWN, note=note,
            )  # fmt: skip
        started = values.get("started", values.get("boot"))
        cores = values.get("cores")
        return Instance(
            id=place[1],
            host=place[1],
            pid=NO_PID,
            state=State.OK,
            last_seen=age,
            uptime=NO_START if started is None else max(0.0, time - started),
            cpu_percent=_first(values, ("cpu", "gauge", "host"), NO_CPU),
            memory_rss=_whole(_first(values, ("rss", "memory", "used"), NO_MEMORY)),
            note=f"host of {cores:.0f} cores" if cores else "",
        )

    def add(self, members: Mapping[Place, float]) -> None:
        """Take instances that only their operations tell of, with the time of the last sample."""
        for place, seen in members.items():
            if place not in self._values:
                self._values[place] = {"seen": seen}
                self._seen[place] = seen
                self._gone.pop(place, None)


def _first(values: Mapping[str, float], names: Iterable[str], absent: Absent) -> Maybe[float]:
    return next((values[name] for name in names if name in values), absent)


def _whole(value: Maybe[float]) -> Maybe[int]:
    return value if isinstance(value, Absent) else max(0, round(value))


def _place(sample: Sample) -> Place:
    return sample.metric.get("job", ""), sample.metric.get("instance", "")


def instances_query(
    matcher: str, jobs: Iterable[str] | None, intervals: Mapping[str, float]
) -> str:
    """Return the query for all that is known of the instances of some jobs, None for all."""
    chosen = "" if jobs is None else promql.one_of("job", jobs)

    def one(aggregate: str, metric: str, *more: str) -> str:
        return f"{aggregate} by (job,instance) ({promql.selector(metric, matcher, chosen, *more)})"

    available = promql.selector("node_memory_MemAvailable_bytes", matcher, chosen)
    total = promql.selector("node_memory_MemTotal_bytes", matcher, chosen)
    up = promql.selector("up", matcher, chosen)
    asked = {
        "up": one("min", "up"),
        "seen": f"max by (job,instance) (timestamp({up}))",
        "rss": one("sum", "process_resident_memory_bytes"),
        "started": one("min", "process_start_time_seconds"),
        "memory": one("sum", "memory_usage_bytes"),
        "gauge": one("sum", "cpu_usage_percent"),
        "boot": one("max", "node_boot_time_seconds"),
        "cores": one("count", "node_cpu_seconds_total", 'mode="idle"'),
        "used": f"sum by (job,instance) ({total} - {available})",
    }
    for number, (window, group) in enumerate(_cpu_windows(intervals)):
        process = _rate("process_cpu_seconds_total", window, matcher, chosen, group)
        busy = _rate(
            "node_cpu_seconds_total", window, matcher, chosen, group, 'mode!~"idle|iowait"'
        )
        asked[f"cpu {number}"] = f"(100 * {process})"
        asked[f"host {number}"] = f"(100 * {busy})"
    return promql.parts(asked)


def _rate(metric: str, window: float, *matchers: str) -> str:
    selected = promql.selector(metric, *matchers)
    return promql.sum_by(BY, f"rate({selected}[{promql.duration(window)}])")


def _cpu_windows(intervals: Mapping[str, float]) -> list[tuple[float, str]]:
    """Return windows of at least four scrapes with the matcher of the jobs each is for."""
    groups: dict[float, list[str]] = {}
    for job, interval in intervals.items():
        wanted = SCRAPES * interval
        place = min(bisect.bisect_left(CPU_WINDOWS, wanted), len(CPU_WINDOWS) - 1)
        groups.setdefault(max(CPU_WINDOWS[place], wanted), []).append(job)
    if not groups:
        return [(SCRAPES * USUAL_INTERVAL, "")]
    if len(groups) == 1:
        return [(next(iter(groups)), "")]
    return [(window, promql.one_of("job", jobs)) for window, jobs in groups.items()]


def members_of(
    api: PrometheusApi, plan: Plan, matcher: str, time: float | None
) -> dict[str, dict[Place, float]]:
    """Return the instances of each service by the series of its operations.

    With the time of the newest sample, for services that `job` does not name and for instances
    that push what they count and so have no `up`. Errors as `PrometheusApi.query`.
    """
    by = ",".join((*plan.by[: plan.owners], "instance"))
    selected = plan.select(plan.counted, matcher)
    found: dict[str, dict[Place, float]] = {}
    for sample in api.query(f"max by ({by}) (timestamp({selected}))", time):
        seen = number_of(sample)
        if seen is not None and sample.metric.get("instance"):
            found.setdefault(plan.service(sample.metric), {})[_place(sample)] = seen
    return found
