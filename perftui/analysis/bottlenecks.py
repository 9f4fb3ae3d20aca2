"""The three literal bottleneck rules: slow operation, high memory, high CPU."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from math import fsum
from typing import Any

SLOW_FACTOR = 2.0
"""An operation is slow when its mean exceeds this multiple of the mean of all operations' means."""
MEMORY_PERCENT = 90.0
CPU_PERCENT = 80.0

Bottleneck = dict[str, Any]
Observations = Mapping[str, Mapping[str, float]]


def slow_operations(execution_times: Mapping[str, float]) -> list[Bottleneck]:
    """Return the operations whose mean time exceeds twice the mean of all operations' means.

    Takes and gives seconds. The rule compares with peers, so it cannot fire for fewer than three
    operations and stays quiet once half of them are slow.
    """
    if not execution_times:
        return []
    threshold = SLOW_FACTOR * fsum(execution_times.values()) / len(execution_times)
    return [
        {"type": "slow_operation", "operation": name, "time": seconds, "threshold": threshold}
        for name, seconds in execution_times.items()
        if seconds > threshold
    ]


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
    """

    def __init__(self, source: Callable[[], Awaitable[Observations]]) -> None:
        self._source = source

    async def analyze_bottlenecks(self) -> list[Bottleneck]:
        """Return one dictionary per bottleneck: slow operations first, then memory, then CPU."""
        observed = await self._source()
        return [
            *slow_operations(observed.get("execution_times", {})),
            *high_usage(observed.get("resource_usage", {})),
        ]
