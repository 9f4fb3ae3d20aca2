"""perftui: why is this Python service slow now?

The names a service imports are resolved on first use, so that importing one of them loads nothing
that belongs to another, and never the screen.
"""

from __future__ import annotations

from importlib import import_module

# Known to type checkers by its name; typing itself is half of what a command does before it can
# be interrupted.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from perftui.analysis.bottlenecks import PerformanceAnalyzer as PerformanceAnalyzer
    from perftui.cache.cached import cached as cached
    from perftui.cache.config import CacheConfig as CacheConfig
    from perftui.cache.manager import CacheManager as CacheManager
    from perftui.cache.miss import MISS as MISS
    from perftui.metrics.execution import ExecutionMetrics as ExecutionMetrics
    from perftui.metrics.reporter import Reporter as Reporter
    from perftui.metrics.resources import ResourceMetrics as ResourceMetrics
    from perftui.pool.agent import ServerAgent as ServerAgent
    from perftui.pool.balancer import LoadBalancer as LoadBalancer
    from perftui.pool.config import ScalingConfig as ScalingConfig
    from perftui.pool.registry import PoolRegistry as PoolRegistry
    from perftui.pool.selection import NoAvailableServersError as NoAvailableServersError
    from perftui.profiling.code_profiler import CodeProfiler as CodeProfiler
    from perftui.profiling.permission import allow_profiling as allow_profiling
    from perftui.queries.optimizer import QueryOptimizer as QueryOptimizer

_HOMES = {
    "CacheConfig": "perftui.cache.config",
    "CacheManager": "perftui.cache.manager",
    "CodeProfiler": "perftui.profiling.code_profiler",
    "ExecutionMetrics": "perftui.metrics.execution",
    "LoadBalancer": "perftui.pool.balancer",
    "MISS": "perftui.cache.miss",
    "NoAvailableServersError": "perftui.pool.selection",
    "PerformanceAnalyzer": "perftui.analysis.bottlenecks",
    "PoolRegistry": "perftui.pool.registry",
    "QueryOptimizer": "perftui.queries.optimizer",
    "Reporter": "perftui.metrics.reporter",
    "ResourceMetrics": "perftui.metrics.resources",
    "ScalingConfig": "perftui.pool.config",
    "ServerAgent": "perftui.pool.agent",
    "allow_profiling": "perftui.profiling.permission",
    "cached": "perftui.cache.cached",
}

__all__ = [
    "MISS",
    "CacheConfig",
    "CacheManager",
    "CodeProfiler",
    "ExecutionMetrics",
    "LoadBalancer",
    "NoAvailableServersError",
    "PerformanceAnalyzer",
    "PoolRegistry",
    "QueryOptimizer",
    "Reporter",
    "ResourceMetrics",
    "ScalingConfig",
    "ServerAgent",
    "allow_profiling",
    "cached",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'perftui' has no attribute {name!r}")
    return vars(import_module(home))[name]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
