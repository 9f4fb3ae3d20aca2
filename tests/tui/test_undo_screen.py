"""Putting deleted keys back from the dialog on a real Redis."""

from __future__ import annotations

import re
from collections.abc import Callable

from invalidation_app import undoing
from redis_fixture import RedisProcess

from perftui.cache.invalidation import Invalidation
from perftui.cache.undo_journal import MOST_KEYS, directory, journals

Start = Callable[..., RedisProcess]


def delete(server: RedisProcess, pattern: str) -> str:
    """Delete keys as the dialog does; returns the journal."""
    result = Invalidation(server.client, pattern, audit_as="bob", keep=True).run()
    assert result.kept is not None
    return result.kept.id


async def test_the_deletions_are_listed_and_one_is_undone(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.mset({f"a:{number}": "old" for number in range(30)} | {"b:1": 1})
    client.rpush("a:list", 1, 2, 3)
    client.pexpire("a:list", 500_000)
    delete(redis_server, "a:*")
    delete(redis_server, "b:*")
    client.set("a:1", "new")
    async with undoing(redis_server.url) as dialog:
        await dialog.sees("a:*", "b:*", "Deleted by bob", "enter goes on")
        # The newest comes first.
        await dialog.types("down")
        await dialog.sees("more up down choose")
        await dialog.types("enter")
        await dialog.sees("Type 31 and press enter", "written anew since stays as it is")
        await dialog.types(*"30", "enter")
        await dialog.sees("that is not 31: nothing was put back")
        await dialog.types("backspace", "1", "enter")
        await dialog.sees("complete: 30 keys put back", "1 key written anew since")
        await dialog.types("enter")
        assert dialog.closed
    assert client.get("a:1") == b"new"
    assert client.get("a:2") == b"old"
    assert client.lrange("a:list", 0, -1) == [b"1", b"2", b"3"]
    assert 400_000 < client.pttl("a:list") <= 500_000
    assert client.ttl("a:2") == -1
    assert [journal.header.pattern for journal in journals()] == [b"b:*"]


async def test_nothing_to_undo_is_said_and_what_comes_is_listed(redis_server: RedisProcess) -> None:
    async with undoing(redis_server.url, "20000101T000000-00000000") as dialog:
        await dialog.sees("that deletion can be undone no longer", "Nothing to undo")
        await dialog.types("enter")
        redis_server.client.set("a:1", 1)
        delete(redis_server, "a:*")
        await dialog.sees("Deleted by bob", "enter goes on")
        await dialog.types("escape")
        assert dialog.closed


async def test_the_keys_of_another_server_are_shown_and_refused(start_redis: Start) -> None:
    one, other = start_redis(), start_redis()
    one.client.set("a:1", 1)
    journal = delete(one, "a:*")
    async with undoing(other.url, journal) as dialog:
        await dialog.sees("a:*", "Cannot be put back", "is another server than the keys came from")
        await dialog.types("enter")
        assert "Type" not in dialog.text
        assert "enter goes on" not in dialog.text
    assert other.client.dbsize() == 0
    assert len(journals()) == 1


async def test_a_frozen_redis_holds_neither_the_list_nor_the_undo(
    redis_server: RedisProcess,
) -> None:
    client = redis_server.client
    pipe = client.pipeline(transaction=False)
    for number in range(MOST_KEYS):
        pipe.set(f"a:{number}", number)
    pipe.execute()
    delete(redis_server, "a:*")
    redis_server.freeze()
    async with undoing(redis_server.url) as dialog:
        await dialog.sees("100,000", "Cannot be put back: the server has not answered yet")
        await dialog.types("enter")
        await dialog.sees("did not answer within")
        redis_server.thaw()
        await dialog.sees("enter goes on")
        await dialog.types("enter")
        await dialog.sees("Type 100000")
        redis_server.freeze()
        await dialog.types(*"100000", "enter")
        await dialog.sees("Redis has not answered for")
        redis_server.thaw()
        await dialog.until(lambda: re.search(r"[1-9][\d,]* put back of", dialog.text) is not None)
        redis_server.freeze()
        await dialog.types("escape")
        await dialog.sees("cancelled:", "The journal stays")
        redis_server.thaw()
        some = client.dbsize()
        assert 0 < some < MOST_KEYS
        await dialog.types("escape")
        assert dialog.closed
    async with undoing(redis_server.url) as dialog:
        await dialog.sees("enter goes on")
        await dialog.types("enter")
        await dialog.sees("Type 100000")
        await dialog.types(*"100000", "enter")
        await dialog.sees("complete:", "written anew since")
    assert client.get("a:99999") == b"99999"
    assert len(client.keys("a:*")) == MOST_KEYS


async def test_what_redis_says_is_shown_and_the_journal_stays(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.set("a:1", "x" * 1000)
    journal = delete(redis_server, "a:*")
    async with undoing(redis_server.url, journal) as dialog:
        await dialog.sees("Type 1 and press enter")
        client.config_set("maxmemory", "1")
        await dialog.types("1", "enter")
        await dialog.sees("stopped early: 0 keys put back", "maxmemory", "The journal stays")
    client.config_set("maxmemory", "0")
    assert len(journals()) == 1


async def test_a_journal_that_another_perftui_used_meanwhile(redis_server: RedisProcess) -> None:
    redis_server.client.set("a:1", 1)
    journal = delete(redis_server, "a:*")
    async with undoing(redis_server.url, journal) as dialog:
        await dialog.sees("Type 1 and press enter")
        (directory() / f"{journal}.undo").unlink()
        await dialog.types("1", "enter")
        await dialog.sees("its keys are kept no longer")
        await dialog.types("escape")
        assert dialog.closed
