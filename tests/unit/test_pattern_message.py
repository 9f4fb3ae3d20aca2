"""The message about a pattern, and who gets it."""

from __future__ import annotations

import time

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis_fixture import RedisProcess

from perftui.cache.invalidation import Invalidation
from perftui.cache.pattern_message import (
    PatternMessageError,
    channel,
    decode_message,
    encode_message,
    message_for,
    prefix_of,
)


@given(st.binary(min_size=1), st.text())
def test_a_message_comes_back(glob: bytes, by: str) -> None:
    message = message_for(glob, by)
    assert decode_message(encode_message(message)) == message


@given(st.binary())
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(PatternMessageError):
        decode_message(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"v":2,"id":"x","glob":"Kg==","by":""}',
        b'{"v":1,"id":"x","glob":"","by":""}',
        b'{"v":1,"id":"x","glob":"K","by":""}',
        b'{"v":1,"id":"x","glob":"\xc3\xa9","by":""}',
        b'{"v":1,"id":1,"glob":"Kg==","by":""}',
        b"[" * 50_000,
        b'{"v":1,"glob":"' + b"A" * 200_000 + b'"}',
    ],
)
def test_messages_that_cannot_be_obeyed(data: bytes) -> None:
    with pytest.raises(PatternMessageError):
        decode_message(data)


def test_a_message_with_more_fields_is_understood() -> None:
    message = decode_message(b'{"v":1,"id":"x","glob":"Kg==","by":"ann","later":{"a":[1]}}')
    assert (message.glob, message.by) == (b"*", "ann")


@given(st.binary())
def test_a_channel_knows_its_prefix(prefix: bytes) -> None:
    assert prefix_of(channel(prefix)) == prefix


def _heard(listener: redis.client.PubSub, wanted: int) -> list[tuple[bytes, bytes]]:
    heard: list[tuple[bytes, bytes]] = []
    deadline = time.monotonic() + 5
    while len(heard) < wanted and time.monotonic() < deadline:
        message = listener.get_message(ignore_subscribe_messages=True, timeout=0.1)
        if message is not None:
            heard.append((message["channel"], message["data"]))
    return heard


def _listener(server: RedisProcess, *names: bytes) -> redis.client.PubSub:
    listener: redis.client.PubSub = redis.Redis(unix_socket_path=server.socket).pubsub()
    listener.subscribe(*names)
    for _ in names:
        assert listener.get_message(timeout=5) is not None
    return listener


def test_told_before_the_first_key_goes_and_after_the_last(redis_server: RedisProcess) -> None:
    redis_server.client.mset({f"app:user:{n}": n for n in range(100)})
    listener = _listener(redis_server, b"app:__inv", b"other:__inv", b"app:user:1__inv")
    redis_server.client.config_set("slowlog-log-slower-than", 0)
    result = Invalidation(redis_server.client, "app:user:1*", audit_as="ann").run()
    commands = [
        entry["command"].split()[:2] for entry in reversed(redis_server.client.slowlog_get(1000))
    ]
    redis_server.client.config_set("slowlog-log-slower-than", -1)
    told = [place for place, words in enumerate(commands) if words[0] == b"PUBLISH"]
    deleted = [
        place
        for place, words in enumerate(commands)
        if words[0] == b"UNLINK" and b"absent" not in words[1]
    ]
    assert told[0] < deleted[0]
    assert told[-1] > deleted[-1]
    heard = _heard(listener, 4)
    assert sorted(name for name, _ in heard) == sorted([b"app:__inv", b"app:user:1__inv"] * 2)
    messages = {decode_message(data) for _, data in heard}
    (message,) = messages
    assert (message.glob, message.by) == (b"app:user:1*", "ann")
    assert result.told == 2


def test_the_prefix_of_the_caller_is_told_in_any_case(redis_server: RedisProcess) -> None:
    listener = _listener(redis_server, b"shop:__inv")
    redis_server.client.execute_command(
        "ACL", "SETUSER", "ann", "on", ">pw", "+@all", "-pubsub", "~*", "&*"
    )
    client = redis.Redis(unix_socket_path=redis_server.socket, username="ann", password="pw")
    result = Invalidation(client, "shop:*", prefix=b"shop:").run()
    assert result.complete
    assert len(_heard(listener, 2)) == 2
    assert "cannot be found" in result.notes[0]


def test_a_user_who_may_not_publish_deletes_all_the_same(redis_server: RedisProcess) -> None:
    redis_server.client.set("app:1", 1)
    listener = _listener(redis_server, b"app:__inv")
    redis_server.client.execute_command(
        "ACL", "SETUSER", "ann", "on", ">pw", "+@all", "-publish", "~*", "&*"
    )
    client = redis.Redis(unix_socket_path=redis_server.socket, username="ann", password="pw")
    result = Invalidation(client, "app:*").run()
    assert (result.deleted, result.complete, result.told) == (1, True, 0)
    assert "not told at once" in result.notes[0]
    listener.close()
