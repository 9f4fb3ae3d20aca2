"""Deleted keys come back with value, type and expiry, and nothing newer is ever overwritten."""

from __future__ import annotations

import os
import secrets
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis_fixture import RedisProcess

from perftui.cache import capture as capture_module
from perftui.cache import undo_journal
from perftui.cache.codecs import placeholder
from perftui.cache.invalidation import Invalidation, InvalidationResult
from perftui.cache.undo import Undo, UndoResult
from perftui.cache.undo_journal import (
    NO_EXPIRY,
    Deleted,
    Journal,
    JournalError,
    JournalWriter,
    journals,
)


def _delete(
    server: RedisProcess, pattern: str, where: Path, client: redis.Redis | None = None
) -> InvalidationResult:
    return Invalidation(client or server.client, pattern, keep=True, journals=where).run()


def _undo(server: RedisProcess, where: Path) -> UndoResult:
    return Undo(server.client, journals(where)[0]).run()


def _fill_all_types(client: redis.Redis) -> None:
    client.set("app:string", b"\x00\xff\r\n")
    client.set("app:number", 12345)
    client.rpush("app:list", *range(500))
    client.hset("app:hash", mapping={f"f{n}": n for n in range(600)})
    client.sadd("app:set", *range(1000))
    client.sadd("app:words", "a", "b")
    client.zadd("app:zset", {f"m{n}": n / 3 for n in range(300)})
    client.xadd("app:stream", {"a": 1})
    client.xgroup_create("app:stream", "group", id="0")
    client.xreadgroup("group", "someone", {"app:stream": ">"})
    client.pfadd("app:hll", *range(100))
    client.set(b"app:\xff\x1b[2J", b"odd")
    client.setbit("app:bits", 1000, 1)


def _state(client: redis.Redis) -> dict[bytes, tuple[Any, bytes, int]]:
    read: dict[Any, Callable[[bytes], Any]] = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    found: Any = client.keys("*")
    return {
        key: (read[client.type(key)](key), client.object("encoding", key), client.pttl(key))
        for key in found
    }


