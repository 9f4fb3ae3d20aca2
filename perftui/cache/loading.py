"""Loading what nobody has: once per process, once among all processes, for all who wait."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from perftui.cache.codecs import CorruptError, is_placeholder
from perftui.cache.coherence import CoherenceState
from perftui.cache.counters import Event
from perftui.cache.fill_lease import FillLease
from perftui.cache.lifetimes import expiry_ms, lifetime_ms
from perftui.cache.miss import MISS, UNKNOWN
from perftui.cache.redis_tier import RedisTier, RedisUnavailableError

if TYPE_CHECKING:
    from perftui.cache.tiers import Tiers

Loader: TypeAlias = Callable[[], Awaitable[Any]] | Callable[[], Any]
FIRST_WAIT, LONGEST_WAIT = 0.005, 0.1
"""Seconds between two looks whether the process that loads is done."""

_logger = logging.getLogger("perftui")


class Loading:
    """The loads under way in this process; all callers of one event loop share one per key.

    Each caller gets a copy of its own, decoded from the same bytes. A load goes on when the caller
    that began it is cancelled, for the others and for the cache.
    """

    def __init__(self, tiers: Tiers) -> None:
        self._tiers = tiers
        self._flights: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[bytes, asyncio.Task[bytes]]
        ] = WeakKeyDictionary()

    async def get(self, name: bytes, loader: Loader, ttl: float | None) -> Any:
        """Return the value of a whole key; see CacheManager.get_or_load."""
        tiers = self._tiers
        # Wrong settings shall be heard of even when there is nothing to load.
        lifetime = lifetime_ms(ttl, tiers.config.default_ttl)
        found = tiers.recall(name)
        # That there was nothing a moment ago is no reason not to load it now.
        if found is not UNKNOWN and found is not MISS:
            return found
        return await self.load(name, loader, lifetime)

    async def load(self, name: bytes, loader: Loader, lifetime: int | None) -> Any:
        """Return the value of a whole key that memory was asked for and does not have.

        `lifetime` is in milliseconds, None for ever, 0 to keep nothing.
        """
        tiers = self._tiers
        flights = self._flights.setdefault(asyncio.get_running_loop(), {})
        flight = flights.get(name)
        if flight is None:
            work = self._find_or_load(name, loader, lifetime)
            flight = flights[name] = asyncio.get_running_loop().create_task(work)
            flight.add_done_callback(lambda done: _land(flights, name, done))
        else:
            tiers.counters.count(name, Event.LOADS_SHARED)
        return tiers.decode(name, await asyncio.shield(flight))

    def after_fork(self) -> None:
        """Forget the loads of the parent, whose event loops do not run here."""
        self._flights = WeakKeyDictionary()

    async def _find_or_load(self, name: bytes, loader: Loader, lifetime: int | None) -> bytes:
        tiers = self._tiers
        found = await tiers.fetch_both(name)
        if found is not None:
            return found[0]
        redis = tiers.redis
        if redis is None or lifetime == 0:
            return await self._load_alone(name, loader, lifetime)
        lease = FillLease(redis, name, tiers.config.lease)
        pause, unreadable = FIRST_WAIT, b""
        try:
            while True:
                if redis.owes(name):
                    # What is there should be gone.
                    await redis.delete(name)
                there = await lease.acquire(unreadable)
                if there is None:
                    break
                if is_placeholder(there):
                    # Never all at the same moment.
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                    pause = min(LONGEST_WAIT, pause * 2)
                elif not self._is_readable(name, there):
                    unreadable = there
                elif not redis.owes(name):
                    return there
        except RedisUnavailableError:
            return await self._load_alone(name, loader, lifetime)
        except redis.refusal as error:
            tiers.complain(f"no lease for loading: {error}")
            return await self._load_without_lease(redis, name, loader, lifetime)
        return await self._load_leased(redis, lease, name, loader, lifetime)

    async def _load_alone(self, name: bytes, loader: Loader, lifetime: int | None) -> bytes:
        """Load without asking other processes.

        While Redis can tell of changes it is not kept: nobody is told of a key that Redis lacks.
        """
        tiers = self._tiers
        token = tiers.memory.begin(name)
        try:
            data = tiers.encode(name, await self._call(name, loader), expiry_ms(lifetime))
            if lifetime != 0 and tiers.coherence.state is not CoherenceState.LIVE:
                tiers.keep(name, token, data)
            return data
        finally:
            tiers.memory.end(name, token)

    async def _load_without_lease(
        self, redis: RedisTier, name: bytes, loader: Loader, lifetime: int | None
    ) -> bytes:
        """Load where the user may not run scripts, or the server refuses the lease.

        Redis gets the value only while every change is told to this process and none was; a change
        in the very moment of writing goes unnoticed, as nothing but a script could tell.
        """
        tiers = self._tiers
        token = tiers.memory.begin(name)
        try:
            data = tiers.encode(name, await self._call(name, loader), expiry_ms(lifetime))
            end = () if lifetime is None else ("PX", lifetime)
            told = tiers.coherence.state is CoherenceState.LIVE
            if told and tiers.memory.is_current(name, token):
                try:
                    if await redis.ask("SET", name, data, "NX", *end) is not None:
                        tiers.keep(name, token, data)
                except (RedisUnavailableError, redis.refusal) as error:
                    tiers.complain(f"a loaded value could not be kept: {error}")
            return data
        finally:
            tiers.memory.end(name, token)

    async def _load_leased(
        self,
        redis: RedisTier,
        lease: FillLease,
        name: bytes,
        loader: Loader,
        lifetime: int | None,
    ) -> bytes:
        tiers = self._tiers
        load = tiers.memory.begin_load(name)
        extending = asyncio.get_running_loop().create_task(self._extend(lease))
        filled = False
        try:
            value = await self._call(name, loader)
            data = tiers.encode(name, value, expiry_ms(lifetime))
            # The lease alone decides what Redis gets. Where a pattern is heard before the sweep
            # comes to the key, the old value shall not show up even until then.
            if tiers.memory.end_load(name, load):
                # From here only: the lease itself was a change of the key that is being told.
                token = tiers.memory.begin(name)
                try:
                    filled = await self._fill(lease, data, lifetime)
                    if filled:
                        tiers.keep(name, token, data)
                finally:
                    tiers.memory.end(name, token)
            return data
        finally:
            extending.cancel()
            tiers.memory.end_load(name, load)
            if not filled:
                await self._release(redis, lease)

    def _is_readable(self, name: bytes, data: bytes) -> bool:
        try:
            self._tiers.decode(name, data, verify=True)
        except CorruptError:
            return False
        return True

    async def _fill(self, lease: FillLease, data: bytes, lifetime: int | None) -> bool:
        try:
            return await lease.fill(data, lifetime)
        except (RedisUnavailableError, lease.refusal) as error:
            self._tiers.complain(f"a loaded value could not be kept: {error}")
            return False

    async def _call(self, name: bytes, loader: Loader) -> Any:
        counters = self._tiers.counters
        counters.count(name, Event.LOADS)
        try:
            value = loader()
            return await value if inspect.isawaitable(value) else value
        except BaseException:
            counters.count(name, Event.LOAD_ERRORS)
            raise

    async def _extend(self, lease: FillLease) -> None:
        """Keep the lease of a loader that takes longer than it."""
        while True:
            await asyncio.sleep(self._tiers.config.lease / 3)
            try:
                if not await lease.extend():
                    return
            except Exception as error:
                # The next attempt may succeed; without any, the value is just not kept.
                _logger.debug("a lease could not be extended: %s", error)

    async def _release(self, redis: RedisTier, lease: FillLease) -> None:
        try:
            await lease.release()
        except (RedisUnavailableError, redis.refusal) as error:
            # It ends by itself.
            _logger.debug("a lease could not be given back: %s", error)


def _land(
    flights: dict[bytes, asyncio.Task[bytes]], name: bytes, flight: asyncio.Task[bytes]
) -> None:
    if flights.get(name) is flight:
        del flights[name]
    if not flight.cancelled():
        # All who waited may be gone; the error was theirs.
        flight.exception()
