"""The tier that all processes share; asks once, waits briefly, and leaves a dead server alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from perftui.cache.breaker import Breaker
from perftui.cache.config import CacheConfig
from perftui.cache.connections import POOL, async_client

if TYPE_CHECKING:
    from perftui.cache.connections import AsyncClient

MOST_OWED = 10_000
"""Keys whose removal is made up for; of more than that the oldest are given up, and it is said."""
BLOCKED = 0.1
"""Seconds by which a timeout comes too late when the event loop was held up, not Redis."""
GRACE = 0.03
"""Seconds that a whole question may take beyond the timeout of each of its steps."""

LARGE = 1_000_000
"""Bytes in a command from which it takes long for its size, whatever Redis does."""

_logger = logging.getLogger("perftui")


class RedisUnavailableError(Exception):
    """Redis did not answer in time, or is left alone because it did not."""


class RedisTier:
    """Commands to Redis from any event loop, each with connections of its own.

    Every method raises RedisUnavailableError after `config.timeout` at most, at once while the
    breaker is open, and redis.ResponseError when the server refuses.

    A key that could not be written or deleted is owed: it is deleted when Redis is back, and is
    missing until then, since what Redis has of it may be what the caller wanted to be gone.
    """

    def __init__(self, config: CacheConfig, on_read_only: Callable[[], None]) -> None:
        # Its import takes longer than any question may.
        import redis.asyncio

        self.breaker = Breaker(
            config.breaker_failures, config.breaker_first, config.breaker_longest
        )
        self._config = config
        self._clustered = config.redis.mode == "cluster"
        self._on_read_only = on_read_only
        self._failures = (redis.ConnectionError, redis.TimeoutError, OSError, TimeoutError)
        self.refusal = redis.ResponseError
        self._clients: WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[AsyncClient, asyncio.Semaphore]
        ] = WeakKeyDictionary()
        self._closers: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncIterator[None]] = (
            WeakKeyDictionary()
        )
        self._lock = threading.Lock()
        self._owed: dict[bytes, None] = {}
        self._forked: list[object] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._payer: asyncio.Task[None] | None = None
        self._succeeded = 0
        self.last_error = ""

    @property
    def owed(self) -> int:
        """How many keys have still to be deleted."""
        return len(self._owed)

    def owes(self, key: bytes) -> bool:
        """Tell whether a key has still to be deleted."""
        return key in self._owed

    async def get(self, key: bytes) -> bytes | None:
        """Return the bytes of a string key, None when there is none."""
        if self._owed:
            self._pay_soon()
            if key in self._owed:
                return None
        reply: bytes | None = await self.ask("GET", key)
        return reply

    async def remaining_ms(self, key: bytes) -> int | None:
        """Return the milliseconds a key has left, None for no end, 0 when it is gone."""
        left = int(await self.ask("PTTL", key))
        return None if left == -1 else max(0, left)

    async def set(self, key: bytes, data: bytes, ttl_ms: int | None) -> None:
        """Write a key with its end of life; what cannot be written is not left as it was."""
        end = () if ttl_ms is None else ("PX", ttl_ms)
        try:
            await self.ask("SET", key, data, *end)
        except RedisUnavailableError:
            self._owe(key)
            raise
        except self.refusal:
            # Out of memory, say. Deleting is allowed then, and a miss is better than the old value.
            await self._delete_or_owe(key)
            raise
        self._owed.pop(key, None)

    async def delete(self, key: bytes) -> bool:
        """Delete a key; return whether it was there."""
        try:
            deleted = bool(await self.ask("UNLINK", key))
        except RedisUnavailableError:
            self._owe(key)
            raise
        self._owed.pop(key, None)
        return deleted

    async def _delete_or_owe(self, key: bytes) -> None:
        try:
            await self.ask("UNLINK", key)
        except RedisUnavailableError:
            self._owe(key)
        except self.refusal:
            # A replica or a user without rights: this process never wrote the key either.
            return

    def _owe(self, key: bytes) -> None:
        self._owed[key] = None
        self._pay_soon()
        if len(self._owed) > MOST_OWED:
            oldest = next(iter(self._owed), None)
            if oldest is not None:
                self._owed.pop(oldest, None)
            _logger.warning(
                "more than %d keys could not be invalidated while Redis was away; the oldest may "
                "keep its value until it expires",
                MOST_OWED,
            )

    def back(self) -> None:
        """Redis is known to answer again, which another thread found out: do what is owed."""
        self.breaker.success()
        if not self._owed:
            return
        with self._lock:
            loops = tuple(self._clients)
        for loop in loops:
            # A loop may end at any moment; then the next reader begins.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._pay_soon)
                return

    def _pay_soon(self) -> None:
        payer = self._payer
        # An event loop may have ended in the middle of it.
        idle = payer is None or payer.done() or payer.get_loop().is_closed()
        if self._owed and self.breaker.closed and idle:
            self._payer = self._keep(self._pay())

    async def _pay(self) -> None:
        try:
            for key in tuple(self._owed):
                if key not in self._owed:
                    # It was written meanwhile, with a value that is wanted.
                    continue
                try:
                    await self.ask("UNLINK", key)
                except self.refusal as error:
                    _logger.warning("a key that should be gone cannot be deleted: %s", error)
                self._owed.pop(key, None)
        except RedisUnavailableError:
            # The next reader begins again.
            return

    async def ask(self, *command: bytes | str | int) -> Any:
        """Return the reply to one command."""
        breaker = self.breaker
        if not breaker.closed:
            if breaker.probe_due():
                self._keep(self._probe())
            raise RedisUnavailableError(self.last_error)
        succeeded = self._succeeded
        began: float | None = None
        limit = self._config.timeout + GRACE
        client, room = self._client()
        try:
            async with asyncio.timeout(limit), room:
                began = time.monotonic()
                if self._clustered:
                    # Several first commands at once, of which each finds out the nodes by itself,
                    # close connections under each other's hands.
                    await client.initialize()
                reply = await client.execute_command(*command)
        except self._failures as error:
            self.last_error = str(error) or type(error).__name__
            if began is None:
                # All connections were at work: no news about Redis.
                self.last_error = f"no connection was free within {limit:g} s"
            elif time.monotonic() - began < limit + BLOCKED or not _is_timeout(error):
                # Nobody listens, or nothing came back for anybody while this one waited: the next
                # caller would wait as long for nothing.
                if "previous master" in str(error):
                    self._on_read_only()
                silent = _is_timeout(error) and succeeded == self._succeeded
                silent = silent and not _is_large(command)
                breaker.failure(certain=silent or _nobody_listens(error))
            raise RedisUnavailableError(self.last_error) from error
        except self.refusal as error:
            self._answered()
            if str(error).startswith("READONLY") or "read only replica" in str(error):
                self._on_read_only()
            raise
        self._answered()
        return reply

    def _answered(self) -> None:
        self._succeeded += 1
        self.breaker.success()

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let something go on beside the caller."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _probe(self) -> None:
        """Find out whether Redis answers, while callers go on without it."""
        answered = False
        try:
            client, _ = self._client()
            async with asyncio.timeout(self._config.timeout + GRACE):
                await client.execute_command("PING")
            answered = True
        except self._failures as error:
            self.last_error = str(error) or type(error).__name__
        except self.refusal:
            # It answers, if only to say that this user may not ask.
            answered = True
        finally:
            # Also when the event loop ends in the middle: another one may try then.
            if answered:
                self._answered()
            else:
                self.breaker.probe_failed()

    def _client(self) -> tuple[AsyncClient, asyncio.Semaphore]:
        """Return the client of this event loop, and how many may use it at once."""
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            with self._lock:
                for ended in [each for each in self._clients if each.is_closed()]:
                    del self._clients[ended]
                client = async_client(self._config)
                found = self._clients[loop] = (client, asyncio.Semaphore(POOL))
                self._closers[loop] = _close_with_loop(client)
        return found

    async def close(self) -> None:
        """Close the connections of all event loops that still run."""
        own = asyncio.get_running_loop()
        with self._lock:
            clients = dict(self._clients)
            self._clients.clear()
        for task in tuple(self._tasks):
            if task.get_loop() is own:
                task.cancel()
        for loop, (client, _) in clients.items():
            if loop is own:
                with contextlib.suppress(*self._failures):
                    await client.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(client.aclose(), loop)

    def after_fork(self) -> None:
        """Begin with new connections; those of the parent are neither used nor closed."""
        self._lock = threading.Lock()
        self._forked += [self._clients, self._closers]
        self._clients = WeakKeyDictionary()
        self._closers = WeakKeyDictionary()
        self._tasks = set()
        self._payer = None
        self._owed = {}
        self.breaker = Breaker(
            self._config.breaker_failures,
            self._config.breaker_first,
            self._config.breaker_longest,
        )


def _close_with_loop(client: AsyncClient) -> AsyncIterator[None]:
    """Have a client closed when its event loop ends, as that of asyncio.run does after one call.

    Such a loop closes what is left of asynchronous generators that were begun in it.
    """

    async def closer() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await client.aclose()

    begun = closer()
    with contextlib.suppress(StopIteration):
        begun.__anext__().__await__().send(None)
    return begun


def _is_large(command: tuple[bytes | str | int, ...]) -> bool:
    return any(isinstance(part, bytes) and len(part) > LARGE for part in command)


def _is_timeout(error: BaseException) -> bool:
    import redis

    # During the handshake redis-py makes a ConnectionError of it.
    kinds = (TimeoutError, redis.TimeoutError)
    return any(isinstance(each, kinds) for each in _chain(error))


def _nobody_listens(error: BaseException) -> bool:
    kinds = (ConnectionRefusedError, FileNotFoundError)
    return any(isinstance(each, kinds) for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was made of."""
    for _ in range(4):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
