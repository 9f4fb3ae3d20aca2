"""The cache for code that does not await: threads, WSGI, scripts."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar, cast

from perftui.cache.invalidation import InvalidationResult
from perftui.cache.lifetimes import lifetime_ms
from perftui.cache.miss import MISS, UNKNOWN, Miss

if TYPE_CHECKING:
    from types import TracebackType

    from perftui.cache.coherence import Coherence
    from perftui.cache.loading import Loading
    from perftui.cache.manager import CacheManager
    from perftui.cache.tiers import Tiers
    from perftui.metrics.cache_reading import CacheReading

T = TypeVar("T")


class SyncCache:
    """What a CacheManager does, for any thread; made by `CacheManager.sync`.

    What memory has is answered on the caller's own thread. Everything else is done by one event
    loop on a daemon thread, which begins with the first need and again in a forked process. From a
    thread that runs an event loop it raises RuntimeError, since it would hold that loop up: await
    the manager's own method there.
    """

    def __init__(self, manager: CacheManager, tiers: Tiers, loading: Loading) -> None:
        self._manager = manager
        self._recall = tiers.recall
        self._fetch = tiers.fetch
        self._load = loading.load
        self._name = manager.name
        self._prefix = manager.config.prefix
        self._default_ttl = manager.config.default_ttl
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def manager(self) -> CacheManager:
        """The cache to await."""
        return self._manager

    @property
    def coherence(self) -> Coherence:
        """How the memory tier keeps up with Redis at the moment."""
        return self._manager.coherence

    def reading(self) -> CacheReading:
        """Return what a Reporter publishes: `Reporter(..., caches=manager.sync)`."""
        return self._manager.reading()

    def get_cached(self, key: str | bytes) -> Any | Miss:
        """Return the value, MISS when there is none; never raises for Redis' sake."""
        try:
            # The short way of almost all keys.
            name = self._prefix + key.encode()  # type: ignore[union-attr]
        except (AttributeError, UnicodeEncodeError):
            name = self._name(key)
        found = self._recall(name)
        return self._do(self._fetch(name)) if found is UNKNOWN else found

    def set_cached(self, key: str | bytes, value: object, ttl: float | None = None) -> bool:
        """Write a value to both tiers; see CacheManager.set_cached."""
        return self._do(self._manager.set_cached(key, value, ttl))

    def delete(self, key: str | bytes) -> bool:
        """Remove one key from both tiers of every process."""
        return self._do(self._manager.delete(key))

    def invalidate(self, pattern: str | bytes, *, by: str = "") -> InvalidationResult:
        """Remove all keys that match; see CacheManager.invalidate."""
        return self._do(self._manager.invalidate(pattern, by=by))

    def get_or_load(self, key: str | bytes, loader: Callable[[], T], ttl: float | None = None) -> T:
        """Return the value, from `loader` when neither tier has it.

        The loader runs on the thread of the caller who came first, where its connections and
        context are; see CacheManager.get_or_load.
        """
        lifetime = lifetime_ms(ttl, self._default_ttl)
        name = self._name(key)
        found = self._recall(name)
        # That there was nothing a moment ago is no reason not to load it now.
        if found is not UNKNOWN and found is not MISS:
            return cast(T, found)
        wanted: queue.SimpleQueue[asyncio.Future[T] | None] = queue.SimpleQueue()

        async def load_there() -> T:
            answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            wanted.put(answer)
            return await answer

        task = self._submit(self._load(name, load_there, lifetime))
        task.add_done_callback(lambda _: wanted.put(None))
        while (answer := wanted.get()) is not None:
            loop = answer.get_loop()
            try:
                value = loader()
            except BaseException as error:
                loop.call_soon_threadsafe(_fail, answer, error)
                if not isinstance(error, Exception):
                    # Ctrl-C is the caller's own; those who wait with it load by themselves.
                    raise
            else:
                loop.call_soon_threadsafe(_finish, answer, value)
        result: T = task.result()
        return result

    def start(self) -> SyncCache:
        """Begin to listen for changes, and wait 0.3 s at most until memory is of use."""
        self._do(self._manager.__aenter__())
        return self

    def close(self) -> None:
        """Close all connections and end the thread; the cache cannot be used afterwards."""
        self._do(self._manager.close())
        self.stop_loop()

    def __enter__(self) -> SyncCache:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def stop_loop(self) -> None:
        """End the thread, unless it is the one that asks."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def after_fork(self) -> None:
        """Forget the parent's thread; the next need begins another."""
        self._lock = threading.Lock()
        self._loop = None

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._submit(work).result()

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if asyncio._get_running_loop() is not None:
            work.close()
            raise RuntimeError(
                "this thread runs an event loop, which a call of CacheManager.sync would hold up; "
                "await the same method of the CacheManager"
            )
        loop = self._loop
        if loop is None:
            loop = self._begin()
        return asyncio.run_coroutine_threadsafe(work, loop)

    def _begin(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(
                    target=_run, args=(loop,), name="perftui-cache-sync", daemon=True
                ).start()
                self._loop = loop
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _finish(answer: asyncio.Future[T], value: T) -> None:
    if not answer.done():
        answer.set_result(value)


def _fail(answer: asyncio.Future[T], error: BaseException) -> None:
    if not answer.done():
        # A future may not raise StopIteration, and only Exceptions belong to those who wait.
        plain = isinstance(error, Exception) and not isinstance(error, StopIteration)
        answer.set_exception(error if plain else RuntimeError(f"the loader ended with {error!r}"))
