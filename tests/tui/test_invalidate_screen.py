"""Deleting keys from the dialog on a real Redis: stages, refusals, freezes, memory tiers."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from invalidation_app import invalidating
from redis_fixture import RedisProcess

from perftui.cache.audit import read_audit
from perftui.tui.screens.invalidate import Stage
from perftui.tui.screens.undo import UndoScreen

HOST = socket.gethostname()
Start = Callable[..., RedisProcess]


def fill(server: RedisProcess, prefix: str, count: int) -> None:
    server.client.execute_command("DEBUG", "POPULATE", count, prefix, 10)


async def test_from_a_pattern_to_deleted_keys_and_back(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.hset("user:1", mapping={"name": "ann"})
    client.pexpire("user:1", 600_000)
    client.mset({"user:2": "two", "order:1": "one", "perftui:user:x": "own"})
    async with invalidating(redis_server.url, "user:*") as dialog:
        await dialog.sees("2 of 4 keys match", "user:1", "user:2", "enter goes on")
        await dialog.types("enter")
        await dialog.sees("Type 2 and press enter to delete", "Undo: all of them can be put back")
        await dialog.types("3", "enter")
        await dialog.sees("that is not 2: nothing was deleted")
        assert client.dbsize() == 4
        await dialog.types("backspace", "2", "enter")
        await dialog.sees("complete: 2 keys deleted", "Undo: 2 keys can be put back until")
        await dialog.sees("Written to the stream perftui:audit as done by")
        assert sorted(client.keys()) == [b"order:1", b"perftui:audit", b"perftui:user:x"]
        await dialog.types("u")
        await dialog.until(lambda: isinstance(dialog.app.screen, UndoScreen))
        await dialog.sees("Type 2 and press enter to put back")
        await dialog.types("2", "enter")
        await dialog.sees("complete: 2 keys put back")
        await dialog.types("enter")
        await dialog.sees("Undone: 2 keys put back", "enter or escape closes")
        assert "undoes it" not in dialog.text
        await dialog.types("u")
        assert not isinstance(dialog.app.screen, UndoScreen)
        await dialog.types("enter")
        assert dialog.closed
    assert client.get("user:2") == b"two"
    assert client.hgetall("user:1") == {b"name": b"ann"}
    assert 0 < client.pttl("user:1") <= 600_000
    assert client.ttl("user:2") == -1
    assert [entry.action for entry in read_audit(client)] == ["undo", "invalidate"]


async def test_an_inexact_estimate_is_counted_before_the_confirmation(
    redis_server: RedisProcess,
) -> None:
    fill(redis_server, "user", 40_000)
    async with invalidating(redis_server.url, "user:1???") as dialog:
        await dialog.sees("about", "of 40,000 keys match", "enter counts exactly")
        await dialog.types("enter")
        await dialog.sees("Type 1000 and press enter", "1,000 of 40,000 keys match")
        await dialog.types("tab", "tab", "right", "tab", *"1000", "enter")
        await dialog.sees("complete: 1,000 keys deleted", "Undo: not possible: it was not wanted")
        assert "undoes it" not in dialog.text
    assert redis_server.client.dbsize() == 39_001


async def test_the_count_can_be_left_out_for_the_name_of_the_host(
    redis_server: RedisProcess,
) -> None:
    fill(redis_server, "user", 40_000)
    async with invalidating(redis_server.url, "user:1???") as dialog:
        await dialog.sees("enter counts exactly")
        redis_server.freeze()
        await dialog.types("enter")
        await dialog.stage(Stage.COUNTING)
        await dialog.sees("Redis has not answered for", "enter goes on without the count")
        await dialog.types("enter")
        redis_server.thaw()
        await dialog.sees(f"Type {HOST} and press enter", "not counted exactly")
        await dialog.types(*HOST, "enter")
        await dialog.sees("complete: 1,000 keys deleted")


async def test_escape_goes_one_step_back(redis_server: RedisProcess) -> None:
    redis_server.client.mset({"a:1": 1, "a:2": 2})
    async with invalidating(redis_server.url, "a:*") as dialog:
        await dialog.sees("2 of 2 keys match")
        await dialog.types("enter")
        await dialog.stage(Stage.CONFIRM)
        await dialog.types("2", "escape")
        await dialog.stage(Stage.PATTERN)
        await dialog.sees("a:*", "2 of 2 keys match")
        await dialog.types("backspace", "1")
        await dialog.sees("a:1", "1 of 2 keys matches")
        await dialog.types("escape")
        assert dialog.closed
    assert redis_server.client.dbsize() == 2


async def test_nothing_to_delete_is_said(redis_server: RedisProcess) -> None:
    redis_server.client.set("a", 1)
    async with invalidating(redis_server.url, "b*") as dialog:
        await dialog.sees("0 of 1 key match")
        await dialog.types("enter")
        await dialog.sees("nothing matches, so there is nothing to delete")


async def test_a_replica_is_refused_before_anything_is_typed(start_redis: Start) -> None:
    primary, replica = start_redis(port="0"), start_redis()
    del primary
    replica.client.set("a:1", 1)
    replica.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    replica.client.config_set("replica-serve-stale-data", "yes")
    async with invalidating(replica.url, "a:*") as dialog:
        await dialog.sees("1 of 1 key matches")
        await dialog.types("enter")
        await dialog.sees("this server is a read-only replica of 127.0.0.1:1; invalidate there")
        await dialog.stage(Stage.PATTERN)
        replica.client.execute_command("REPLICAOF", "NO", "ONE")
        await dialog.types("enter")
        await dialog.sees("1 of 1 key matches")
        await dialog.confirmed("1")
        await dialog.sees("complete: 1 key deleted")


async def test_what_the_user_may_not_do_is_said_in_words(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.mset({"a:1": 1, "a:2": 2, "b:1": 1})
    client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "~a:*", "~perftui:*",
                           "+@all", "-restore", "-unlink", "-del")  # fmt: skip
    async with invalidating(f"unix://ann:pw@{redis_server.socket}", "*") as dialog:
        await dialog.sees("3 of 3 keys match")
        await dialog.types("enter")
        await dialog.sees("this user may run neither UNLINK nor DEL")
        client.execute_command("ACL", "SETUSER", "ann", "+unlink")
        await dialog.types("enter")
        await dialog.sees("3 of 3 keys match")
        await dialog.types("enter")
        await dialog.sees("Undo: not possible", "this user may not run RESTORE", f"Type {HOST}")
        await dialog.types(*HOST, "enter")
        await dialog.sees("2 keys deleted", "1 key denied by the ACL", "Undo: not possible: this")
    assert client.keys("[ab]:*") == [b"b:1"]


async def test_more_than_an_undo_can_hold_is_said_before(redis_server: RedisProcess) -> None:
    fill(redis_server, "user", 120_000)
    async with invalidating(redis_server.url, "user:*") as dialog:
        await dialog.sees("about")
        await dialog.types("enter")
        await dialog.sees("Undo: not possible, or not for all: more than 100,000 keys")


async def test_cancelling_keeps_what_is_left(redis_server: RedisProcess) -> None:
    fill(redis_server, "big", 800_000)
    async with invalidating(redis_server.url, "big:*") as dialog:
        await dialog.types("tab", "right")
        await dialog.confirmed(HOST)
        await dialog.sees("pace gentle: rests as long as it works", "other clients wait")
        await dialog.types("escape")
        await dialog.sees("cancelled:")
        screen = await dialog.stage(Stage.DONE)
        outcome = screen._outcome
        assert outcome is not None
        left = sum(1 for _ in redis_server.client.scan_iter("big:*", count=5000))
        assert left == 800_000 - outcome.result.deleted > 0
        assert outcome.result.kept is not None


async def test_the_pace_of_a_deletion_can_be_changed(redis_server: RedisProcess) -> None:
    fill(redis_server, "big", 300_000)
    async with invalidating(redis_server.url, "big:*") as dialog:
        await dialog.types("tab", "right")
        await dialog.confirmed(HOST)
        await dialog.sees("pace gentle")
        redis_server.freeze()
        await dialog.types("left")
        await dialog.sees("Redis has not answered for")
        redis_server.thaw()
        await dialog.sees("complete:")


async def test_a_frozen_redis_never_holds_the_dialog(redis_server: RedisProcess) -> None:
    fill(redis_server, "big", 300_000)
    async with invalidating(redis_server.url) as dialog:
        redis_server.freeze()
        await dialog.types(*"big:*")
        await dialog.sees("estimating", "Redis has not answered for")
        redis_server.thaw()
        await dialog.sees("300,000 keys match")
        redis_server.freeze()
        await dialog.types("enter")
        await dialog.stage(Stage.COUNTING)
        await dialog.types("escape")
        await dialog.stage(Stage.PATTERN)
        await dialog.sees("300,000 keys match")
        redis_server.thaw()
        await dialog.types("tab", "right")
        await dialog.confirmed(HOST)
        await dialog.sees("other clients wait")
        redis_server.freeze()
        await dialog.sees("Redis has not answered for")
        await dialog.types("escape")
        await dialog.sees("Cancelled.")
        await dialog.types("escape")
        assert dialog.closed
        redis_server.thaw()
    assert redis_server.client.dbsize() > 0


async def test_an_estimate_that_failed_is_asked_for_again(redis_server: RedisProcess) -> None:
    redis_server.client.set("a:1", 1)
    redis_server.kill()
    async with invalidating(redis_server.url, "a:*") as dialog:
        await dialog.sees("enter asks again")
        redis_server.start()
        redis_server.client.set("a:1", 1)
        await dialog.types("enter")
        await dialog.sees("1 of 1 key matches")


SERVICE = """
import asyncio, sys
from perftui import CacheConfig, CacheManager

