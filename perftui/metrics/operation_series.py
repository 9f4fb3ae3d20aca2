"""The collectors behind ExecutionMetrics, their cached children, and the limit on their number."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from perftui.metrics.registration import LOCK, OnePerRegistry

MOST_OPERATIONS = 500
"""Operations with series of their own; every one of them costs about forty series."""
MOST_COUNTED_NAMES = 5_000
"""Names beyond the limit that are told apart, to keep the memory for it under half a megabyte."""
LONGEST_NAME = 200
"""Characters of an operation's name that are kept."""
OTHER = "_other"

Children: TypeAlias = tuple[
    Callable[[float], None], Callable[[], None], Callable[[], None], Callable[[], None]
]
"""observe, and increments of success, failure and cancellation, of one operation."""

_logger = logging.getLogger("perftui.metrics")


class _Forgettable(MetricWrapperBase):
    """A metric that says when somebody removes its children, so that none is cached for ever."""

    _forget: Callable[[], None] | None = None

    def clear(self) -> None:
        with LOCK:
            super().clear()
            self._children_left()

    def remove(self, *labelvalues: Any) -> None:
        with LOCK:
            super().remove(*labelvalues)
            self._children_left()

    def remove_by_labels(self, labels: dict[str, str]) -> None:
        with LOCK:
            super().remove_by_labels(labels)
            self._children_left()

    def _children_left(self) -> None:
        if self._forget is not None:
            self._forget()


class OperationHistogram(_Forgettable, Histogram):
    """Durations by operation."""


class OperationCounter(_Forgettable, Counter):
    """Calls by operation."""


class OperationSeries:
    """Collectors that all ExecutionMetrics of one registry share.

    `children` is the cache of the operations seen so far; `bounds` are finite, in seconds.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.children: dict[str, Children] = {}
        self.histogram = OperationHistogram(
            "operation_execution_time_seconds",
            "Wall time of finished operations in seconds; cancelled ones are not in it.",
            ["operation"],
            buckets=bounds,
            registry=None,
        )
        self.calls = OperationCounter(
            "operation_count_total",
            "Finished operations by status, success or failure.",
            ["operation", "status"],
            registry=None,
        )
        self.cancelled = OperationCounter(
            "operation_cancelled_total",
            "Operations that were cancelled before they finished.",
            ["operation"],
            registry=None,
        )
        self._overflowed: set[int] = set()
        self._warned = False
        for collector in (self.histogram, self.calls, self.cancelled):
            collector._forget = self._forget

    @property
    def collectors(self) -> tuple[MetricWrapperBase, ...]:
        return self.histogram, self.calls, self.cancelled

    @property
    def overflow(self) -> int:
        """Names put together as `_other` so far, exact up to 5,000 and not counted beyond."""
        return len(self._overflowed)

    def admit(self, operation: object) -> Children:
        """Return the children of an operation that is not in the cache under this name.

        Raises TypeError for a name that is not text, ValueError for an empty one.
        """
        name = label_of(operation)
        crossed = False
        with LOCK:
            known = self.children.get(name)
            if known is not None:
                return known
            if name != OTHER and len(self.children) - (OTHER in self.children) >= MOST_OPERATIONS:
                if len(self._overflowed) < MOST_COUNTED_NAMES:
                    self._overflowed.add(hash(name))
                crossed = not self._warned
                self._warned = True
                made = self.children.get(OTHER) or self._make(OTHER)
            else:
                made = self._make(name)
        if crossed:
            _logger.warning(
                "more than %d operations: %.80r and all further ones are counted as %s; "
                "name operations by route template or function, not by path or id",
                MOST_OPERATIONS,
                name,
                OTHER,
            )
        return made

    def _make(self, name: str) -> Children:
        made = (
            self.histogram.labels(name).observe,
            self.calls.labels(name, "success").inc,
            self.calls.labels(name, "failure").inc,
            self.cancelled.labels(name).inc,
        )
        self.children[name] = made
        return made

    def _forget(self) -> None:
        self.children.clear()
        self._overflowed.clear()


def label_of(operation: object) -> str:
    """Return the label value for an operation's name.

    A name longer than 200 characters is cut and ends in an ellipsis; what cannot be written as
    UTF-8, which would break the whole exposition, is written as escapes. Raises TypeError for a
    name that is not text, ValueError for an empty one.
    """
    if not isinstance(operation, str):
        raise TypeError(f"operation must be a str, got {repr(operation)[:80]}")
    if not operation:
        raise ValueError("operation must not be empty")
    if len(operation) > LONGEST_NAME:
        operation = operation[: LONGEST_NAME - 1] + "…"
    return operation.encode("utf-8", "backslashreplace").decode("utf-8")


PER_REGISTRY: OnePerRegistry[OperationSeries] = OnePerRegistry("ExecutionMetrics")
