"""Type and expiry of keys, and pages of keys that are broken off, refused or spread out."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis
from redis_fixture import RedisProcess
from test_invalidation_cluster import _fill, cluster

from perftui.cache.conversation import CancelledError, Conversation
from perftui.cache.key_details import GONE, KeyDetail, read_details
from perftui.cache.key_listing import KeyListing
from perftui.cache.preview import preview
from perftui.cache.topology import topology

__all__ = ["cluster"]


def test_details_say_what_they_were_counted_as(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.set("s", 1, px=90_000)
    client.hset("h", "a", 1)
    client.config_resetstat()
    found = read_details(topology(client), [b"s", b"h", b"gone"], threading.Event())
    stats = client.info("stats")
    assert (found.hits, found.misses) == (stats["keyspace_hits"], stats["keyspace_misses"])
    assert found.found[b"h"] == KeyDetail("hash", None)
    assert found.found[b"gone"] == KeyDetail(GONE, None)
    assert found.found[b"s"].type == "string"
    assert found.refused == ""


def test_a_cluster_is_asked_where_the_keys_are(cluster: list[RedisProcess]) -> None:
    keys = [f"app:{n}" for n in range(60)]
    _fill(cluster, keys)
    where = topology(cluster[1].client)
    found = read_details(where, [key.encode() for key in keys], threading.Event())
    assert {one.type for one in found.found.values()} == {"string"}
    assert len(found.found) == 60
    assert found.refused == ""
    for key in keys[:10]:
        shown = preview(where, key.encode())
        assert (shown.type, shown.lines, shown.refused) == ("string", (key,), "")
    where.close()


def test_a_page_that_is_broken_off_comes_with_the_next_one(
    redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.client.mset({f"k:{n}": 1 for n in range(50)})
    listing = KeyListing(redis_server.client, b"k:*")
    asked = Conversation.ask_each
    broken = []

    def break_off(talk: Conversation, commands: Any) -> list[Any]:
        commands = list(commands)
        if commands and commands[0][0] == "MEMORY" and not broken:
            broken.append(True)
            raise CancelledError
        return asked(talk, commands)

    monkeypatch.setattr(Conversation, "ask_each", break_off)
    with pytest.raises(CancelledError):
        listing.next_page(50)
    page = listing.next_page(50)
    assert len(page.keys) == 50
    assert (page.done, page.scanned, page.total) == (True, 50, 50)


def test_a_cancelled_listing_goes_on(redis_server: RedisProcess) -> None:
    redis_server.client.mset({f"k:{n}": 1 for n in range(2_000)})
    listing = KeyListing(redis_server.client, b"k:*")
    found = {one.key for one in listing.next_page(100).keys}
    listing.cancel()
    # What Redis had named already may still come.
    found |= {one.key for one in listing.next_page(10).keys}
    listing.go_on()
    while not (page := listing.next_page(500)).done:
        found |= {one.key for one in page.keys}
    found |= {one.key for one in page.keys}
    assert len(found) == 2_000


def test_sizes_that_are_refused_are_told(redis_server: RedisProcess) -> None:
    admin = redis_server.client
    admin.set("k", 1)
    admin.execute_command("ACL", "SETUSER", "ann", "on", "nopass", "~*", "+@all", "-memory")
    with redis.Redis(unix_socket_path=redis_server.socket, username="ann", password="x") as client:
        for pattern in (b"*", b"k"):
            admin.config_resetstat()
            page = KeyListing(client, pattern).next_page(10)
            assert [(one.key, one.size) for one in page.keys] == [(b"k", None)]
            assert "memory" in page.refused.lower()
            assert page.hits == admin.info("stats")["keyspace_hits"]
        assert KeyListing(client, b"absent").next_page(10).keys == ()
