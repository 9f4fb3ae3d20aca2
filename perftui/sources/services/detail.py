"""One operation of a service in detail: calls per bucket, per outcome and per process."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from perftui.snapshot import (
    Absent,
    InstanceShare,
    Maybe,
    OperationDetail,
    OperationWindow,
    State,
    StatusCount,
)
from perftui.sources.operation_slots import WINDOWS, OperationSlots
from perftui.sources.packed_counts import Counts
from perftui.sources.services.process import ServiceProcess

NO_SHARES = Absent(
    State.NOT_COLLECTED, "the processes are looked at apart from now on, with their next reports"
)


def details(
    operation: str | None,
    slots: OperationSlots,
    shares: OperationSlots,
    live: Sequence[ServiceProcess],
    looked_at: Sequence[ServiceProcess],
) -> tuple[OperationDetail, ...]:
    """Return the watched operation, one entry per window; empty where it is not known.

    `shares` has the counts of that operation by the id of the process, and `looked_at` are the
    live processes that shall be listed also where they were not called.
    """
    if operation is None or slots.covered(0) <= 0:
        return ()
    bounds = _bounds(operation, live)
    if bounds is None and slots.counts(len(WINDOWS) - 1, operation) is None:
        return ()
    apart = shares.windows({p.last.report.instance for p in looked_at if p.last is not None})
    found = []
    for index, seconds in enumerate(WINDOWS):
        counts = slots.counts(index, operation)
        found.append(
            OperationDetail(
                operation=operation,
                seconds=seconds,
                bounds=counts.bounds if counts is not None else bounds or (),
                buckets=(
                    counts.whole_buckets if counts is not None else (0,) * (len(bounds or ()) + 1)
                ),
                statuses=_statuses(counts, slots.covered(index)),
                instances=_instances(operation, apart[index]) if apart else NO_SHARES,
                covered=shares.covered(index) if apart else 0.0,
            )
        )
    return tuple(found)


def _bounds(operation: str, live: Sequence[ServiceProcess]) -> tuple[float, ...] | None:
    for process in live:
        if process.last is not None:
            for place, operations in process.last.counts.items():
                if operation in operations:
                    return place.bounds
    return None


def _statuses(counts: Counts | None, covered: float) -> tuple[StatusCount, ...]:
    failed = 0.0 if counts is None else counts.failures
    succeeded = 0.0 if counts is None else max(0.0, counts.told - counts.failures)
    cancelled = 0.0 if counts is None else counts.cancelled
    return tuple(
        StatusCount(status, round(count), count / covered)
        for status, count in (
            ("success", succeeded),
            ("failure", failed),
            ("cancelled", cancelled),
        )
    )


def _instances(operation: str, window: OperationWindow) -> Maybe[tuple[InstanceShare, ...]]:
    return tuple(
        InstanceShare(share.name, msgspec.structs.replace(share, name=operation))
        for share in window.operations
    )