def test_every_type_comes_back_with_its_expiry(redis_server: RedisProcess, tmp_path: Path) -> None:
    client = redis_server.client
    _fill_all_types(client)
    client.pexpire("app:hash", 90_000)
    client.pexpire("app:list", 3_600_000)
    client.set("other", 1)
    before = _state(client)
    pending = client.xpending("app:stream", "group")
    result = _delete(redis_server, "app:*", tmp_path)
    assert (result.deleted, result.error, client.dbsize()) == (11, "", 1)
    assert result.kept is not None
    assert (result.kept.keys, result.kept.not_kept, result.kept.too_large) == (11, 0, 0)
    time.sleep(0.2)
    undone = _undo(redis_server, tmp_path)
    assert (undone.restored, undone.complete, undone.error) == (11, True, "")
    after = _state(client)
    assert after.keys() == before.keys()
    for key, (value, encoding, ttl) in before.items():
        assert after[key][:2] == (value, encoding)
        # The expiry is a moment, so the time between has passed for the key too.
        assert ttl - 20_000 < after[key][2] <= (ttl if ttl < 0 else ttl - 200)
    assert client.xpending("app:stream", "group") == pending
    assert journals(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_lease_of_a_loader_goes_and_does_not_come_back(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    client = redis_server.client
    client.set("app:loading", placeholder(secrets.token_hex(8).encode()), px=60_000)
    client.set("app:value", "v")
    result = _delete(redis_server, "app:*", tmp_path)
    assert (result.deleted, result.error, client.dbsize()) == (2, "", 0)
    assert result.kept is not None
    assert result.kept.keys == 1
    assert _undo(redis_server, tmp_path).restored == 1
    assert client.keys("*") == [b"app:value"]


def test_what_was_written_since_stays_as_it_is(redis_server: RedisProcess, tmp_path: Path) -> None:
    redis_server.client.mset({f"app:{n}": "old" for n in range(300)})
    _delete(redis_server, "app:*", tmp_path)
    redis_server.client.mset({f"app:{n}": "new" for n in range(0, 300, 3)})
    undone = _undo(redis_server, tmp_path)
    assert (undone.restored, undone.newer, undone.complete) == (200, 100, True)
    values = [redis_server.client.get(f"app:{n}") for n in range(300)]
    assert values == [b"old" if n % 3 else b"new" for n in range(300)]


def test_a_key_that_would_have_expired_stays_away(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    redis_server.client.set("app:short", 1, px=150)
    redis_server.client.set("app:long", 1, px=60_000)
    assert _delete(redis_server, "app:*", tmp_path).deleted == 2
    time.sleep(0.25)
    undone = _undo(redis_server, tmp_path)
    assert (undone.restored, undone.expired, undone.complete) == (1, 1, True)
    assert redis_server.client.keys() == [b"app:long"]


def test_only_the_user_can_read_a_journal(redis_server: RedisProcess, tmp_path: Path) -> None:
    redis_server.client.set("app:1", "secret")
    where = tmp_path / "undo"
    old = os.umask(0)
    try:
        result = _delete(redis_server, "app:*", where)
    finally:
        os.umask(old)
    assert result.kept is not None
    assert stat.S_IMODE(Path(result.kept.path).stat().st_mode) == 0o600
    assert stat.S_IMODE(where.stat().st_mode) == 0o700


def test_beyond_the_limit_keys_are_deleted_and_counted(
    redis_server: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo_journal, "MOST_KEYS", 250)
    redis_server.client.mset({f"app:{n}": n for n in range(1000)})
    result = _delete(redis_server, "app:*", tmp_path)
    assert (result.deleted, redis_server.client.dbsize()) == (1000, 0)
    assert result.kept is not None
    assert result.kept.keys + result.kept.not_kept == 1000
    assert 250 <= result.kept.keys < 250 + capture_module.CHUNK
    assert _undo(redis_server, tmp_path).restored == result.kept.keys


def test_a_large_value_is_deleted_and_not_kept(redis_server: RedisProcess, tmp_path: Path) -> None:
    redis_server.client.mset({"app:big": b"x" * 1_500_000, "app:small": b"y"})
    result = _delete(redis_server, "app:*", tmp_path)
    assert result.deleted == 2
    assert result.kept is not None
    assert (result.kept.keys, result.kept.too_large) == (1, 1)


def test_many_large_values_go_in_several_steps(redis_server: RedisProcess, tmp_path: Path) -> None:
    values = {f"app:{n}": os.urandom(300_000) for n in range(40)}
    redis_server.client.mset(values)
    result = _delete(redis_server, "app:*", tmp_path)
    assert (result.deleted, result.kept and result.kept.keys) == (40, 40)
    assert _undo(redis_server, tmp_path).restored == 40
    assert redis_server.client.mget(values) == list(values.values())


def test_foreign_keys_among_others_are_denied_one_by_one(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    redis_server.client.mset({f"{'app' if n % 3 else 'other'}:{n}": n for n in range(300)})
    redis_server.client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "+@all", "~app:*")
    client = redis.Redis(unix_socket_path=redis_server.socket, username="ann", password="pw")
    result = _delete(redis_server, "*", tmp_path, client)
    assert (result.deleted, result.denied, result.error) == (200, 100, "")
    assert result.kept is not None
    assert result.kept.keys == 200


@pytest.mark.parametrize("missing", ["restore", "dump", "eval", "memory"])
def test_without_the_rights_it_deletes_and_says_so(
    redis_server: RedisProcess, tmp_path: Path, missing: str
) -> None:
    redis_server.client.mset({"app:1": 1, "app:2": 2})
    redis_server.client.execute_command(
        "ACL", "SETUSER", "ann", "on", ">pw", "+@all", f"-{missing}", "~*", "&*"
    )
    client = redis.Redis(unix_socket_path=redis_server.socket, username="ann", password="pw")
    result = _delete(redis_server, "app:*", tmp_path, client)
    assert (result.deleted, result.complete, result.kept) == (2, True, None)
    (note,) = result.notes
    assert note.startswith("not to be undone: this user may not run")
    assert missing in note.lower()
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_ran_out_of_memory_refuses_and_the_journal_stays(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    redis_server.client.mset({f"app:{n}": "x" * 100 for n in range(100)})
    redis_server.client.config_set("maxmemory", 1)
    result = _delete(redis_server, "app:*", tmp_path)
    assert (result.deleted, result.error) == (100, "")
    undone = _undo(redis_server, tmp_path)
    assert undone.restored == 0
    assert "maxmemory" in undone.error
    redis_server.client.config_set("maxmemory", 0)
    assert _undo(redis_server, tmp_path).restored == 100


def test_a_restarted_server_gets_nothing_back(redis_server: RedisProcess, tmp_path: Path) -> None:
    redis_server.client.set("app:1", 1)
    _delete(redis_server, "app:*", tmp_path)
    redis_server.restart()
    undone = _undo(redis_server, tmp_path)
    assert (undone.restored, undone.complete) == (0, False)
    assert "restarted" in undone.error
    assert len(journals(tmp_path)) == 1


def test_another_database_gets_nothing_back(redis_server: RedisProcess, tmp_path: Path) -> None:
    redis_server.client.set("app:1", 1)
    _delete(redis_server, "app:*", tmp_path)
    other = redis.Redis(unix_socket_path=redis_server.socket, db=1)
    undone = Undo(other, journals(tmp_path)[0]).run()
    assert "database 0" in undone.error
    assert other.dbsize() == 0


def test_an_old_journal_is_removed(redis_server: RedisProcess, tmp_path: Path) -> None:
    redis_server.client.set("app:1", 1)
    result = _delete(redis_server, "app:*", tmp_path)
    assert result.kept is not None
    path = Path(result.kept.path)
    journal = Journal(path)
    old = time.time() - undo_journal.LIFETIME - 1
    os.utime(path, (old, old))
    foreign = tmp_path / "notes.undo"
    foreign.write_text("not ours")
    os.utime(foreign, (old, old))
    assert journals(tmp_path) == []
    assert not path.exists()
    assert foreign.exists()
    assert journal.header.pattern == b"app:*"


def test_an_undo_is_audited(redis_server: RedisProcess, tmp_path: Path) -> None:
    from perftui.cache.audit import read_audit

    redis_server.client.mset({"app:1": 1, "app:2": 1})
    Invalidation(redis_server.client, "app:*", audit_as="ann", keep=True, journals=tmp_path).run()
    Undo(redis_server.client, journals(tmp_path)[0], audit_as="bob").run()
    undo, invalidation = read_audit(redis_server.client)
    assert (undo.who, undo.action, undo.deleted, undo.pattern) == ("bob", "undo", 2, b"app:*")
    assert (invalidation.who, invalidation.action) == ("ann", "invalidate")
    assert (invalidation.matched, invalidation.deleted, invalidation.denied) == (2, 2, 0)
    assert invalidation.complete
    assert abs(undo.time - time.time()) < 60


def test_the_journal_cannot_be_written(redis_server: RedisProcess, tmp_path: Path) -> None:
    redis_server.client.set("app:1", 1)
    where = tmp_path / "file"
    where.write_text("in the way")
    result = _delete(redis_server, "app:*", where)
    assert (result.deleted, result.complete) == (0, False)
    assert "file" in result.error
    assert redis_server.client.exists("app:1")


def _writer(where: Path) -> JournalWriter:
    return JournalWriter(
        address="a", db=0, servers=("r",), version="7.0.15", pattern=b"*", who="ann", where=where
    )


_KEYS = st.lists(
    st.builds(Deleted, st.binary(), st.integers(NO_EXPIRY, 2**62), st.binary()), min_size=1
)


@given(_KEYS, st.integers(0, 2**32), st.integers(0, 2**32), st.integers(1, 255))
def test_a_cut_or_damaged_journal_gives_what_is_whole(
    tmp_path_factory: pytest.TempPathFactory, keys: list[Deleted], cut: int, place: int, bits: int
) -> None:
    where = tmp_path_factory.mktemp("undo")
    writer = _writer(where)
    start = writer.size
    writer.add(keys)
    writer.close()
    whole = Journal(writer.path)
    assert list(whole.deleted()) == keys
    assert not whole.truncated
    content = writer.path.read_bytes()
    # The header has the time in it, so that the length is not the same each time.
    writer.path.write_bytes(content[: start + cut % (len(content) - start)])
    found = list(Journal(writer.path).deleted())
    assert found == keys[: len(found)]
    assert len(found) < len(keys)
    damaged = bytearray(content)
    damaged[start + place % (len(content) - start)] ^= bits
    writer.path.write_bytes(damaged)
    journal = Journal(writer.path)
    found = list(journal.deleted())
    assert found == keys[: len(found)]
    assert len(found) < len(keys)
    assert journal.truncated


@given(st.binary())
def test_a_file_that_is_none_is_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("undo") / "x.undo"
    path.write_bytes(content)
    with pytest.raises(JournalError):
        Journal(path)


def test_undo_on_the_other_version(
    start_redis: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    writer = JournalWriter(
        address="a",
        db=0,
        servers=("r",),
        version="99.0.0",
        pattern=b"*",
        who="ann",
        where=tmp_path,
    )
    server = start_redis()
    run_id = server.client.info("server")["run_id"]
    writer.add([Deleted(b"a", NO_EXPIRY, b"x")])
    writer.close()
    content = writer.path.read_bytes()
    assert b'"r"' in content
    journal = Journal(writer.path)
    object.__setattr__(journal, "header", _with_servers(journal, run_id))
    undone = Undo(server.client, journal).run()
    assert "version 99.0.0" in undone.error


def _with_servers(journal: Journal, run_id: str) -> undo_journal.Header:
    import msgspec

    return msgspec.structs.replace(journal.header, servers=(run_id,))


def test_a_program_killed_half_way_leaves_a_journal_of_all_it_deleted(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    for start in range(0, 30_000, 10_000):
        redis_server.client.mset({f"app:{n}": n for n in range(start, start + 10_000)})
    program = f"""
import os, pathlib, signal, redis
from perftui.cache.invalidation import Invalidation
client = redis.Redis(unix_socket_path={redis_server.socket!r})
def kill(progress):
    if progress.deleted:
        os.kill(os.getpid(), signal.SIGKILL)
Invalidation(client, "app:*", keep=True, journals=pathlib.Path({str(tmp_path)!r})).run(kill)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    left = redis_server.client.dbsize()
    assert 0 < left < 30_000
    undone = _undo(redis_server, tmp_path)
    assert (undone.restored, undone.truncated) == (30_000 - left, False)
    assert redis_server.client.dbsize() == 30_000
