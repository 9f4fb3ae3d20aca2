"""Operations, instances and alerts of a whole fleet, asked of a Prometheus server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from perftui import snapshot
from perftui.snapshot import (
    Absent,
    Maybe,
    OperationDetail,
    OperationWindow,
    Selection,
    Service,
    State,
)
from perftui.sources.prometheus import promql
from perftui.sources.prometheus.alerts import FoundAlerts, alerts_of
from perftui.sources.prometheus.answers import number_of
from perftui.sources.prometheus.api import PrometheusApi, RefusedError
from perftui.sources.prometheus.fleet import Fleet
from perftui.sources.prometheus.instances import MOST_TARGETS, InstanceBook, members_of
from perftui.sources.prometheus.instances import Place as InstancePlace
from perftui.sources.prometheus.pace import Schedule
from perftui.sources.prometheus.plan import FoundPlans, Plan, find_plans, scrape_intervals
from perftui.sources.prometheus.promql import check_matcher

if TYPE_CHECKING:
    from perftui.config.settings import Operations, Prometheus

__all__ = ["PrometheusSource", "check_matcher"]

EVERY = 300.0
"""Seconds between two looks at which metrics there are."""
YOUNG = 30.0
"""Seconds between two such looks while jobs come and go."""
SIZE_LIMIT = 64_000_000
MOST_NOTES = 8
NOTHING_FOUND = FoundPlans()
"""What is known before the first look."""
NO_METRIC = (
    "the server has none of the known metrics of operations; set operations.metric, "
    "or see prometheus.matcher"
)
NO_UP = Absent(
    State.NOT_COLLECTED, "no target has the metric up", "see prometheus.matcher, if it is set"
)


class PrometheusSource:
    """Asks one server politely, one question at a time, and only for metrics that it has.

    Windows end at the server's time and last at least four scrapes. What a person selected is
    asked for only while it is selected.
    """

    name = "prometheus"

    def __init__(self, prometheus: Prometheus, operations: Operations) -> None:
        """Raises ValueError for a URL, header, matcher or expression that cannot be used."""
        from perftui.sources.http.client import HttpClient, HttpTarget
        from perftui.sources.metric_presets import mappings

        self.interval = prometheus.interval
        self.deadline = prometheus.interval + prometheus.timeout
        self._quantile_interval = prometheus.quantile_interval
        self._matcher = check_matcher(prometheus.matcher)
        self._mappings = mappings(operations)
        target = HttpTarget.parse(
            prometheus.url,
            headers=prometheus.headers,
            bearer_file=prometheus.bearer_file,
            ca_file=prometheus.ca_file,
            cert_file=prometheus.cert_file,
            key_file=prometheus.key_file,
            verify=prometheus.verify,
            timeout=prometheus.timeout,
            size_limit=SIZE_LIMIT,
            section="prometheus",
        )
        self.api = PrometheusApi(HttpClient(target, any_status=True))
        self._schedule = Schedule(self.interval)
        self._selection = Selection()
        self._time = 0.0
        self._version = ""
        self._intervals: dict[str, float] = {}
        self._found = NOTHING_FOUND
        self._planned_for: frozenset[str] = frozenset()
        self._planned_at = 0.0
        self._fleet = Fleet(self.api, self._schedule, self._matcher, prometheus.quantile_interval)
        self._instances = InstanceBook()
        self._members: dict[str, set[InstancePlace]] = {}
        self._warnings: dict[str, float] = {}

    def select(self, selection: Selection) -> None:
        """Take what is looked at; its details are in the next sample."""
        self._selection = selection

    def close(self) -> None:
        """Close the connection."""
        self.api.close()

    def sample(self) -> snapshot.Prometheus:
        """Return what the server knows; raises SourceError when it cannot be asked at all."""
        selection = self._selection
        self._schedule.begin()
        self.api.warnings.clear()
        up, down = self._count_targets()
        targets = sum(count for count in (up, down) if not isinstance(count, Absent))
        self._look_around(targets)
        instances = self._ask_instances(targets)
        services = self._services(selection)
        alerts: Maybe[FoundAlerts] = self._schedule.ask(
            "alerts", "alerts", self._quantile_interval, lambda: alerts_of(self.api.rules())
        )
        self._schedule.end()
        if services == () and isinstance(instances, Absent):
            services = instances
        return snapshot.Prometheus(
            address=self.api.address,
            version=self._version,
            services=services,
            alerts=alerts if isinstance(alerts, Absent) else alerts.firing,
            targets_up=up,
            targets_down=down,
            notes=tuple(dict.fromkeys(self._notes(alerts)))[:MOST_NOTES],
        )

    def _count_targets(self) -> tuple[Maybe[int], Maybe[int]]:
        """Return targets that are up and down, and learn the server's time."""
        up = promql.selector("up", self._matcher)
        counts: dict[str, int] = {}
        for sample in self.api.query(f'count_values("state",{up}) or vector(time())'):
            state, value = sample.metric.get("state"), number_of(sample)
            if state is not None and value is not None:
                counts[state] = round(value)
            if sample.value is not None:
                self._time = float(sample.value[0])
        if not counts:
            return NO_UP, NO_UP
        return counts.get("1", 0), counts.get("0", 0)

    def _look_around(self, targets: int) -> None:
        """Find out now and then what there is to ask for."""
        jobs = self._instances.jobs
        if self._planned_for != jobs and self._time - self._planned_at >= YOUNG:
            self._schedule.soon("plans")
        period = EVERY if self._found.plans else YOUNG
        found = self._schedule.ask("plans", "metric names", period, lambda: self._find(targets))
        # An absence is told by the schedule; what is known already goes on.
        if isinstance(found, Absent) or found is self._found:
            return
        self._found = found
        self._planned_for, self._planned_at = jobs, self._time
        self._fleet.take(found.plans)

    def _find(self, targets: int) -> FoundPlans:
        if not self._version:
            # Some servers do not tell, and nothing else depends on it.
            with contextlib.suppress(RefusedError):
                built = self.api.build_info()
                self._version = f"{built.application} {built.version}".strip()
        intervals = scrape_intervals(self.api, self._matcher, targets, self._time)
        self._intervals = intervals
        return find_plans(self.api, self._mappings, self._matcher, intervals, self._time)

    def _ask_instances(self, targets: int) -> Maybe[bool]:
        """Bring the instances up to date; the absence says why that was not possible."""
        jobs: set[str] | None = None
        if targets > MOST_TARGETS:
            jobs = {job for plan in self._found.plans for job in plan.jobs} | {"node"}
        fastest = min(self._intervals.values(), default=0.0)

        def question() -> bool:
            self._instances.update(self.api, self._matcher, jobs, self._intervals, self._time)
            return True

        answer = self._schedule.ask("instances", "instances", max(self.interval, fastest), question)
        self._members = {}
        for plan in self._found.plans:
            if plan.owners > 1 or not self._instances.jobs >= set(plan.jobs):
                self._ask_members(plan)
        return answer

    def _ask_members(self, plan: Plan) -> None:
        """Learn the instances of services that `job` and `up` do not tell."""
        found = self._schedule.ask(
            ("members", plan),
            "instances",
            max(self._quantile_interval, plan.interval),
            lambda: members_of(self.api, plan, self._matcher, self._time),
        )
        if isinstance(found, Absent):
            return
        for service, members in found.items():
            self._instances.add(members)
            self._members.setdefault(service, set()).update(members)

    def _services(self, selection: Selection) -> Maybe[tuple[Service, ...]]:
        """Return the services by name; the absence says why nothing could be counted."""
        windows, missing = self._fleet.windows((), selection.operation, self._time)
        chosen: dict[str, tuple[OperationWindow, ...]] = {}
        if selection.hosts:
            chosen, _ = self._fleet.windows(selection.hosts, selection.operation, self._time)
        places = self._places(windows)
        services = tuple(
            self._service(name, places[name], windows.get(name, ()), chosen.get(name), selection)
            for name in sorted(places)
        )
        return missing if missing is not None and not services else services

    def _places(self, windows: Mapping[str, object]) -> dict[str, set[InstancePlace]]:
        """Return the instances of each service; those of no service make one by their job."""
        places = {name: set(self._members.get(name, ())) for name in {*windows, *self._members}}
        taken = {place for members in places.values() for place in members}
        for place in self._instances.places:
            if place not in taken:
                places.setdefault(place[0], set()).add(place)
        return places

    def _service(
        self,
        name: str,
        places: set[InstancePlace],
        windows: tuple[OperationWindow, ...],
        chosen: tuple[OperationWindow, ...] | None,
        selection: Selection,
    ) -> Service:
        instances = self._instances.of(places, self._time)
        live = [instance for instance in instances if instance.state is State.OK]
        hosts = tuple(sorted({instance.host for instance in instances}))
        details: tuple[OperationDetail, ...] = ()
        if selection.operation is not None and selection.operation[0] == name:
            details = self._fleet.details(*selection.operation, len(instances), self._time)
        wanted = set(selection.hosts)
        return Service(
            name=name,
            processes=len(live),
            hosts=hosts,
            last_seen=min((instance.last_seen for instance in instances), default=0.0),
            windows=windows,
            instances=instances,
            origin="prometheus",
            chosen_hosts=tuple(host for host in hosts if host in wanted),
            chosen=chosen or (),
            details=details,
            notes=self._service_notes(windows),
        )

    @staticmethod
    def _service_notes(windows: tuple[OperationWindow, ...]) -> tuple[str, ...]:
        stretched = [window for window in windows if window.covered > window.seconds]
        if not stretched:
            return ()
        last = stretched[-1]
        return (
            f"scraped too rarely for {last.seconds:g} s: {last.covered:g} s are shown in its place",
        )

    def _notes(self, alerts: Maybe[FoundAlerts]) -> Iterator[str]:
        now = self._time
        self._warnings.update(dict.fromkeys(self.api.warnings, now))
        # A warning belongs to an answer that is shown until the next one of its kind.
        kept = max(60.0, 2 * self._quantile_interval)
        self._warnings = {
            text: since for text, since in self._warnings.items() if now - since <= kept
        }
        for text in self._warnings:
            yield f"the server warns: {' '.join(text.split())[:200]}"
        yield from self._schedule.notes()
        if self._found is not NOTHING_FOUND and not self._found.plans:
            yield NO_METRIC
        yield from self._found.notes
        yield from self._fleet.notes()
        if not isinstance(alerts, Absent):
            yield from alerts.notes
