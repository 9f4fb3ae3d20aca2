"""Questions to the Redis of a pool: asked once, waited for briefly, and not at all for a while
after it was silent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from perftui.cache.breaker import Breaker
from perftui.pool.clients import client_maker
from perftui.pool.errors import PoolRefusedError, PoolUnavailableError

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    from perftui.pool.clients import AsyncClient, ClientMaker
    from perftui.pool.scripts import Script

CONNECTIONS = 50
"""Questions of one event loop at once; further ones wait."""
GRACE = 0.03
"""Seconds that a whole question may take beyond the timeout of each of its steps."""
BLOCKED = 0.1
"""Seconds by which a timeout comes too late when the event loop was held up, not Redis."""
LONGEST_PAUSE = 2.0
"""Seconds for which Redis is left alone at most: servers are out after 3 s without a heartbeat."""

_links: WeakSet[PoolLink] = WeakSet()


class PoolLink:
    """One Redis as the event loops of this process reach it.

    Questions raise PoolUnavailableError after `timeout` at most, at once while the breaker is open,
    and PoolRefusedError when the server refuses.
    """

    def __init__(
        self,
        place: str | redis.asyncio.Redis | redis.asyncio.RedisCluster | redis.Redis,
        timeout: float,
    ) -> None:
        if not 0 < timeout <= 60:
            raise ValueError(f"timeout is {timeout!r}, it must be seconds, above 0, at most 60")
        self._make: ClientMaker = client_maker(place, timeout, CONNECTIONS + 10)
        self._timeout = timeout
        self._inherited: list[object] = []
        self._begin()
        _links.add(self)

    def _begin(self) -> None:
        self.breaker = Breaker(failures=3, first=0.5, longest=LONGEST_PAUSE)
        self._lock = threading.Lock()
        self._clients: WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[AsyncClient, asyncio.Semaphore]
        ] = WeakKeyDictionary()
        self._probes: set[asyncio.Task[None]] = set()
        self._answers = 0
        self._error = ""

    def after_fork(self) -> None:
        """Begin with new connections; those of the parent are neither used nor closed here."""
        self._inherited += [self._clients, self._probes]
        self._begin()

    async def run(
        self, script: Script, keys: Sequence[str], words: Sequence[str | bytes | int | float]
    ) -> Any:
        """Return what a script returns; it is sent in full when the server has forgotten it."""
        from redis.exceptions import NoScriptError

        async def ask(client: Any) -> Any:
            try:
                return await client.execute_command("EVALSHA", script.sha, len(keys), *keys, *words)
            except NoScriptError:
                return await client.execute_command("EVAL", script.text, len(keys), *keys, *words)

        return await self.ask(ask)

    async def ask(
        self, question: Callable[[Any], Awaitable[Any]], seconds: float | None = None
    ) -> Any:
        """Return what a question gets from the client of this event loop.

        `seconds` for a question of several answers, each of which has the timeout.
        """
        from redis.exceptions import ConnectionError as LostError
        from redis.exceptions import NoPermissionError, RedisError, ResponseError

        breaker = self.breaker
        if not breaker.closed:
            if breaker.probe_due():
                self._probe_soon()
            raise PoolUnavailableError(self._error)
        answers = self._answers
        limit = (self._timeout if seconds is None else seconds) + GRACE
        began: float | None = None
        try:
            client, room = self._client()
            async with asyncio.timeout(limit), room:
                began = time.monotonic()
                reply = await question(client)
        except (NoPermissionError, ResponseError) as error:
            self._answered()
            raise PoolRefusedError(str(error)) from error
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, LostError) and _refused(error):
                self._answered()
                raise PoolRefusedError(str(error)) from error
            self._error = str(error) or f"Redis did not answer within {limit:g} s"
            if began is None:
                self._error = f"no connection to Redis was free within {limit:g} s"
            elif time.monotonic() - began < limit + BLOCKED or not _is_timeout(error):
                silent = _is_timeout(error) and answers == self._answers
                breaker.failure(certain=silent or _nobody_listens(error))
            raise PoolUnavailableError(self._error) from error
        self._answered()
        return reply

    async def aclose(self, others: bool = True) -> None:
        """Close the connections of this event loop, and let others that run close theirs."""
        own = asyncio.get_running_loop()
        with self._lock:
            clients = {
                loop: client for loop, client in self._clients.items() if others or loop is own
            }
            for loop in clients:
                del self._clients[loop]
        for task in tuple(self._probes):
            if task.get_loop() is own:
                task.cancel()
        for loop, (client, _) in clients.items():
            if loop is own:
                with contextlib.suppress(OSError, TimeoutError):
                    await client.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(client.aclose(), loop)

    def _answered(self) -> None:
        self._answers += 1
        self.breaker.success()

    def _client(self) -> tuple[AsyncClient, asyncio.Semaphore]:
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            with self._lock:
                found = self._clients[loop] = (self._make(), asyncio.Semaphore(CONNECTIONS))
        return found

    def _probe_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._probe())
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)

    async def _probe(self) -> None:
        from redis.exceptions import RedisError, ResponseError

        answered = False
        try:
            client, _ = self._client()
            async with asyncio.timeout(self._timeout + GRACE):
                await client.execute_command("PING")
            answered = True
        except ResponseError:
            # It answers, if only to say that this user may not ask.
            answered = True
        except (RedisError, OSError, TimeoutError) as error:
            answered = _refused(error)
            self._error = str(error) or type(error).__name__
        finally:
            # Also when the event loop ends in the middle: another one may try then.
            if answered:
                self._answered()
            else:
                self.breaker.probe_failed()


def _refused(error: BaseException) -> bool:
    """Return whether the server answered a new connection, but did not let it in."""
    from redis.exceptions import AuthenticationError, ResponseError

    return any(isinstance(each, AuthenticationError | ResponseError) for each in _chain(error))


def _is_timeout(error: BaseException) -> bool:
    from redis.exceptions import TimeoutError as RedisTimeoutError

    # During the handshake redis-py makes a ConnectionError of it.
    return any(isinstance(each, TimeoutError | RedisTimeoutError) for each in _chain(error))


def _nobody_listens(error: BaseException) -> bool:
    return any(
        isinstance(each, ConnectionRefusedError | FileNotFoundError) for each in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was made of."""
    for _ in range(4):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _after_fork_in_child() -> None:
    for link in list(_links):
        link.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
