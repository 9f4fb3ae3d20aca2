"""How often, how long and how successfully a service's operations run."""

from __future__ import annotations

from math import inf
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from perftui.metrics.buckets import DEFAULT, Buckets, upper_bounds
from perftui.metrics.operation_counts import operation_counts
from perftui.metrics.operation_series import PER_REGISTRY, OperationSeries
from perftui.metrics.registration import LOCK
from perftui.metrics.report import OperationCounts
from perftui.metrics.tracking import Tracker


class ExecutionMetrics:
    """Counts and times operations in Prometheus metrics; safe between threads and after a fork.

    Histogram `operation_execution_time_seconds{operation}`, Counter
    `operation_count_total{operation,status}` with status `success` or `failure`, and Counter
    `operation_cancelled_total{operation}` for calls that are in neither of the two.

    All objects on one registry share these metrics; with `registry=None` the object has its own,
    registered nowhere. `buckets` are upper bounds in seconds, or `"prometheus"` for those of
    prometheus-client; None takes the bounds the registry's metrics have, and for the first object
    steps of about the square root of two from 1 ms to 16 s.

    Names: at most 500 operations have series of their own, further ones are counted together as
    `_other`. A name is cut at 200 characters.

    Raises ValueError for bounds that are not positive, finite and increasing, for bounds that
    differ from those the registry's metrics have, and when somebody else has registered a metric
    of one of these names.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = REGISTRY,
        buckets: Buckets | None = None,
    ) -> None:
        asked = None if buckets is None else upper_bounds(buckets)

        def make() -> OperationSeries:
            return OperationSeries(DEFAULT if asked is None else asked)

        series = make() if registry is None else PER_REGISTRY.find_or_make(registry, make)
        if asked is not None and asked != series.bounds:
            raise ValueError(
                f"the registry's operation_execution_time_seconds has the buckets {series.bounds}, "
                f"so it cannot have {asked}; make the ExecutionMetrics with these buckets before "
                "any other, or pass a registry of its own: registry=CollectorRegistry()"
            )
        self._series = series
        self._children = series.children

    @property
    def execution_time(self) -> Histogram:
        """Durations of finished calls in seconds by operation."""
        return self._series.histogram

    @property
    def operation_count(self) -> Counter:
        """Finished calls by operation and status."""
        return self._series.calls

    @property
    def operation_cancelled(self) -> Counter:
        """Cancelled calls by operation."""
        return self._series.cancelled

    @property
    def bounds(self) -> tuple[float, ...]:
        """Finite upper bounds of the buckets in seconds; one more bucket holds what is longer."""
        return self._series.bounds

    @property
    def overflow(self) -> int:
        """How many names were put together as `_other`: exact up to 5,000, not counted beyond."""
        return self._series.overflow

    def record_execution(self, operation: str, duration: float, success: bool) -> None:
        """Count one finished call that took `duration` seconds.

        Raises ValueError for a duration that is negative, infinite or not a number and for an empty
        operation, TypeError for an operation that is not a str or a duration that is no number.
        """
        try:
            if not 0.0 <= duration < inf:
                raise ValueError(
                    f"operation {shown(operation)}: the duration is {duration!r}, "
                    "it must be a finite number of seconds, not negative"
                )
            children = self._children.get(operation)
        except TypeError as error:
            raise TypeError(
                f"operation {shown(operation)} must be a str, "
                f"and its duration {shown(duration)} seconds"
            ) from error
        if children is None:
            children = self._series.admit(operation)
        observe, succeed, fail, _ = children
        observe(duration)
        if success:
            succeed()
        else:
            fail()

    def record_cancellation(self, operation: str) -> None:
        """Count one call that was cancelled; its duration says nothing, so it is not taken.

        Raises ValueError for an empty operation, TypeError for one that is not a str.
        """
        self._series.admit(operation)[3]()

    def track(self, operation: str) -> Tracker:
        """Return what measures a block or a function as calls of the operation; see Tracker.

        Works in `with` and `async with` and as a decorator. Raises ValueError for an empty
        operation, TypeError for one that is not a str.
        """
        if not isinstance(operation, str):
            raise TypeError(f"operation {shown(operation)} must be a str")
        if not operation:
            raise ValueError("operation must not be empty")
        return Tracker(self, operation)

    def counts(self) -> dict[str, OperationCounts]:
        """Return what this process has counted, by operation.

        Values run since the process began to count. A forked child begins with those of its parent,
        except in prometheus-client's multi-process mode, where it begins with its own file.
        """
        return operation_counts(self._series)


def shown(value: object) -> str:
    """Return the value as an error message can show it, whatever its length."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


_SHARED: WeakKeyDictionary[CollectorRegistry, ExecutionMetrics] = WeakKeyDictionary()


def shared(registry: CollectorRegistry = REGISTRY) -> ExecutionMetrics:
    """Return the ExecutionMetrics that middlewares and the Reporter use unless told otherwise.

    It is the same object for a registry until its metrics are unregistered there. Raises ValueError
    when somebody else has registered a metric of one of its names.
    """
    with LOCK:
        newest = ExecutionMetrics(registry)
        known = _SHARED.get(registry)
        if known is not None and known._series is newest._series:
            return known
        _SHARED[registry] = newest
        return newest
