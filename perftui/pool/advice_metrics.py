"""Advice on the size of pools as Prometheus gauges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perftui.pool.config import ScalingConfig
from perftui.pool.scaling import ScalingAdvice

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class AdviceMetrics:
    """Gauges of pools: servers there are, wanted, at least and at most, and what holds them.

    perftui_pool_current_instances, perftui_pool_wanted_instances, perftui_pool_min_instances and
    perftui_pool_max_instances, each {pool}; perftui_pool_advice_held{pool,by} is 1 for what keeps
    the pool as it is. Only the adviser that leads shows them; take the maximum over processes.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        from prometheus_client import REGISTRY, Gauge

        home = registry or REGISTRY
        self._sizes = {
            name: Gauge(f"perftui_pool_{name}_instances", text, ["pool"], registry=home)
            for name, text in (
                ("current", "Servers that should take requests."),
                ("wanted", "Servers that the pool should have by the newest advice."),
                ("min", "Fewest servers that are advised."),
                ("max", "Most servers that are advised."),
            )
        }
        self._held = Gauge(
            "perftui_pool_advice_held",
            "What keeps the pool as it is although the load asks for a change.",
            ["pool", "by"],
            registry=home,
        )
        self._shown: dict[str, str] = {}

    def show(self, pool: str, advice: ScalingAdvice, config: ScalingConfig) -> None:
        """Set the gauges of a pool."""
        for name, value in (
            ("current", advice.current),
            ("wanted", advice.want),
            ("min", config.min_instances),
            ("max", config.max_instances),
        ):
            self._sizes[name].labels(pool).set(value)
        before = self._shown.get(pool, "")
        if before and before != advice.held_by:
            self._held.labels(pool, before).set(0)
        if advice.held_by:
            self._held.labels(pool, advice.held_by).set(1)
        self._shown[pool] = advice.held_by
