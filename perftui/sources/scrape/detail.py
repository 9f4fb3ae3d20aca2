"""One operation of a scraped service in detail: calls per bucket, per status and per endpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterable

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
from perftui.sources.operation_slots import NOT_CALLED, WINDOWS, OperationSlots
from perftui.sources.packed_counts import Layout, layout

MOST_STATUSES = 50
"""Statuses of one operation that are told apart."""
NO_SHARES = Absent(State.NOT_COLLECTED, "the endpoints are looked at apart from now on")


class CountedSlots:
    """Counts of operations in slots of time, together with how the calls ended."""

    def __init__(self) -> None:
        self._slots = OperationSlots(lag=0.0)
        self._of_statuses = OperationSlots(lag=0.0)
        self._statuses: dict[str, set[str]] = {}
        self.apart: set[str] = set()
        """Operations whose failed calls have no duration."""

    @property
    def started(self) -> bool:
        """Whether there are windows to show."""
        return self._slots.covered(0) > 0

    def watched_since(self, time: float) -> None:
        """Say that everything after `time` has been counted."""
        self._slots.watched_since(time)
        self._of_statuses.watched_since(time)

    def advance(self, now: float) -> None:
        """Move the end of all windows to `now`."""
        self._slots.advance(now)
        self._of_statuses.advance(now)

    def add(self, place: Layout, growths: dict[str, int], begin: float, end: float) -> None:
        """Add packed growths of operations."""
        self._slots.add_packed(place, growths, begin, end)

    def add_statuses(
        self, statuses: Iterable[tuple[str, str, float]], begin: float, end: float
    ) -> None:
        """Add calls by operation and status."""
        place = layout(())
        growths: dict[str, int] = {}
        for operation, status, count in statuses:
            known = self._statuses.setdefault(operation, set())
            if status not in known:
                if len(known) >= MOST_STATUSES:
                    continue
                known.add(status)
            name = f"{operation}\0{status}"
            calls = round(count)
            growths[name] = growths.get(name, 0) + place.pack(calls, 0, 0, 0.0, (calls,))
        self._of_statuses.add_packed(place, growths, begin, end)

    def windows(self, known: Iterable[str] = ()) -> tuple[OperationWindow, ...]:
        """Return the windows, shortest first, with the `known` operations in any case."""
        windows = self._slots.windows(known)
        if not self.apart:
            return windows
        return tuple(self._with_means(index, window) for index, window in enumerate(windows))

    @property
    def empty(self) -> bool:
        """Whether no window has anything left."""
        return self._slots.empty

    def called(self) -> set[str]:
        """Return the operations that were called within the longest window."""
        return self._slots.called()

    def forget_statuses(self, keep: Collection[str]) -> None:
        """Drop the names of the statuses of other operations."""
        self._statuses = {name: known for name, known in self._statuses.items() if name in keep}

    def details(
        self, operation: str, bounds: tuple[float, ...], shares: OperationSlots, listed: set[str]
    ) -> tuple[OperationDetail, ...]:
        """Return one entry per window; `shares` are the calls of the operation by endpoint.

        `bounds` are shown where nothing was called, and the endpoints that are `listed` too.
        """
        if not self.started:
            return ()
        apart = shares.windows(listed)
        return tuple(
            self._detail(index, operation, bounds, apart[index] if apart else None)
            for index in range(len(WINDOWS))
        )

    def _detail(
        self,
        index: int,
        operation: str,
        bounds: tuple[float, ...],
        apart: OperationWindow | None,
    ) -> OperationDetail:
        counts = self._slots.counts(index, operation)
        shares: Maybe[tuple[InstanceShare, ...]] = NO_SHARES
        if apart is not None:
            shares = tuple(
                InstanceShare(share.name, msgspec.structs.replace(share, name=operation))
                for share in apart.operations
            )
        return OperationDetail(
            operation=operation,
            seconds=WINDOWS[index],
            bounds=bounds if counts is None else counts.bounds,
            buckets=(0,) * (len(bounds) + 1) if counts is None else counts.whole_buckets,
            statuses=self._status_counts(index, operation),
            instances=shares,
            covered=0.0 if apart is None else apart.covered,
        )

    def _status_counts(self, index: int, operation: str) -> tuple[StatusCount, ...]:
        covered = self._slots.covered(index)
        found = []
        for status in sorted(self._statuses.get(operation, ())):
            counts = self._of_statuses.counts(index, f"{operation}\0{status}")
            calls = 0.0 if counts is None else counts.calls
            found.append(StatusCount(status, round(calls), calls / covered))
        return tuple(found)

    def _with_means(self, index: int, window: OperationWindow) -> OperationWindow:
        """Return a window whose means do not have calls in them that were never timed."""
        operations = []
        for operation in window.operations:
            counts = self._slots.counts(index, operation.name)
            if operation.name in self.apart and counts is not None and operation.count:
                timed = sum(counts.buckets)
                mean: Maybe[float] = counts.seconds / timed if timed else NOT_CALLED
                operation = msgspec.structs.replace(operation, mean=mean)
            operations.append(operation)
        return msgspec.structs.replace(window, operations=tuple(operations))
