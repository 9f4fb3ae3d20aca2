"""Previews of every type from a real server: cut, counted, and refused in words."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable

import pytest
import redis
from redis_fixture import RedisProcess

from perftui.cache.codecs import encode
from perftui.cache.preview import LIMIT, MOST_ELEMENTS, Preview, preview
from perftui.cache.topology import topology

BIG = 100_000_000
FIELDS = 300_000


def look(server: RedisProcess, key: bytes, client: redis.Redis | None = None) -> Preview:
    """Return the preview; what it says it was counted as is what Redis counted."""
    where = topology(client or server.client)
    server.client.config_resetstat()
    found = preview(where, key)
    stats = server.client.info("stats")
    assert (stats["keyspace_hits"], stats["keyspace_misses"]) == (found.hits, found.misses)
    return found


def sent(server: RedisProcess) -> int:
    return int(server.client.info("stats")["total_net_output_bytes"])


def test_a_string_with_the_own_header(redis_server: RedisProcess) -> None:
    ends = int(time.time() + 60) * 1000
    redis_server.client.set("app:1", encode({"a": [1]}, "json", expiry_ms=ends), px=90_000)
    found = look(redis_server, b"app:1")
    assert (found.type, found.form, found.unit) == ("string", "perftui, JSON", "bytes")
    assert found.lines == ("{", '  "a": [', "    1", "  ]", "}")
    assert found.expiry == ends / 1000
    assert found.ttl is not None
    assert 30 < found.ttl <= 90
    assert found.encoding == "embstr"
    assert found.idle is not None
    assert found.length == found.shown
    assert not found.cut


def test_collections(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.rpush("l", "one", b"\xff", '{"a":1}')
    client.sadd("s", "only")
    client.zadd("z", {"low": 1.5, "high": 20})
    client.hset("h", mapping={"name": "ann\x1b[2J", "n": 1})
    client.xadd("x", {"who": "ann"}, id="1700000000000-0")
    client.pfadd("p", *map(str, range(1000)))
    client.pfcount("p")
    assert look(redis_server, b"l").lines == ("one", "(hexadecimal) ff", '{ "a": 1 }')
    assert look(redis_server, b"s").lines == ("only",)
    assert look(redis_server, b"z").lines == ("         1.5  low", "          20  high")
    found = look(redis_server, b"h")
    assert set(found.lines) == {"name = ann\\x1b[2J", "n = 1"}
    assert (found.length, found.shown, found.unit, found.cut) == (2, 2, "fields", False)
    assert look(redis_server, b"x").lines == ("1700000000000-0  2023-11-14 22:13:20  who = ann",)
    found = look(redis_server, b"p")
    assert found.form.startswith("HyperLogLog")
    about = int(found.lines[0].rpartition(" ")[2].replace(",", ""))
    assert 900 < about < 1100


def test_a_key_that_is_gone(redis_server: RedisProcess) -> None:
    found = look(redis_server, b"absent")
    assert (found.type, found.lines) == ("none", ())
    assert found.misses > 0


def test_a_huge_string_is_cut(redis_server: RedisProcess) -> None:
    redis_server.client.setrange("big", BIG, "x")
    before = sent(redis_server)
    found = look(redis_server, b"big")
    assert (found.length, found.shown, found.cut) == (BIG + 1, LIMIT, True)
    assert sent(redis_server) - before < LIMIT + 20_000


def test_a_compressed_string(redis_server: RedisProcess) -> None:
    redis_server.client.set("z", zlib.compress(b'{"a":' + b"1" * 100 + b"}"))
    assert look(redis_server, b"z").form == "zlib, JSON"


def test_a_hash_of_many_fields(redis_server: RedisProcess) -> None:
    script = "for n = 1, ARGV[1] do redis.call('HSET', KEYS[1], 'f' .. n, 'v' .. n) end"
    redis_server.client.eval(script, 1, "h", FIELDS)
    before = sent(redis_server)
    found = look(redis_server, b"h")
    assert (found.length, found.shown, found.cut) == (FIELDS, MOST_ELEMENTS, True)
    assert all(" = v" in line for line in found.lines)
    assert sent(redis_server) - before < LIMIT


def test_large_elements_are_not_read(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.hset("h", mapping={"small": "1", "large": "x" * 5_000_000})
    client.rpush("l", "y" * 5_000_000)
    client.sadd("s", "z" * 5_000_000)
    client.zadd("z", {"z" * 5_000_000: 1})
    client.xadd("x", {"f": "z" * 5_000_000})
    before = sent(redis_server)
    assert look(redis_server, b"h").lines == ("large = (5,000,000 bytes, not read)", "small = 1")
    for key in (b"l", b"s", b"z", b"x"):
        found = look(redis_server, key)
        assert found.lines == ()
        assert found.cut
        assert "not read" in found.notes[0]
    assert sent(redis_server) - before < LIMIT


def test_what_this_user_may_not(redis_server: RedisProcess) -> None:
    admin = redis_server.client
    admin.set("app:1", "x")
    users = {
        "noget": ["+@all", "-getrange"],
        "nosize": ["+@all", "-memory", "-object"],
        "notype": ["+@all", "-type"],
    }
    for name, rules in users.items():
        admin.execute_command("ACL", "SETUSER", name, "on", "nopass", "~*", *rules)
    clients = {
        name: redis.Redis(unix_socket_path=redis_server.socket, username=name, password="x")
        for name in users
    }
    found = look(redis_server, b"app:1", clients["noget"])
    assert "getrange" in found.refused
    assert (found.type, found.lines) == ("string", ())
    found = look(redis_server, b"app:1", clients["nosize"])
    assert (found.lines, found.size, found.idle, found.refused) == (("x",), None, None, "")
    assert "size is not known" in found.notes[0]
    found = look(redis_server, b"app:1", clients["notype"])
    assert "type" in found.refused
    for client in clients.values():
        client.close()


def test_a_frozen_server_is_not_waited_for_for_ever(
    redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = topology(redis_server.client)
    init: Callable[..., None] = preview.__globals__["Conversation"].__init__
    monkeypatch.setattr(init, "__defaults__", (0.2,))
    redis_server.freeze()
    with pytest.raises(redis.TimeoutError):
        preview(where, b"a")
    redis_server.thaw()
