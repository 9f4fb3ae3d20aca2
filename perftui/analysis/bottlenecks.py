"""The three literal bottleneck rules: slow operation, high memory, high CPU."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from math import fsum, isfinite
from typing import Any

SLOW_FACTOR = 2.0
"""An operation is slow when its mean exceeds this multiple of the mean of all operations' means."""
MEMORY_PERCENT = 90.0
CPU_PERCENT = 80.0

FEW_OPERATIONS = 5
"""Below, an operation has to be 2.67 and more times slower than its equals to be found."""
FEW_CALLS = 30
"""Below, chance moves a mean by a quarter and more."""

Bottleneck = dict[str, Any]
Observations = Mapping[str, Mapping[str, float]]


def slow_operations(
    execution_times: Mapping[str, float], counts: Mapping[str, float] | None = None
) -> list[Bottleneck]:
    """Return the operations whose mean time exceeds twice the mean of all operations' means.

    Takes and gives seconds; a time that is no finite number counts as not observed. `ratio` is the
    time over the mean of means. `confidence` is `low` for fewer than five operations or, where
    `counts` has its calls, fewer than 30 of them, else `medium`; `note` says why.

    The rule compares with peers. It cannot find one of two operations; of n that are alike but for
    one, that one has to take more than 2 (n - 1) / (n - 2) times as long as the others, and half of
    them being slow hides them all. Of 20 healthy operations with the usual spread of times it finds
    two for ever, so it is no reason to wake anybody: rules R03 and R07 of the alerts are.
    """
    times = {name: seconds for name, seconds in execution_times.items() if isfinite(seconds)}
    if not times:
        return []
    mean = fsum(times.values()) / len(times)
    threshold = SLOW_FACTOR * mean
    return [
        {
            "type": "slow_operation",
            "operation": name,
            "time": seconds,
            "threshold": threshold,
            "n_operations": len(times),
            "ratio": seconds / mean if mean else float("inf"),
            **_confidence(len(times), None if counts is None else counts.get(name)),
        }
        for name, seconds in times.items()
        if seconds > threshold
    ]


def _confidence(operations: int, calls: float | None) -> dict[str, str]:
    if calls is not None and calls < FEW_CALLS:
        return {
            "confidence": "low",
            "note": f"the mean is of {calls:.0f} calls only, below {FEW_CALLS} it is chance",
        }
    if operations < FEW_OPERATIONS:
        return {
            "confidence": "low",
            "note": f"compared with {operations - 1} other operations only",
        }
    return {
        "confidence": "medium",
        "note": "slower than its peers, which may be its nature: compare it with its own past",
    }


def high_usage(resource_usage: Mapping[str, float]) -> list[Bottleneck]:
    """Return memory and CPU when they are strictly above 90 and 80 percent."""
    found: list[Bottleneck] = []
    for resource, threshold in (("memory", MEMORY_PERCENT), ("cpu", CPU_PERCENT)):
        usage = resource_usage.get(resource)
        if usage is not None and usage > threshold:
            found.append({"type": f"high_{resource}", "usage": usage, "threshold": threshold})
    return found


class PerformanceAnalyzer:
    """Finds bottlenecks in what `source` observes.

    `source` is an async callable that returns `{"execution_times": {operation: mean seconds},
    "resource_usage": {"memory": percent, "cpu": percent}}`; missing keys count as nothing observed.
    It may add `"counts": {operation: calls}`, which the confidence takes into account.

    Without a source the operations that this process counts in `ExecutionMetrics` and the machine's
    memory and CPU are observed, over the last minute at least, or since the analyzer was made; see
    OwnProcess.
    """

    def __init__(self, source: Callable[[], Awaitable[Observations]] | None = None) -> None:
        if source is None:
            from perftui.analysis.own_process import OwnProcess

            source = OwnProcess()
        self._source = source

    async def analyze_bottlenecks(self) -> list[Bottleneck]:
        """Return one dictionary per bottleneck: slow operations first, then memory, then CPU."""
        observed = await self._source()
        return [
            *slow_operations(observed.get("execution_times") or {}, observed.get("counts")),
            *high_usage(observed.get("resource_usage") or {}),
        ]
