"""What the load of a pool asks for: each metric against its threshold, and how many servers."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import NamedTuple

from perftui.pool.config import ScalingConfig

SATURATED = 98.0
"""Percent of processor use from which nobody can tell how much more would be used."""

ROUNDING = 1e-9
"""What a product of a count and a decimal factor may be off the whole number it stands for."""


class ServerReading(NamedTuple):
    """The load of one server that should take requests: percent, percent, requests per second.

    None is what the server did not say, or said too long ago.
    """

    server: str
    cpu: float | None
    memory: float | None
    requests: float | None


class Need(NamedTuple):
    """What one metric says; `mean` counts servers that say nothing of it as idle."""

    metric: str
    mean: float
    known: int
    threshold: float
    unit: str

    @property
    def ratio(self) -> float:
        """The share of the threshold that is used."""
        return self.mean / self.threshold

    def words(self, relation: str, share: float = 1.0) -> str:
        """Return it as `cpu 91 % > 80 %`, the threshold times a share."""
        limit = self.threshold * share
        mean, bound = f"{self.mean:.0f}", f"{limit:.0f}"
        if mean == bound or (self.mean < 10 and self.mean > 0):
            mean, bound = f"{self.mean:.3g}", f"{limit:.3g}"
        if mean == bound:
            mean, bound = f"{self.mean:.6g}", f"{limit:.6g}"
        return f"{self.metric} {mean}{self.unit} {relation} {bound}{self.unit}"


def needs_of(servers: Sequence[ServerReading], config: ScalingConfig) -> tuple[Need, ...]:
    """Return what cpu, memory and requests say of these servers, of which there is one or more."""
    return (
        _need("cpu", [s.cpu for s in servers], config.cpu_threshold, " %"),
        _need("memory", [s.memory for s in servers], config.memory_threshold, " %"),
        _need("requests", [s.requests for s in servers], config.request_threshold, "/s"),
    )


def wanted_by(current: int, need: Need, config: ScalingConfig) -> int:
    """Return the servers with which a metric is at its threshold; `ceil(n * value / target)`.

    Processors that are used up hide what they would do besides: then one whole step more.
    """
    wanted = whole_up(current * need.ratio)
    if need.metric == "cpu" and need.mean >= SATURATED:
        return max(wanted, whole_up(current * config.scale_up_factor))
    return wanted


def enough_for(current: int, need: Need, safety: float) -> int:
    """Return the fewest servers with which a metric is below a share of its threshold."""
    return floor(current * need.ratio / safety + ROUNDING) + 1


def unknown_words(current: int, needs: Sequence[Need]) -> str:
    """Return which metrics are not known of how many servers, empty when all are known."""
    missing = [f"{need.metric} of {current - need.known}" for need in needs if need.known < current]
    return f"{', '.join(missing)} of {current} servers is not known" if missing else ""


def whole_up(value: float) -> int:
    """Return the next whole number, where a rounding error does not count as more."""
    return ceil(value - ROUNDING)


def _need(metric: str, values: Sequence[float | None], threshold: float, unit: str) -> Need:
    known = [value for value in values if value is not None]
    return Need(metric, sum(known) / len(values), len(known), threshold, unit)
