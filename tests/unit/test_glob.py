"""The glob patterns against a real Redis."""

from __future__ import annotations

import os
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis_fixture import RedisProcess

from perftui.cache.glob import escape, is_literal, literal, literal_prefix, matcher

ALPHABET = b"ab-*?[]\\^c\n\x00\xff\x80{"
ODD = [
    *(b"*", b"**", b"***", b"?", b"[", b"[^", b"[]", b"[^]", b"[a", b"[a-", b"[a-]", b"[]a]"),
    *(b"[^a-c]*", b"[c-a]", b"\\", b"a\\", b"\\*", b"*\\", b"[\\]]", b"[a\\", b"[!a]", b"{a}"),
    *(b"[\xff-\x80]", b"[\x7f-\x80]", b"a*b*c*", b"*a*b", b"[^^]", b"[a^]", b"a.c", b"(a|b)"),
    *(b"*[*", b"?*?", b"\\[a]"),
]


def _redis_keys(server: RedisProcess, pattern: bytes) -> set[bytes]:
    return set(server.client.execute_command("KEYS", pattern))


def test_finds_the_keys_that_redis_finds(redis_server: RedisProcess) -> None:
    randomness = random.Random(7)

    def text(longest: int) -> bytes:
        return bytes(randomness.choices(ALPHABET, k=randomness.randint(0, longest)))

    keys = {text(6) for _ in range(400)} | {b"", b"a", b"ab", b"a.c", b"abc", b"a\nc", b"(a|b)"}
    redis_server.client.mset(dict.fromkeys(keys, b""))
    for pattern in [*ODD, *(text(7) for _ in range(1500))]:
        matches = matcher(pattern)
        assert {key for key in keys if matches(key)} == _redis_keys(redis_server, pattern), pattern


@pytest.mark.skipif(
    not os.environ.get("PERFTUI_LONG_TESTS"), reason="a minute long: set PERFTUI_LONG_TESTS=1"
)
def test_12_000_patterns_find_the_keys_that_redis_finds(redis_server: RedisProcess) -> None:
    randomness = random.Random(12)

    def text(longest: int) -> bytes:
        return bytes(randomness.choices(ALPHABET, k=randomness.randint(0, longest)))

    keys = {text(8) for _ in range(1000)}
    redis_server.client.mset(dict.fromkeys(keys, b""))
    for _ in range(12_000):
        pattern = text(9)
        matches = matcher(pattern)
        assert {key for key in keys if matches(key)} == _redis_keys(redis_server, pattern), pattern


def test_an_escaped_key_finds_itself_alone(redis_server: RedisProcess) -> None:
    randomness = random.Random(8)
    keys = {bytes(randomness.choices(ALPHABET, k=randomness.randint(1, 5))) for _ in range(300)}
    redis_server.client.mset(dict.fromkeys(keys, b""))
    for key in keys:
        assert _redis_keys(redis_server, escape(key)) == {key}


@given(st.binary())
def test_escape_is_the_inverse_of_literal(key: bytes) -> None:
    assert literal(escape(key)) == key
    assert matcher(escape(key))(key)


@given(st.binary(), st.binary())
def test_every_match_begins_with_the_literal_prefix(pattern: bytes, key: bytes) -> None:
    if matcher(pattern)(key):
        assert key.startswith(literal_prefix(pattern))


@given(st.binary(), st.binary())
def test_a_literal_pattern_matches_one_key(pattern: bytes, key: bytes) -> None:
    expected = literal(pattern)
    if expected is not None:
        assert matcher(pattern)(key) == (key == expected)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (b"plain", True),
        (b"a*", False),
        (b"a\\*", True),
        (b"a[b]", False),
        (b"", True),
        (b"a?", False),
    ],
)
def test_knows_a_pattern_without_wildcards(pattern: bytes, expected: bool) -> None:
    assert is_literal(pattern) is expected


def test_many_stars_do_not_take_exponential_time() -> None:
    matches = matcher(b"*a" * 25 + b"*b")
    start = time.perf_counter()
    assert not matches(b"a" * 5000)
    assert time.perf_counter() - start < 5
