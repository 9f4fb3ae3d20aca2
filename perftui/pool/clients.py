"""Clients for the Redis of a pool, made from a URL or like a client that a service has already."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import redis
    import redis.asyncio
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncCluster

    AsyncClient: TypeAlias = AsyncRedis | AsyncCluster
    ClientMaker: TypeAlias = Callable[[], AsyncClient]

_LENT = (
    "username",
    "password",
    "credential_provider",
    "client_name",
    "ssl_keyfile",
    "ssl_certfile",
    "ssl_cert_reqs",
    "ssl_ca_certs",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_check_hostname",
    "ssl_password",
    "ssl_min_version",
    "ssl_ciphers",
)


def client_maker(
    place: str | redis.asyncio.Redis | redis.asyncio.RedisCluster | redis.Redis,
    timeout: float,
    connections: int,
) -> ClientMaker:
    """Return what makes clients of the running event loop; nothing is connected here.

    They try once, wait `timeout` seconds at most for each answer, and decode nothing. Raises
    ValueError for a URL that is not valid, without a part of it that may be secret, and TypeError
    for a client of another kind.
    """
    if isinstance(place, str):
        return _from_url(place, timeout)
    from redis import Redis, RedisCluster
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncCluster

    if isinstance(place, RedisCluster | AsyncCluster):
        return _like_cluster(place, timeout, connections)
    if isinstance(place, Redis | AsyncRedis):
        return _like_single(place, timeout, connections)
    raise TypeError(
        f"redis is a {type(place).__name__}, it must be a URL or a client of redis-py, "
        "redis.asyncio.Redis for example"
    )


def _from_url(url: str, timeout: float) -> ClientMaker:
    from perftui.cache.config import CacheConfig
    from perftui.cache.connections import async_client
    from perftui.cache.redis_address import RedisAddress

    RedisAddress.parse(url)
    config = CacheConfig(url=url, timeout=timeout)
    return lambda: async_client(config)


def _limits(timeout: float, connections: int) -> dict[str, Any]:
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return {
        "protocol": 2,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "max_connections": connections,
        "retry": Retry(NoBackoff(), 0),
    }


def _like_single(
    client: redis.Redis | redis.asyncio.Redis, timeout: float, connections: int
) -> ClientMaker:
    from redis.asyncio import Redis

    pool: Any = client.connection_pool
    kwargs: dict[str, Any] = pool.connection_kwargs
    options = {name: kwargs[name] for name in _LENT if kwargs.get(name) is not None}
    options["db"] = kwargs.get("db") or 0
    if _is_tls(pool.connection_class):
        options["ssl"] = True
    manager = vars(pool).get("sentinel_manager")
    if manager is not None:
        return _like_sentinel(pool.service_name, manager, options, timeout, connections)
    if "path" in kwargs:
        options["unix_socket_path"] = kwargs["path"]
    else:
        options["host"] = kwargs.get("host") or "localhost"
        options["port"] = int(kwargs.get("port") or 6379)
    return lambda: Redis(**options, **_limits(timeout, connections))


def _like_sentinel(
    service: str, manager: Any, options: dict[str, Any], timeout: float, connections: int
) -> ClientMaker:
    from redis.asyncio.sentinel import Sentinel

    places = [
        (kwargs.get("host", "localhost"), int(kwargs.get("port", 26379)))
        for kwargs in (each.connection_pool.connection_kwargs for each in manager.sentinels)
    ]
    own = dict(manager.sentinel_kwargs)
    own |= {"socket_timeout": timeout, "socket_connect_timeout": timeout}

    def make() -> AsyncRedis:
        sentinel = Sentinel(places, sentinel_kwargs=own)
        primary: AsyncRedis = sentinel.master_for(
            service, **options, **_limits(timeout, connections)
        )
        return primary

    return make


def _like_cluster(
    client: redis.RedisCluster | redis.asyncio.RedisCluster, timeout: float, connections: int
) -> ClientMaker:
    from redis.asyncio.cluster import ClusterNode, RedisCluster
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    manager: Any = client.nodes_manager
    kwargs: dict[str, Any] = manager.connection_kwargs
    options = {name: kwargs[name] for name in _LENT if kwargs.get(name) is not None}
    if _is_tls(kwargs.get("connection_class")) or kwargs.get("ssl"):
        options["ssl"] = True
    places = [(str(node.host), int(node.port)) for node in manager.startup_nodes.values()]
    # Here a retry is what follows a slot to its new server.
    options |= _limits(timeout, connections) | {"retry": Retry(NoBackoff(), 2)}

    def make() -> AsyncCluster:
        nodes = [ClusterNode(host, port) for host, port in places]
        return RedisCluster(startup_nodes=nodes, **options)

    return make


def _is_tls(connection_class: Any) -> bool:
    from redis.asyncio.connection import SSLConnection as AsyncSSLConnection
    from redis.connection import SSLConnection

    return isinstance(connection_class, type) and issubclass(
        connection_class, SSLConnection | AsyncSSLConnection
    )
