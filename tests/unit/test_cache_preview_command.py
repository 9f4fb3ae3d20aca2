"""`perftui cache get` as a shell sees it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis_fixture import RedisProcess

from perftui import cli
from perftui.cache.glob import literal
from perftui.cache.typed_pattern import key_bytes, pattern_bytes, shown_key, typed_key


def test_text(
    redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    redis_server.client.set("user:[1]", '{"a": "\x1b[2J"}')
    assert cli.main(["cache", "get", "user:[1]"]) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0] == "user:[1]"
    assert said[1].startswith("string, ")
    assert "never expires" in said[1]
    assert "\x1b" not in "".join(said)
    redis_server.client.rpush("l", *range(5_000))
    assert cli.main(["cache", "get", "l"]) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[-1] == "... 100 of 5,000 elements were read"


def test_json(
    redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    redis_server.client.set(b"k\xff\\", "hello", px=60_000)
    for key in (os.fsdecode(b"k\xff\\\\"), r"k\xff\\", r"k\xff\x5c"):
        assert cli.main(["cache", "get", key, "--json"]) == 0
        found = json.loads(capfd.readouterr().out)
        assert base64.b64decode(found["key_base64"]) == b"k\xff\\"
        assert (found["type"], found["form"], found["lines"]) == ("string", "text", ["hello"])
        assert 0 < found["ttl"] <= 60
        assert found["lookups"] > 0


def test_what_cannot_be_shown(
    redis_server: RedisProcess,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    assert cli.main(["cache", "get"]) == 2
    assert "perftui cache get KEY" in capfd.readouterr().err
    assert cli.main(["cache", "get", "absent"]) == 1
    assert "there is no key absent" in capfd.readouterr().err
    redis_server.client.set("s", "x")
    redis_server.client.execute_command(
        "ACL", "SETUSER", "ann", "on", ">secret", "~*", "+@all", "-getrange"
    )
    monkeypatch.setenv("REDIS_URL", f"{redis_server.url}?username=ann&password=secret")
    assert cli.main(["cache", "get", "s"]) == 1
    said = capfd.readouterr().err
    assert "does not allow user ann to run GETRANGE" in said
    assert "ACL SETUSER ann +getrange" in said
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/gone")
    assert cli.main(["cache", "get", "s"]) == 1
    assert "does not exist" in capfd.readouterr().err


@given(st.binary(max_size=30))
def test_a_key_that_is_copied_is_found_as_a_pattern_and_as_a_key(key: bytes) -> None:
    assert literal(pattern_bytes(typed_key(key))) == key
    assert key_bytes(typed_key(key)) == key
    assert key_bytes(shown_key(key)) == key
    assert typed_key(key).isprintable()
