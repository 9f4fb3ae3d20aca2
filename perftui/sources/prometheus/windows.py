"""The windows of services, put together from what was counted and from the quantiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from perftui.snapshot import Absent, Maybe, Operation, OperationWindow, Quantile, State
from perftui.sources.operation_slots import NO_BUCKETS, NO_STATUS, NOT_CALLED, WINDOWS
from perftui.sources.prometheus.operations import (
    MOST_QUANTILES,
    Counted,
    Counts,
    Key,
    Quantiles,
)
from perftui.sources.prometheus.plan import Plan

NOT_YET = Absent(
    State.NOT_COLLECTED, "quantiles are asked for every prometheus.quantile_interval only"
)
NOT_BUSY = Absent(
    State.NOT_COLLECTED,
    f"quantiles are asked for the {MOST_QUANTILES} operations that take most time",
    "choose the operation, and they are asked for it as well",
)


class Measured(msgspec.Struct, frozen=True):
    """The quantiles of those operations that were `wanted`, at a time of the server."""

    time: float
    wanted: frozenset[Key]
    found: dict[Key, Quantiles]


Place: TypeAlias = tuple[Plan, int]
"""A plan and the number of the window."""


def window_by_service(
    plans: Sequence[Plan],
    index: int,
    counted: Mapping[Place, Maybe[Counted]],
    measured: Mapping[Place, Maybe[Measured]],
) -> dict[str, OperationWindow]:
    """Return the window of that number of each service of which anything was counted.

    Where two metrics tell of operations of one name, the metric that comes first counts: both
    have seen the same calls.
    """
    operations: dict[str, dict[str, tuple[Plan, Counts]]] = {}
    totals: dict[str, float] = {}
    for plan in plans:
        found = counted.get((plan, index))
        if found is None or isinstance(found, Absent):
            continue
        for service, total in found.totals.items():
            totals[service] = totals.get(service, 0.0) + total
        for (service, name), counts in found.operations.items():
            operations.setdefault(service, {}).setdefault(name, (plan, counts))
    windows: dict[str, OperationWindow] = {}
    for service, rows in operations.items():
        spent = math.fsum(counts.seconds for _, counts in rows.values())
        spent = max(spent, totals.get(service, 0.0))
        windows[service] = OperationWindow(
            WINDOWS[index],
            max(plan.windows[index] for plan, _ in rows.values()),
            tuple(
                operation_of(
                    name,
                    counts,
                    plan,
                    plan.windows[index],
                    spent,
                    _quantiles(plan, (service, name), measured.get((plan, index))),
                )
                for name, (plan, counts) in sorted(rows.items(), key=_name)
            ),
        )
    return windows


def _name(row: tuple[str, tuple[Plan, Counts]]) -> str:
    return row[0]


def _quantiles(plan: Plan, key: Key, measured: Maybe[Measured] | None) -> Quantiles | Absent:
    if not (plan.buckets or plan.native):
        return NO_BUCKETS
    if measured is None:
        return NOT_YET
    if isinstance(measured, Absent):
        return measured
    found = measured.found.get(key)
    if found is not None:
        return found
    return NO_BUCKETS if key in measured.wanted else NOT_BUSY


def operation_of(
    name: str,
    counts: Counts,
    plan: Plan,
    covered: float,
    spent: float,
    quantiles: Quantiles | Absent,
) -> Operation:
    """Return an operation over `covered` seconds, in which all of them took `spent` seconds."""
    calls = counts.count + counts.failed
    count = round(calls)
    cancelled = round(counts.cancelled)
    if count == 0:
        return Operation(
            name, 0.0, NOT_CALLED, NOT_CALLED, NOT_CALLED, NOT_CALLED, NOT_CALLED, 0.0, 0, cancelled
        )
    p50: Maybe[Quantile]
    p95: Maybe[Quantile]
    p99: Maybe[Quantile]
    p50, p95, p99 = (quantiles,) * 3 if isinstance(quantiles, Absent) else quantiles
    return Operation(
        name=name,
        rate=calls / covered,
        mean=counts.seconds / counts.count if counts.count > 0 else NOT_CALLED,
        p50=p50,
        p95=p95,
        p99=p99,
        error_ratio=_error_ratio(counts, plan, calls),
        time_share=counts.seconds / spent if spent > 0 else 0.0,
        count=count,
        cancelled=cancelled,
    )


def _error_ratio(counts: Counts, plan: Plan, calls: float) -> Maybe[float]:
    if plan.failed:
        return counts.failed / calls
    if plan.status is None:
        return NO_STATUS
    ended = counts.ended or counts.count
    return min(1.0, counts.failures / ended) if ended > 0 else 0.0
