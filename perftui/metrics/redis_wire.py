"""How a report reaches Redis: one round trip, no retries, no waiting beyond half a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from perftui.metrics.redis_clock import RedisClock

if TYPE_CHECKING:
    from redis import Redis, RedisCluster
    from redis.connection import Connection

TIMEOUT = 0.5
"""Seconds for the connection and for each answer."""
NAME = "perftui-reporter"
CLUSTER_CLOCK_SECONDS = 20.0
"""Seconds between two questions for the time in a cluster, where each is one more round trip."""

Command: TypeAlias = tuple[str | bytes | int | float, ...]


class Wire:
    """A connection that is opened by the first exchange and again by the first after a failure.

    It is its own: the pool of a client that was passed in is not used, only its settings. A
    RedisCluster is used as it is, with its timeouts. Used by one thread at a time.
    """

    def __init__(self, way: SingleServer | Cluster) -> None:
        self._first = way
        self._way = way

    @property
    def address(self) -> str:
        """The server for people: host:port or the path of the socket, never a secret."""
        return self._first.address

    @property
    def place(self) -> str:
        """Where reports are kept: two wires with the same place write to the same keys."""
        return self._first.place

    def exchange(self, commands: Sequence[Command], clock: RedisClock) -> None:
        """Send the commands, read the answers and set the clock by the server's.

        Raises what the client raises: redis.RedisError, or OSError; the first refusal of a command
        after all were sent. A single server that turns out to belong to a cluster is followed into
        it.
        """
        from redis.exceptions import ResponseError

        try:
            self._way.exchange(commands, clock)
        except ResponseError as error:
            single = self._way
            if not isinstance(single, SingleServer) or not single.may_be_cluster:
                raise
            if not _moved(error):
                raise
            single.close()
            self._way = single.cluster()
            self._way.exchange(commands, clock)

    def set_clock(self, clock: RedisClock) -> None:
        """Ask for the time if this connection, or the last one, never did; raises as `exchange`."""
        self._way.set_clock(clock)

    def reason(self, error: BaseException) -> str:
        """Return in one clause why an exchange failed, without secrets."""
        return failure_reason(error, self.address, self._first.secrets)

    def close(self) -> None:
        """Close the connection; the next exchange opens it again."""
        self._way.close()

    def renewed(self) -> Wire:
        """Return a wire to the same place that shares no connection with this one."""
        return Wire(self._first.renewed())


class SingleServer:
    """One server behind one connection, made as the client would make it but for the timeouts."""

    def __init__(
        self, connection_class: type[Connection], settings: dict[str, Any], owner: Redis | None
    ) -> None:
        from redis.sentinel import SentinelConnectionPool

        self._class = connection_class
        self._settings = settings
        # Connections of a Sentinel refer weakly to the pool of the client that they came from.
        self._owner = owner
        self._connection: Connection | None = None
        pieces = dict(connection_class(**settings).repr_pieces())
        path = str(pieces.get("path", ""))
        pool = owner.connection_pool if owner is not None else None
        if isinstance(pool, SentinelConnectionPool):
            self.address = f"Sentinel's {pool.service_name}"
            self.may_be_cluster = False
        else:
            self.address = path or f"{pieces.get('host')}:{pieces.get('port')}"
            self.may_be_cluster = not path
        self.place = f"{self.address}/{pieces.get('db') or 0}"
        self.secrets = (str(settings["password"]),) if settings.get("password") else ()

    def exchange(self, commands: Sequence[Command], clock: RedisClock) -> None:
        from redis.exceptions import ResponseError

        connection = self._connected(clock)
        refused: ResponseError | None = None
        sent = time.monotonic()
        connection.send_packed_command(connection.pack_commands([*commands, ("TIME",)]))
        # All answers are read, lest those of one report be taken for those of the next.
        for _ in commands:
            try:
                connection.read_response()
            except ResponseError as error:
                refused = refused or error
        answer = connection.read_response()
        clock.observe(sent, _seconds(answer), time.monotonic())
        if refused is not None:
            raise refused

    def set_clock(self, clock: RedisClock) -> None:
        self._connected(clock)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def renewed(self) -> SingleServer:
        return SingleServer(self._class, self._settings, self._owner)

    def cluster(self) -> Cluster:
        """Return the cluster this server belongs to; raises redis.RedisError."""
        from redis import RedisCluster
        from redis.backoff import NoBackoff
        from redis.connection import SSLConnection
        from redis.retry import Retry

        settings = {
            key: value
            for key, value in self._settings.items()
            if key in ("username", "password", "credential_provider") or key.startswith("ssl_")
        }
        return Cluster(
            RedisCluster(
                host=self._settings.get("host", "localhost"),
                port=self._settings.get("port", 6379),
                ssl=issubclass(self._class, SSLConnection),
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=Retry(NoBackoff(), 1),
                protocol=2,
                **settings,
            )
        )

    def _connected(self, clock: RedisClock) -> Connection:
        if self._connection is None:
            connection = self._class(**self._settings)
            # The first releases of version 5 forget it for a Unix socket.
            connection.socket_timeout = TIMEOUT
            connection.connect()
            self._connection = connection
            # This may be another server than before, with a clock of its own.
            sent = time.monotonic()
            connection.send_command("TIME")
            clock.observe(sent, _seconds(connection.read_response()), time.monotonic())
        return self._connection


class Cluster:
    """A Redis Cluster behind a client that knows where each key lives."""

    may_be_cluster = False
    secrets: tuple[str, ...] = ()

    def __init__(self, client: RedisCluster) -> None:
        self._client = client
        self._asked = -CLUSTER_CLOCK_SECONDS
        nodes = client.get_nodes()
        self.address = f"{nodes[0].host}:{nodes[0].port}" if nodes else "the cluster"
        self.place = f"cluster of {self.address}"

    def exchange(self, commands: Sequence[Command], clock: RedisClock) -> None:
        self.set_clock(clock)
        pipeline = self._client.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        pipeline.execute()

    def set_clock(self, clock: RedisClock) -> None:
        now = time.monotonic()
        if clock.known and now - self._asked < CLUSTER_CLOCK_SECONDS:
            return
        node = self._client.get_primaries()[0]
        sent = time.monotonic()
        answer = self._client.execute_command("TIME", target_nodes=node)
        clock.observe(sent, _seconds(answer), time.monotonic())
        self._asked = now

    def close(self) -> None:
        # The client may be the service's own, and it mends its connections itself.
        self._asked = -CLUSTER_CLOCK_SECONDS

    def renewed(self) -> Cluster:
        return Cluster(self._client)


def wire_to(redis: str | Redis | RedisCluster) -> Wire:
    """Return the wire to a URL (redis://, rediss://, unix://) or to where a client is connected.

    Raises ValueError for a URL that is not valid, TypeError for what is neither; connects to
    nothing.
    """
    # Host names are encoded with it. Loaded by the thread, it could be half loaded in a fork.
    import encodings.idna  # noqa: F401

    import redis as library

    if isinstance(redis, str):
        return Wire(_by_url(redis))
    if isinstance(redis, library.RedisCluster):
        return Wire(Cluster(redis))
    if isinstance(redis, library.Redis):
        pool = redis.connection_pool
        settings = _own_settings(pool.connection_kwargs)
        return Wire(SingleServer(pool.connection_class, settings, redis))
    if type(redis).__module__.startswith("redis.asyncio"):
        raise TypeError(
            "redis is an asyncio client; the reporter has a thread of its own: "
            "pass the URL, or a redis.Redis"
        )
    raise TypeError(
        f"redis is a {type(redis).__name__}; pass a URL (redis://, rediss://, unix://), "
        "a redis.Redis or a redis.RedisCluster"
    )


def _by_url(url: str) -> SingleServer:
    from redis.connection import Connection, parse_url

    try:
        settings = parse_url(url)
    except ValueError:
        # The library quotes the offending text, which may be half a password.
        raise ValueError(
            "the Redis URL is not valid: redis://USER:PASSWORD@HOST:PORT/DB, rediss://… or "
            "unix:///path/to/redis.sock; write # / ? @ in a password as %23 %2F %3F %40"
        ) from None
    connection_class = settings.pop("connection_class", Connection)
    try:
        return SingleServer(connection_class, _own_settings(settings), None)
    except TypeError:
        # An option's name may be the tail of a password that holds an unescaped question mark.
        raise ValueError("the Redis URL has an unknown option after the ?") from None


_NOT_TAKEN = frozenset(
    {
        "event_dispatcher",
        "health_check_interval",
        "max_connections",
        "parser_class",
        "retry_on_error",
        "timeout",
    }
)


def _own_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a connection's settings with this program's timeouts and no retries.

    What belongs to the client's pool is left out. RESP2 is what every server and proxy knows.
    """
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    taken = {
        name: value
        for name, value in settings.items()
        if name not in _NOT_TAKEN and not name.startswith(("maint", "orig_", "oss_", "himport"))
    }
    own_connect = taken.pop("redis_connect_func", None)

    def introduce(connection: Connection) -> None:
        _introduce(connection, own_connect)

    return taken | {
        "client_name": None,
        "decode_responses": False,
        "protocol": 2,
        "redis_connect_func": introduce,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "socket_connect_timeout": TIMEOUT,
        "socket_timeout": TIMEOUT,
    }


def _introduce(connection: Connection, log_in: Any) -> None:
    """Log in, then set the client's name, which a user without CLIENT may be refused."""
    from redis import ResponseError

    if log_in is None:
        connection.on_connect()
    else:
        log_in(connection)
    try:
        connection.send_command("CLIENT", "SETNAME", NAME)
        connection.read_response()
    except ResponseError:
        return


def failure_reason(error: BaseException, address: str, secrets: tuple[str, ...]) -> str:
    """Return why Redis could not be used, in one clause that names it."""
    from redis import exceptions

    place = f"Redis at {address}"
    if not isinstance(error, exceptions.RedisError | OSError):
        return f"{type(error).__name__}: {_plain(error, secrets)}"
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return f"{place} did not answer within {TIMEOUT:g} s"
    if isinstance(error, exceptions.NoPermissionError):
        return f"{place} does not allow it: {_plain(error, secrets)}"
    if isinstance(error, exceptions.AuthenticationError):
        return f"{place} refused to log in: {_plain(error, secrets)}"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return f"{place}: {cause.strerror}"
    return f"{place}: {_plain(error, secrets)}"


def _moved(error: BaseException) -> bool:
    """Return whether a key belongs to another node of a cluster.

    Clients before 6 know a class for it in cluster mode only.
    """
    from redis.exceptions import MovedError

    return isinstance(error, MovedError) or str(error).startswith("MOVED ")


def _plain(error: BaseException, secrets: tuple[str, ...]) -> str:
    text = f"{error}" or type(error).__name__
    for secret in secrets:
        text = text.replace(secret, "***")
    return " ".join(text.split())[:200]


def _seconds(answer: Sequence[bytes]) -> float:
    """Return TIME's answer, seconds and microseconds, as seconds."""
    return int(answer[0]) + int(answer[1]) / 1e6
