"""The operations of all services of a Prometheus server, of some hosts alone, and in detail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import is_
from typing import NamedTuple

from perftui.snapshot import Absent, Maybe, OperationDetail, OperationWindow
from perftui.sources.operation_slots import WINDOWS
from perftui.sources.prometheus import promql
from perftui.sources.prometheus.api import PrometheusApi
from perftui.sources.prometheus.detail import ask_detail
from perftui.sources.prometheus.operations import (
    MOST_OPERATIONS,
    Counted,
    Key,
    SeriesNames,
    ask_quantiles,
    busiest,
    count_operations,
)
from perftui.sources.prometheus.pace import Schedule
from perftui.sources.prometheus.plan import Plan
from perftui.sources.prometheus.windows import Measured, Place, window_by_service


class _Made(NamedTuple):
    """Windows by service, and the very objects they were made from."""

    sources: tuple[object, ...]
    windows: dict[str, OperationWindow]

    def is_from(self, sources: tuple[object, ...]) -> bool:
        return len(sources) == len(self.sources) and all(map(is_, sources, self.sources))


class Fleet:
    """Asks for the operations of each plan, window by window, as often as the schedule allows.

    Intervals in seconds; times are those of the server.
    """

    def __init__(
        self, api: PrometheusApi, schedule: Schedule, matcher: str, quantile_interval: float
    ) -> None:
        self._api = api
        self._schedule = schedule
        self._matcher = matcher
        self._quantile_interval = quantile_interval
        self._plans: tuple[Plan, ...] = ()
        self._names: dict[Plan, SeriesNames] = {}
        self._limited: set[Plan] = set()
        self._counted: dict[Place, Counted] = {}
        self._made: dict[tuple[bool, int], _Made] = {}

    def take(self, plans: tuple[Plan, ...]) -> None:
        """Ask by these plans from now on."""
        self._plans = plans
        self._names = {plan: self._names.get(plan) or SeriesNames(plan) for plan in plans}
        self._limited &= set(plans)

    def windows(
        self, hosts: tuple[str, ...], looked_at: Key | None, time: float
    ) -> tuple[dict[str, tuple[OperationWindow, ...]], Absent | None]:
        """Return the windows by service, of some hosts alone where there are any.

        And why a window is missing, where one is.
        """
        matcher = self._matcher
        if hosts:
            chosen = promql.one_of("instance", hosts)
            matcher = f"{matcher},{chosen}" if matcher else chosen
        counted: dict[Place, Counted] = {}
        missing: Absent | None = None
        for plan in self._plans:
            for index in range(len(WINDOWS)):
                first = plan.windows.index(plan.windows[index])
                if first != index:
                    # The scrapes are so far apart that both windows are the same.
                    if (plan, first) in counted:
                        counted[plan, index] = counted[plan, first]
                    continue
                found = self._count(plan, index, hosts, matcher, time)
                if isinstance(found, Absent):
                    missing = missing or found
                else:
                    counted[plan, index] = found
        if not hosts:
            self._counted = counted
        measured = self._measure_all(counted, hosts, matcher, looked_at)
        windows: dict[str, list[OperationWindow]] = {}
        for index in range(len(WINDOWS)):
            for service, window in self._put_together(bool(hosts), index, counted, measured):
                windows.setdefault(service, []).append(window)
        return {service: tuple(found) for service, found in windows.items()}, missing

    def _put_together(
        self,
        chosen: bool,
        index: int,
        counted: dict[Place, Counted],
        measured: dict[Place, Maybe[Measured]],
    ) -> Iterable[tuple[str, OperationWindow]]:
        """Return a window of each service, the same as before while no answer is new."""
        sources = tuple(
            part
            for plan in self._plans
            for part in (plan, counted.get((plan, index)), measured.get((plan, index)))
        )
        made = self._made.get((chosen, index))
        if made is None or not made.is_from(sources):
            made = _Made(sources, window_by_service(self._plans, index, counted, measured))
            self._made[chosen, index] = made
        return made.windows.items()

    def _count(
        self, plan: Plan, index: int, hosts: tuple[str, ...], matcher: str, time: float
    ) -> Maybe[Counted]:
        seconds, limited = plan.windows[index], plan in self._limited
        names = self._names[plan]
        found = self._schedule.ask(
            ("count", plan, index, hosts),
            "operations",
            # The longer the window, the less changes from one question to the next.
            max(self._schedule.interval, plan.interval) * 2**index,
            lambda: count_operations(self._api, plan, names, matcher, seconds, time, limited),
        )
        if not isinstance(found, Absent) and len(found.operations) > MOST_OPERATIONS:
            self._limited.add(plan)
        return found

    def _measure_all(
        self,
        counted: dict[Place, Counted],
        hosts: tuple[str, ...],
        matcher: str,
        looked_at: Key | None,
    ) -> dict[Place, Maybe[Measured]]:
        measured: dict[Place, Maybe[Measured]] = {}
        for index in range(len(WINDOWS)):
            of_window = {place: found for place, found in counted.items() if place[1] == index}
            wanted = busiest(of_window.values())
            extra = None if looked_at in wanted else looked_at
            if extra is not None:
                wanted |= {extra}
            for (plan, _), found in of_window.items():
                first = plan.windows.index(plan.windows[index])
                if first != index:
                    if (plan, first) in measured:
                        measured[plan, index] = measured[plan, first]
                elif plan.buckets or plan.native:
                    measured[plan, index] = self._measure(
                        plan, index, (hosts, extra), matcher, found, wanted
                    )
        return measured

    def _measure(
        self,
        plan: Plan,
        index: int,
        whose: tuple[tuple[str, ...], Key | None],
        matcher: str,
        counted: Counted,
        wanted: frozenset[Key],
    ) -> Maybe[Measured]:
        names, seconds = self._names[plan], plan.windows[index]

        def question() -> Measured:
            found = ask_quantiles(self._api, plan, names, matcher, counted, wanted, seconds)
            return Measured(counted.time, wanted, found)

        period = max(self._quantile_interval, plan.interval) * 2**index
        return self._schedule.ask(("quantiles", plan, index, whose), "quantiles", period, question)

    def details(
        self, service: str, operation: str, instances: int, time: float
    ) -> tuple[OperationDetail, ...]:
        """Return one operation in detail, a window each; empty while nothing is known of it.

        `instances` is how many the service has.
        """
        found: list[OperationDetail] = []
        for index, seconds in enumerate(WINDOWS):
            place = self._place_of((service, operation), index)
            if place is None:
                continue
            plan, series = place

            def question(
                plan: Plan = plan,
                series: list[dict[str, str]] = series,
                index: int = index,
                seconds: float = seconds,
            ) -> OperationDetail:
                return ask_detail(
                    self._api, plan, series, self._matcher, index, seconds, time, instances
                )

            detail = self._schedule.ask(
                ("detail", plan, index, service, operation),
                "details",
                max(self._schedule.interval, plan.interval) * 2**index,
                question,
            )
            if not isinstance(detail, Absent):
                found.append(detail)
        return tuple(found)

    def _place_of(self, key: Key, index: int) -> tuple[Plan, list[dict[str, str]]] | None:
        for plan in self._plans:
            counted = self._counted.get((plan, index))
            if counted is not None and counted.series.get(key):
                return plan, counted.series[key]
        return None

    def notes(self) -> Iterator[str]:
        """Yield what is special about the numbers."""
        stretched = sorted({plan.interval for plan in self._plans} - {0.0})
        for interval in stretched:
            plan = next(plan for plan in self._plans if plan.interval == interval)
            yield stretched_note(plan)
        if self._limited:
            yield f"only the {MOST_OPERATIONS} operations that take most time are shown"


def stretched_note(plan: Plan) -> str:
    """Return why the shortest window of a plan is longer than it is called."""
    return (
        f"targets are scraped every {plan.interval:g} s, "
        f"so the shortest window is {plan.windows[0]:g} s"
    )
