"""CacheManager against a real server: both tiers, what others change, rights, forks, loops."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from forked_child import in_child
from redis_fixture import RedisProcess

from perftui.cache.codecs import CodecError, decode, encode
from perftui.cache.coherence import CoherenceState
from perftui.cache.config import CacheConfig
from perftui.cache.manager import CacheManager
from perftui.cache.miss import MISS

Start = Callable[..., RedisProcess]


def cache(server: RedisProcess, **options: Any) -> CacheManager:
    given: dict[str, Any] = {"url": server.url, "prefix": "app:", **options}
    return CacheManager(CacheConfig(**given), metrics=False)


async def until(condition: Callable[[], Any], seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


async def echoed(manager: CacheManager, changes: int) -> None:
    """Wait until the server has named so many keys."""
    await until(lambda: manager.coherence.changes >= changes)


async def test_redis_fills_memory_with_the_rest_of_the_life(redis_server: RedisProcess) -> None:
    async with cache(redis_server) as manager:
        assert manager.coherence.state is CoherenceState.LIVE
        assert await manager.get_cached("a") is MISS
        assert await manager.set_cached("a", {"x": [1, None]}, ttl=0.4)
        await echoed(manager, 1)
        for _ in range(3):
            assert await manager.get_cached("a") == {"x": [1, None]}
        total = manager.counters.total()
        assert (total.redis_hits, total.memory_hits) == (1, 2)
        await asyncio.sleep(0.45)
        # Whether or not the server has noticed by now that it has expired.
        assert await manager.get_cached("a") is MISS
        assert redis_server.client.pttl("app:a") == -2


async def test_none_is_a_value_and_each_reader_has_a_copy(redis_server: RedisProcess) -> None:
    async with cache(redis_server) as manager:
        await manager.set_cached("n", None)
        await manager.set_cached("l", [1])
        assert await manager.get_cached("n") is None
        (await manager.get_cached("l")).append(2)
        assert await manager.get_cached("l") == [1]


async def test_absent_keys_are_remembered_until_somebody_writes_them(
    redis_server: RedisProcess,
) -> None:
    async with cache(redis_server) as manager:
        for _ in range(5):
            assert await manager.get_cached("later") is MISS
        assert manager.counters.total().redis_misses == 1
        assert manager.counters.total().memory_negatives == 4
        redis_server.client.set("app:later", b"now")
        await echoed(manager, 1)
        assert await manager.get_cached("later") == b"now"


@pytest.mark.parametrize("change", ["set", "del", "expire", "flushall", "flushdb", "rename"])
async def test_what_redis_cli_does_reaches_memory(redis_server: RedisProcess, change: str) -> None:
    other = redis_server.client
    async with cache(redis_server) as manager:
        other.set("app:k", b"old")
        await echoed(manager, 1)
        assert await manager.get_cached("k") == b"old"
        assert manager.memory.items == 1
        if change == "set":
            other.set("app:k", b"new")
        elif change == "del":
            other.delete("app:k")
        elif change == "expire":
            other.pexpire("app:k", 1)
            await asyncio.sleep(0.01)
        elif change == "flushall":
            other.flushall()
        elif change == "flushdb":
            other.flushdb()
        else:
            other.rename("app:k", "app:other")
        await until(lambda: manager.memory.items == 0)
        assert await manager.get_cached("k") == (b"new" if change == "set" else MISS)


async def test_foreign_values_and_keys_that_are_no_text(redis_server: RedisProcess) -> None:
    other = redis_server.client
    async with cache(redis_server) as manager:
        key = b"\xff\x00*[\x1b]\n"
        other.set(b"app:" + key, b"\x80raw", px=300)
        await echoed(manager, 1)
        assert await manager.get_cached(key) == b"\x80raw"
        assert await manager.get_cached(key) == b"\x80raw"
        assert manager.counters.total().memory_hits == 1
        await asyncio.sleep(0.31)
        assert await manager.get_cached(key) is MISS
        other.hset("app:hash", "f", "v")
        assert await manager.get_cached("hash") is MISS
        other.set("app:\ud800".encode("utf-8", "surrogatepass"), b"odd")
        assert await manager.get_cached("\ud800") == b"odd"


async def test_ttl_of_zero_infinity_and_nonsense(redis_server: RedisProcess) -> None:
    async with cache(redis_server) as manager:
        await manager.set_cached("k", 1, ttl=math.inf)
        assert redis_server.client.pttl("app:k") == -1
        await manager.set_cached("k", 2, ttl=0)
        assert await manager.get_cached("k") is MISS
        await manager.set_cached("k", 3)
        assert 299_000 < redis_server.client.pttl("app:k") <= 300_000
        for wrong in (-1, math.nan):
            with pytest.raises(ValueError, match="ttl"):
                await manager.set_cached("k", 4, ttl=wrong)
        with pytest.raises(CodecError):
            await manager.set_cached("k", object())
        with pytest.raises(TypeError, match="key"):
            await manager.get_cached(7)  # type: ignore[arg-type]
        assert await manager.get_cached("k") == 3


async def test_invalidate_by_pattern_empties_every_process(redis_server: RedisProcess) -> None:
    other = redis_server.client
    async with cache(redis_server) as here, cache(redis_server) as there:
        for key in ("user:1", "user:2", "order:1"):
            await here.set_cached(key, key)
        other.set("user:1", b"not of this cache")
        await echoed(there, 3)
        for manager in (here, there):
            for key in ("user:1", "user:2", "user:none", "order:1"):
                await manager.get_cached(key)
        assert there.memory.items == 4
        result = await here.invalidate("user:*")
        assert (result.matched, result.deleted, result.complete) == (2, 2, True)
        assert (result.denied, result.error) == (0, "")
        await until(lambda: there.memory.items == 1)
        assert there.coherence.patterns >= 1
        assert await there.get_cached("order:1") == "order:1"
        assert other.get("user:1") == b"not of this cache"
        one = await here.invalidate("order:1")
        assert (one.matched, one.deleted, one.complete) == (1, 1, True)
        await until(lambda: there.memory.items == 0)
        with pytest.raises(ValueError, match="empty"):
            await here.invalidate("")


async def test_the_prefix_and_a_key_are_no_patterns(redis_server: RedisProcess) -> None:
    other = redis_server.client
    async with cache(redis_server, prefix="a*[x]:") as manager:
        await manager.set_cached("k*", 1)
        other.set("abc[x]:k1", b"foreign")
        other.set("a*[x]:kk", b"other")
        assert await manager.delete("k*")
        assert sorted(other.keys()) == [b"a*[x]:kk", b"abc[x]:k1"]
        assert (await manager.invalidate("*")).deleted == 1
        assert other.keys() == [b"abc[x]:k1"]


async def test_a_fetch_that_an_invalidation_overtakes_is_not_kept(
    redis_server: RedisProcess,
) -> None:
    async with cache(redis_server) as manager:
        redis_server.client.set("app:k", b"old")
        await echoed(manager, 1)
        memory = manager._tiers.memory
        token = memory.begin(b"app:k")
        redis_server.client.set("app:k", b"new")
        await echoed(manager, 2)
        assert not memory.store(b"app:k", token, b"old", math.inf, 1)
        assert await manager.get_cached("k") == b"new"


async def test_memory_alone_and_redis_alone(redis_server: RedisProcess) -> None:
    alone = CacheManager(CacheConfig(backends={"redis": {"enabled": False}}), metrics=False)
    async with alone:
        assert await alone.set_cached("user:1", 1)
        assert await alone.get_cached("user:1") == 1
        assert await alone.get_or_load("b", lambda: 2) == 2
        assert await alone.get_or_load("b", lambda: 3) == 2
        assert (await alone.invalidate("user:*")).deleted == 1
        assert await alone.get_cached("user:1") is MISS
        assert await alone.delete("b")
    async with cache(redis_server, backends={"memory": {"enabled": False}}) as shared:
        await shared.set_cached("k", 1)
        assert await shared.get_cached("k") == 1
        assert (await shared.invalidate("*")).deleted == 1
        assert await shared.get_or_load("k", lambda: 5) == 5
        assert shared.memory.items == 0
        assert shared.coherence.state is CoherenceState.OFF
        assert "switched off" in shared.coherence.reason


async def test_a_damaged_value_is_a_miss_and_is_loaded_anew(redis_server: RedisProcess) -> None:
    async with cache(redis_server) as manager:
        good = encode({"a": 1}, expiry_ms=None)
        redis_server.client.set("app:k", good[:-2])
        assert await manager.get_cached("k") is MISS
        assert manager.counters.total().codec_errors == 1
        assert await manager.get_or_load("k", lambda: "anew") == "anew"
        assert decode(redis_server.client.get("app:k")).value == "anew"


def user_rights(server: RedisProcess, *rights: str) -> None:
    server.client.execute_command("ACL", "SETUSER", "web", "on", ">pw", *rights)


async def test_without_the_right_to_track_values_live_for_five_seconds_at_most(
    redis_server: RedisProcess,
) -> None:
    user_rights(redis_server, "~app:*", "&*", "+@all", "-client")
    async with cache(redis_server, username="web", password="pw", fallback_ttl=0.3) as manager:
        state = manager.coherence
        assert state.state is CoherenceState.OFF
        assert "client" in state.reason
        assert "ACL SETUSER web" in state.fix
        assert state.bound == 0.3
        await manager.set_cached("k", "old")
        assert await manager.get_cached("k") == "old"
        redis_server.client.set("app:k", encode("new"))
        assert await manager.get_cached("k") == "old"
        # The pattern message is heard all the same.
        redis_server.client.set("app:p", encode("x"))
        assert await manager.get_cached("p") == "x"
        async with cache(redis_server) as other:
            await other.invalidate("p*")
        await until(lambda: manager.coherence.patterns >= 1)
        assert await manager.get_cached("p") is MISS
        await asyncio.sleep(0.3)
        assert await manager.get_cached("k") == "new"


async def test_without_any_channel_it_is_off_and_says_what_to_grant(
    redis_server: RedisProcess,
) -> None:
    user_rights(redis_server, "resetchannels", "~app:*", "+@all")
    async with cache(redis_server, username="web", password="pw") as manager:
        state = manager.coherence
        assert state.state is CoherenceState.OFF
        assert "&__redis__:invalidate &app:__inv" in state.fix
        assert await manager.set_cached("k", 1)
        assert await manager.get_cached("k") == 1
        redis_server.client.execute_command("ACL", "SETUSER", "web", "&*")
        # The right is noticed without a restart, here sooner than after its 30 s.
        manager._tiers._links.hurry()  # type: ignore[union-attr]
        await until(lambda: manager.coherence.state is CoherenceState.LIVE)


async def test_keys_of_others_are_denied_and_counted(redis_server: RedisProcess) -> None:
    user_rights(redis_server, "~app:mine:*", "~app:__*", "&*", "+@all", "-@dangerous")
    async with cache(redis_server, username="web", password="pw") as manager:
        redis_server.client.set("app:theirs:1", b"x")
        assert not await manager.set_cached("theirs:1", 1)
        assert await manager.get_cached("theirs:1") is MISS
        await manager.set_cached("mine:1", 1)
        assert (await manager.invalidate("theirs:1")).denied == 1
        result = await manager.invalidate("*")
        assert (result.denied, result.deleted) == (1, 1)
        assert redis_server.client.get("app:theirs:1") == b"x"
        assert await manager.get_or_load("theirs:1", lambda: 9) == 9


async def test_out_of_memory_leaves_no_older_value(redis_server: RedisProcess) -> None:
    async with cache(redis_server) as manager:
        await manager.set_cached("k", "old")
        redis_server.client.config_set("maxmemory", "1")
        assert not await manager.set_cached("k", "new")
        assert redis_server.client.get("app:k") is None
        assert await manager.get_cached("k") is MISS
        assert await manager.get_or_load("k", lambda: 1) == 1
        assert manager.coherence.state is CoherenceState.LIVE


async def test_a_replica_reads_and_refuses(start_redis: Start) -> None:
    primary = start_redis()
    replica = start_redis()
    primary.client.set("app:k", encode(1))
    port = free_port()
    primary.client.config_set("port", port)
    replica.client.replicaof("127.0.0.1", port)
    end = time.monotonic() + 10
    while not replica.client.exists("app:k"):
        assert time.monotonic() < end
        time.sleep(0.05)
    async with cache(replica) as manager:
        assert await manager.get_cached("k") == 1
        assert not await manager.set_cached("k", 2)
        result = await manager.invalidate("*")
        assert not result.complete
        assert "replica" in result.error
        primary.client.set("app:k", encode(3))
        seen: list[Any] = []

        async def sees_it() -> bool:
            seen.append(await manager.get_cached("k"))
            return bool(seen[-1] == 3)

        while not await sees_it():
            assert time.monotonic() < end + 10
            await asyncio.sleep(0.01)


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_several_event_loops_and_threads_share_one_cache(redis_server: RedisProcess) -> None:
    manager = cache(redis_server)
    seen: list[object] = []

    def work(number: int) -> None:
        async def run() -> None:
            for turn in range(30):
                await manager.set_cached(f"k{number}:{turn}", turn)
                seen.append(await manager.get_cached(f"k{number}:{turn}") == turn)

        asyncio.run(run())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == [True] * 120
    asyncio.run(manager.close())
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(manager.get_cached("k"))


def test_a_forked_child_has_its_own_connections(redis_server: RedisProcess) -> None:
    manager = cache(redis_server)
    with manager.sync as here:
        here.set_cached("k", "before")
        here.get_cached("k")

        def child() -> tuple[object, str, object, int]:
            first = here.get_cached("k")
            manager.sync.start()
            redis_server_of_child = redis.Redis(unix_socket_path=redis_server.socket)
            redis_server_of_child.set("app:k", encode("by the child"))
            end = time.monotonic() + 5
            while here.get_cached("k") != "by the child" and time.monotonic() < end:
                time.sleep(0.005)
            return first, manager.coherence.state.value, here.get_cached("k"), os.getpid()

        first, state, then, pid = in_child(child)
        assert pid != os.getpid()
        assert (first, state, then) == ("before", "live", "by the child")
        assert here.coherence.state is CoherenceState.LIVE
        end = time.monotonic() + 5
        while here.get_cached("k") != "by the child":
            assert time.monotonic() < end
            time.sleep(0.005)


async def test_closing_leaves_neither_threads_nor_connections(redis_server: RedisProcess) -> None:
    before = {thread.name for thread in threading.enumerate()}
    async with cache(redis_server) as manager:
        await manager.get_cached("k")
    await until(
        lambda: (
            not [
                thread
                for thread in threading.enumerate()
                if thread.name.startswith("perftui-cache") and thread.name not in before
            ]
        )
    )
    await until(lambda: len(redis_server.client.client_list()) == 1)


async def test_counts_are_what_a_reporter_takes(redis_server: RedisProcess) -> None:
    from perftui.metrics.report import CacheCounts

    async with cache(redis_server) as manager:
        await manager.set_cached("user:1", 1)
        await echoed(manager, 1)
        await manager.get_cached("user:1")
        await manager.get_cached("user:1")
        counts = manager.reported()["user"]
        assert isinstance(counts, CacheCounts)
        assert (counts.memory_hits, counts.redis_hits) == (1, 1)


async def test_what_has_ended_leaves_memory_though_nobody_asks(redis_server: RedisProcess) -> None:
    async with cache(redis_server, ping_interval=0.02) as manager:
        # Redis has none of them, so it tells of none.
        for number in range(20):
            manager.memory.put(b"app:%d" % number, b"x", time.monotonic() + 0.2)
        entries = manager.memory._order.entries
        await until(lambda: len(entries) == 0)
        assert manager.memory.expirations == 20


async def test_memory_is_not_read_when_its_proof_ran_out(redis_server: RedisProcess) -> None:
    """As in a process that was stopped and goes on before its listener does."""
    async with cache(redis_server, ping_interval=0.05, ping_limit=0.1) as manager:
        redis_server.client.set("app:k", b"old")
        await echoed(manager, 1)
        assert await manager.get_cached("k") == b"old"
        assert await manager.get_cached("k") == b"old"
        hits = manager.counters.total().memory_hits
        manager._tiers._board.renew = lambda *_: None  # type: ignore[method-assign]
        await until(lambda: manager.coherence.state is CoherenceState.LOST)
        assert "no answer to PING" in manager.coherence.reason
        assert await manager.get_cached("k") == b"old"
        total = manager.counters.total()
        assert (total.memory_hits, total.bypasses) == (hits, 1)


async def test_a_user_with_rights_on_some_keys_only_deletes_and_loads(
    redis_server: RedisProcess,
) -> None:
    user_rights(redis_server, "~app:user:*", "&*", "+@all", "-flushall")
    async with cache(redis_server, username="web", password="pw") as manager:
        await manager.set_cached("user:1", 1)
        assert await manager.delete("user:1")
        assert not redis_server.client.exists("app:user:1")
        assert await manager.get_or_load("user:2", lambda: 2) == 2
        assert redis_server.client.exists("app:user:2")


def test_loops_that_end_leave_no_connections(redis_server: RedisProcess) -> None:
    manager = cache(redis_server)
    for turn in range(8):
        asyncio.run(manager.set_cached("k", turn))
    normal = redis_server.client.client_list(_type="normal")
    assert len(normal) == 1, normal
    asyncio.run(manager.close())


async def test_a_pattern_is_not_swept_while_redis_is_silent(redis_server: RedisProcess) -> None:
    async with cache(redis_server) as manager:
        redis_server.freeze()
        began = time.monotonic()
        result = await manager.invalidate("k*")
        redis_server.thaw()
        assert not result.complete
        assert "does not answer" in result.error
        assert time.monotonic() - began < 2.0
