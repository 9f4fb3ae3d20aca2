"""The demo's pool of servers: how a worker is one of it, with the library's own agent."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from perftui.demo.private_directory import SOCKET
from perftui.pool.agent import ServerAgent
from perftui.pool.eligibility import EligibilityRules
from perftui.pool.registry import PoolRegistry

POOL = "web"
RULES = EligibilityRules(smoothing=3.0, calm_beats=3)
"""Loads are smoothed over less than by default, because somebody waits to see a server go out."""
WORKER_MEMORY = 320 * 1024 * 1024
"""Bytes a worker may use; the memory use in its heartbeat is percent of this."""
DRAIN_SECONDS = 5.0


def pool_registry(directory: Path) -> PoolRegistry:
    """Return the demo's pool in the Redis of its directory."""
    return PoolRegistry(f"unix://{quote(str(directory / SOCKET))}", POOL, rules=RULES)


def pool_agent(name: str, address: str, directory: Path) -> ServerAgent:
    """Return what keeps one worker in the pool."""
    return ServerAgent(
        pool_registry(directory),
        name,
        address,
        memory_limit=WORKER_MEMORY,
        drain_seconds=DRAIN_SECONDS,
    )