async def main() -> None:
    config = CacheConfig(url=sys.argv[1], prefix=sys.argv[2])
    async with CacheManager(config) as cache:
        for key in ("user:1", "user:2", "order:1"):
            await cache.set_cached(key, key)
        while cache.coherence.state.name != "LIVE":
            await asyncio.sleep(0.01)
        for key in ("user:1", "user:2", "user:none", "order:1"):
            await cache.get_cached(key)
        print("ready", cache.memory.items, flush=True)
        while cache.memory.items > 1 or not cache.coherence.patterns:
            await asyncio.sleep(0.005)
        print("emptied", await cache.get_cached("order:1"), flush=True)

asyncio.run(main())
"""


async def service(url: str, prefix: str, directory: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, url, prefix, stdout=asyncio.subprocess.PIPE, cwd=directory
    )


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    return line.decode().strip()


async def test_the_memory_of_every_service_is_emptied(redis_server: RedisProcess) -> None:
    """The dialog knows no prefix of theirs, and a pattern across both concerns both."""
    root = Path(__file__).parents[2]
    services = [await service(redis_server.url, prefix, root) for prefix in ("shop:", "pay:")]
    try:
        for process in services:
            assert await said(process) == "ready 4"
        async with invalidating(redis_server.url, "*:user:*") as dialog:
            await dialog.confirmed("4")
            await dialog.sees("complete: 4 keys deleted", "2 memory tiers of services dropped")
            for process in services:
                assert await said(process) == "emptied order:1"
                assert await process.wait() == 0
    finally:
        for process in services:
            if process.returncode is None:
                process.kill()
                await process.wait()
