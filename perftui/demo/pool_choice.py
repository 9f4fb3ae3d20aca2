"""Which worker gets the next request: the library's balancer over the pool in Redis.

A demo that begins without Redis, or outlives it, goes on with the workers its supervisor knows.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

from perftui.demo.shop_pool import RULES, pool_registry
from perftui.pool.balancer import LoadBalancer
from perftui.pool.config import ScalingConfig
from perftui.pool.picked_request import PickedRequest
from perftui.pool.readings import Server

POLICY = "p2c"
"""Keeps to the weights while there is room, which `p2c_ewma` gives up for the fastest server, and
`round_robin` does not know."""


class PoolChoice:
    """Picks servers for requests; safe between threads."""

    def __init__(self, directory: Path) -> None:
        self._config = ScalingConfig(balancing={"smoothing": RULES.smoothing})
        self._pool = LoadBalancer(self._config, pool_registry(directory), POLICY)
        self._known: LoadBalancer | None = None

    def start(self) -> None:
        """Begin to read the pool."""
        self._pool.start()

    def know(self, workers: Mapping[str, str]) -> None:
        """Take over the addresses of the workers there are, for the time without a pool."""
        servers = [Server(name, address) for name, address in sorted(workers.items())]
        self._known = LoadBalancer(self._config, policy=POLICY, static=servers) if servers else None

    def close(self) -> None:
        """Tell the pool what was counted last and read it no more."""
        self._pool.close()

    def request(self, avoid: Container[str] = ()) -> PickedRequest:
        """Return the block of one request, which gives the server and learns how it ended.

        Entering it raises NoAvailableServersError when there is no server to ask.
        """
        known = self._known
        balancer = known if known is not None and self._pool.status.outdated else self._pool
        return balancer.request(avoid=avoid)
