"""Clients and connections to the Redis of a cache, by its configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from perftui.cache.config import CacheConfig

if TYPE_CHECKING:
    import redis
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncCluster
    from redis.connection import Connection

    AsyncClient: TypeAlias = AsyncRedis | AsyncCluster

POOL = 50
"""Questions of one event loop at once, each on a connection; further ones wait."""
SWEEP_TIMEOUT = 5.0
"""Seconds that an invalidation waits for one answer; nobody's request waits for it."""


def async_client(config: CacheConfig) -> AsyncClient:
    """Return a client of the running event loop that tries once and never waits for long."""
    from redis.asyncio import Redis, RedisCluster
    from redis.asyncio.retry import Retry
    from redis.asyncio.sentinel import Sentinel
    from redis.backoff import NoBackoff

    address = config.redis
    options = _options(config, config.timeout)
    # A probe and what closes connections use one beside those of the questions.
    options["max_connections"] = POOL + 10
    options["retry"] = Retry(NoBackoff(), 0)
    if address.mode == "cluster":
        from redis.asyncio.cluster import ClusterNode

        # Here a retry is what follows a slot to its new server.
        options["retry"] = Retry(NoBackoff(), 2)
        nodes = [ClusterNode(host, port) for host, port in address.nodes]
        return RedisCluster(startup_nodes=nodes, **options)
    if address.mode == "sentinel":
        sentinel = Sentinel(list(address.nodes), sentinel_kwargs=_sentinel_options(config))
        primary: AsyncRedis = sentinel.master_for(address.service, **options)
        return primary
    return Redis(**_place(config), **options)


def sync_client(config: CacheConfig, timeout: float = SWEEP_TIMEOUT) -> redis.Redis:
    """Return a blocking client of the server, of Sentinel's primary, or of a node of the cluster.

    In a cluster it is the first of the nodes that answers, else the first. It connects when it is
    used.
    """
    import redis
    from redis.sentinel import Sentinel

    address = config.redis
    options = _options(config, timeout) | {"retry": _no_retry()}
    if address.mode == "sentinel":
        sentinel = Sentinel(list(address.nodes), sentinel_kwargs=_sentinel_options(config))
        primary: redis.Redis = sentinel.master_for(address.service, **options)
        return primary
    if address.mode != "cluster":
        return redis.Redis(**_place(config), **options)
    candidates = [redis.Redis(host=host, port=port, **options) for host, port in address.nodes]
    for candidate in candidates[:-1]:
        try:
            candidate.ping()
        except (redis.RedisError, OSError):
            candidate.close()
        else:
            return candidate
    return candidates[-1]


def connection_maker(client: redis.Redis, timeout: float) -> Callable[[], Connection]:
    """Return what makes single connections like those of a client, in RESP2 and apart from it."""
    pool = client.connection_pool
    options: dict[str, Any] = dict(pool.connection_kwargs)
    options["protocol"] = 2

    def make() -> Connection:
        # Connections of a Sentinel refer weakly to the pool of the client, which is kept here.
        connection: Connection = client.connection_pool.connection_class(**options)
        # The first releases of version 5 forget it for a Unix socket.
        connection.socket_timeout = timeout
        return connection

    return make


def _options(config: CacheConfig, timeout: float) -> dict[str, Any]:
    return {
        **config.redis.client_options(),
        "protocol": 2,
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, config.timeout),
    }


def _place(config: CacheConfig) -> dict[str, Any]:
    address = config.redis
    if address.mode == "unix":
        return {"unix_socket_path": address.path}
    host, port = address.nodes[0]
    return {"host": host, "port": port}


def _sentinel_options(config: CacheConfig) -> dict[str, Any]:
    return {
        **config.redis.sentinel_options(),
        "socket_timeout": config.timeout,
        "socket_connect_timeout": config.timeout,
        "protocol": 2,
    }


def _no_retry() -> Any:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Retry(NoBackoff(), 0)
