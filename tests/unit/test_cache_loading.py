"""One load for all who miss: in a process, among processes, against invalidations and errors."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis_fixture import RedisProcess

from perftui.cache.cached import cached
from perftui.cache.codecs import CodecError, encode, placeholder
from perftui.cache.coherence import CoherenceState
from perftui.cache.config import CacheConfig
from perftui.cache.manager import CacheManager
from perftui.cache.miss import MISS


def cache(server: RedisProcess, **options: Any) -> CacheManager:
    return CacheManager(CacheConfig(url=server.url, prefix="app:", **options), metrics=False)


async def until(condition: Callable[[], Any], seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


class Source:
    """A slow origin that counts how often it was asked."""

    def __init__(self, seconds: float = 0.1) -> None:
        self.seconds = seconds
        self.asked = 0
        self.value: Any = "first"
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def load(self) -> Any:
        self.asked += 1
        value = self.value
        self.begun.set()
        await asyncio.sleep(self.seconds)
        await self.may_end.wait()
        return value


async def test_one_load_for_forty_callers_of_two_processes(redis_server: RedisProcess) -> None:
    source = Source()
    async with cache(redis_server) as one, cache(redis_server) as two:
        values = await asyncio.gather(
            *(each.get_or_load("k", source.load, 5) for each in (one, two) for _ in range(20))
        )
        assert values == ["first"] * 40
        assert source.asked == 1
        total = one.counters.total()
        assert total.loads + two.counters.total().loads == 1
        assert total.loads_shared == 19
        assert await two.get_cached("k") == "first"
        assert redis_server.client.keys() == [b"app:k"]
        assert 4000 < redis_server.client.pttl("app:k") <= 5000


async def test_each_caller_has_a_copy(redis_server: RedisProcess) -> None:
    async with cache(redis_server) as manager:
        one, two = await asyncio.gather(*(manager.get_or_load("k", lambda: [1]) for _ in range(2)))
        one.append(2)
        assert two == [1]


@pytest.mark.parametrize("how", ["key", "pattern", "other process", "set", "redis-cli"])
async def test_what_was_read_before_an_invalidation_is_not_kept(
    redis_server: RedisProcess, how: str
) -> None:
    source = Source(0.0)
    source.may_end.clear()
    async with cache(redis_server) as manager, cache(redis_server) as other:
        loading = asyncio.create_task(manager.get_or_load("user:1", source.load))
        await source.begun.wait()
        source.value = "second"
        if how == "key":
            await manager.invalidate("user:1")
        elif how == "pattern":
            await manager.invalidate("user:*")
        elif how == "other process":
            await other.invalidate("user:*")
            await until(lambda: manager.coherence.patterns >= 2)
        elif how == "set":
            await other.set_cached("user:1", "second")
        else:
            redis_server.client.set("app:user:1", encode("third"))
            redis_server.client.delete("app:user:1")
            await until(lambda: manager.coherence.changes >= 2)
        source.may_end.set()
        assert await loading == "first"
        assert await manager.get_cached("user:1") == ("second" if how == "set" else MISS)
        assert await manager.get_or_load("user:1", source.load) == "second"


@pytest.mark.parametrize("how", ["deaf", "late", "redis-cli"])
async def test_a_load_cannot_be_kept_behind_a_sweep_that_passed_its_key(
    redis_server: RedisProcess, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(0.0)
    source.may_end.clear()
    options: dict[str, Any] = {}
    if how == "deaf":
        rights = ("web", "on", ">pw", "resetchannels", "~app:*", "+@all", "-client")
        redis_server.client.execute_command("ACL", "SETUSER", *rights)
        options = {"username": "web", "password": "pw"}
    async with cache(redis_server, **options) as manager, cache(redis_server) as other:
        assert (manager.coherence.state is CoherenceState.OFF) == (how == "deaf")
        if how == "late":
            # Its listener has not come to the message yet.
            monkeypatch.setattr(manager._tiers.memory, "drop_matching", lambda glob: 0)
        loading = asyncio.create_task(manager.get_or_load("user:1", source.load))
        await source.begun.wait()
        source.value = "second"
        if how == "redis-cli":
            for key in redis_server.client.scan_iter("app:user:*"):
                redis_server.client.unlink(key)
        else:
            assert (await other.invalidate("user:*")).complete
        source.may_end.set()
        assert await loading == "first"
        assert redis_server.client.get("app:user:1") is None
        assert await manager.get_or_load("user:1", source.load) == "second"
        assert await other.get_cached("user:1") == "second"


async def test_a_load_is_not_shown_between_the_message_and_the_sweep(
    redis_server: RedisProcess,
) -> None:
    source = Source(0.0)
    source.may_end.clear()
    async with cache(redis_server) as manager, cache(redis_server) as other:
        loading = asyncio.create_task(manager.get_or_load("user:1", source.load))
        await source.begun.wait()
        # The sweep of a large Redis needs seconds from here to the key.
        assert not await other._tiers.announce(b"app:user:*", "")
        await until(lambda: manager.coherence.patterns >= 1)
        source.may_end.set()
        assert await loading == "first"
        assert redis_server.client.keys() == []


@pytest.mark.parametrize("told", [True, False])
async def test_without_a_lease_only_who_is_told_of_changes_fills(
    redis_server: RedisProcess, told: bool
) -> None:
    rights = ["on", ">pw", "~app:*", "&*", "+@all", "-@scripting"]
    redis_server.client.execute_command(
        "ACL", "SETUSER", "web", *rights, *([] if told else ["-client"])
    )
    source = Source(0.0)
    source.may_end.clear()
    async with cache(redis_server, username="web", password="pw") as manager:
        await until(lambda: manager.coherence.state is not CoherenceState.SYNCING)
        assert await manager.get_or_load("quiet", lambda: 1) == 1
        assert redis_server.client.exists("app:quiet") == told
        loading = asyncio.create_task(manager.get_or_load("k", source.load))
        await source.begun.wait()
        redis_server.client.set("app:k", encode("other"))
        redis_server.client.delete("app:k")
        if told:
            await until(lambda: manager.coherence.changes >= 2)
        source.may_end.set()
        assert await loading == "first"
        assert not redis_server.client.exists("app:k")


async def test_a_value_that_should_be_gone_is_loaded_anew(redis_server: RedisProcess) -> None:
    async with cache(redis_server) as manager:
        await manager.set_cached("k", "old")
        await until(lambda: manager.coherence.changes >= 1)
        redis = manager._tiers.redis
        assert redis is not None
        # As when its deletion found no Redis, and nobody has made up for it yet.
        redis._owed[b"app:k"] = None
        assert await manager.get_or_load("k", lambda: "new") == "new"
        # Whoever makes up for it may come after the new value, which is a miss and no lie.
        await until(lambda: redis.owed == 0)
        assert await manager.get_cached("k") in ("new", MISS)


async def test_errors_reach_all_who_wait_and_nothing_is_kept(redis_server: RedisProcess) -> None:
    asked = 0

    async def broken() -> Any:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.05)
        raise LookupError("no such row")

    async with cache(redis_server) as manager:
        results = await asyncio.gather(
            *(manager.get_or_load("k", broken) for _ in range(3)), return_exceptions=True
        )
        assert [type(each) for each in results] == [LookupError] * 3
        assert asked == 1
        assert redis_server.client.keys() == []
        assert await manager.get_or_load("k", lambda: 7) == 7
        assert manager.counters.total().load_errors == 1
        with pytest.raises(CodecError):
            await manager.get_or_load("odd", object)


async def test_a_load_goes_on_for_the_others(redis_server: RedisProcess) -> None:
    source = Source()
    async with cache(redis_server) as manager:
        first = asyncio.create_task(manager.get_or_load("k", source.load))
        await source.begun.wait()
        second = asyncio.create_task(manager.get_or_load("k", source.load))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "first"
        assert source.asked == 1


async def test_a_loader_that_takes_longer_than_its_lease(redis_server: RedisProcess) -> None:
    source = Source(0.5)
    async with cache(redis_server, lease=0.15) as one, cache(redis_server, lease=0.15) as two:
        values = await asyncio.gather(
            one.get_or_load("k", source.load), two.get_or_load("k", source.load)
        )
        assert values == ["first", "first"]
        assert source.asked == 1


async def test_the_lease_of_a_dead_process_ends(redis_server: RedisProcess) -> None:
    redis_server.client.set(b"app:k", placeholder(b"dead"), px=200)
    async with cache(redis_server) as manager:
        began = time.monotonic()
        # A placeholder is no value.
        assert await manager.get_cached("k") is MISS
        total = manager.counters.total()
        assert (total.redis_misses, total.codec_errors) == (1, 0)
        assert await manager.get_or_load("k", lambda: 1) == 1
        assert time.monotonic() - began >= 0.15
        assert await manager.get_cached("k") == 1


def test_threads_share_a_load_which_runs_on_one_of_them(redis_server: RedisProcess) -> None:
    manager = cache(redis_server)
    ran_on: list[str] = []
    seen: list[object] = []

    def load() -> int:
        ran_on.append(threading.current_thread().name)
        time.sleep(0.1)
        return 5

    with manager.sync as here:
        threads = [
            threading.Thread(
                target=lambda: seen.append(here.get_or_load("k", load)), name=f"own{n}"
            )
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert seen == [5] * 8
        assert len(ran_on) == 1
        assert ran_on[0].startswith("own")

        def broken() -> int:
            raise StopIteration("odd")

        with pytest.raises(RuntimeError, match="odd"):
            here.get_or_load("broken", broken)
        assert here.invalidate("*").deleted == 1
        assert here.get_cached("k") is MISS
        assert here.set_cached("k", 1)
        assert here.delete("k")


async def test_the_sync_facade_refuses_to_hold_up_an_event_loop(
    redis_server: RedisProcess,
) -> None:
    async with cache(redis_server) as manager:
        with pytest.raises(RuntimeError, match="await the same method"):
            manager.sync.get_cached("k")
        await manager.set_cached("k", 1)
        await until(lambda: manager.coherence.changes >= 1)
        await manager.get_cached("k")
        # What memory has holds nothing up.
        assert manager.sync.get_cached("k") == 1


async def test_cached_coroutine_functions(redis_server: RedisProcess) -> None:
    asked: list[int] = []
    async with cache(redis_server) as manager:

        @manager.cached(ttl=60, key="user:{id}")
        async def user(id: int, *, full: bool = False) -> dict[str, Any]:  # noqa: A002
            """Return a user."""
            asked.append(id)
            return {"id": id}

        @cached(cache=manager)
        async def by_all(one: int, two: str = "x") -> list[Any]:
            asked.append(one)
            return [one, two]

        assert await user(1) == {"id": 1}
        assert await user(id=1) == {"id": 1}
        assert await user(2) == {"id": 2}
        assert asked == [1, 2]
        assert user.__doc__ == "Return a user."
        assert user.key_of(1) == "user:1"  # type: ignore[attr-defined]
        assert await user.forget(1)  # type: ignore[attr-defined]
        await user(1)
        assert asked == [1, 2, 1]
        assert (await manager.invalidate("user:*")).deleted == 2
        assert await by_all(1) == await by_all(one=1, two="x") == [1, "x"]
        assert await by_all(1, "1") == [1, "1"]
        assert asked == [1, 2, 1, 1, 1]
        with pytest.raises(TypeError, match="argument one"):
            await by_all(object())  # type: ignore[arg-type]


def test_cached_plain_functions_and_wrong_uses(redis_server: RedisProcess) -> None:
    manager = cache(redis_server)
    asked: list[int] = []

    @cached(ttl=60, key=lambda number: f"n:{number}", cache=manager)
    def square(number: int) -> int:
        asked.append(number)
        return number * number

    assert [square(3), square(3), square(4)] == [9, 9, 16]
    assert asked == [3, 4]
    assert square.forget(3)  # type: ignore[attr-defined]
    manager.sync.close()
    with pytest.raises(ValueError, match="no argument 'nubmer'"):
        manager.cached(key="{nubmer}")(lambda number: number)
    with pytest.raises(TypeError, match="yields"):

        @cached(cache=manager)
        def several() -> Any:
            yield 1

    with pytest.raises(TypeError, match="parentheses"):
        cached(square)  # type: ignore[arg-type]


async def test_the_very_first_load_of_a_process_is_kept(redis_server: RedisProcess) -> None:
    for turn in range(10):
        manager = cache(redis_server)
        assert await manager.get_or_load(f"k{turn}", lambda: 1) == 1
        assert redis_server.client.exists(f"app:k{turn}")
        await manager.close()
