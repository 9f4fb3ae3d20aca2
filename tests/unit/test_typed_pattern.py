r"""Patterns as they are typed: a key can be typed as the screen shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.cache.glob import matcher
from perftui.text import printable
from perftui.tui.invalidation_jobs import pattern_bytes


@pytest.mark.parametrize(
    ("typed", "pattern"),
    [
        ("user:*", b"user:*"),
        (r"\xff\x9b", b"\xff\x9b"),
        (r"a\nb\r\t", b"a\nb\r\t"),
        (r"\u540d", "名".encode()),
        (r"\U0001f600", "😀".encode()),
        ("名", "名".encode()),
        # A byte is never a wildcard, whatever it is.
        (r"\x2a", rb"\*"),
        (r"\x5c", b"\\\\"),
        # What Redis itself escapes stays as it is, so that no second backslash is taken for one.
        (r"\*", rb"\*"),
        (r"\\x41", rb"\\x41"),
        (r"[\x41-\x5a]", b"[A-Z]"),
        ("\\", b"\\"),
        (r"\x4", rb"\x4"),
    ],
)
def test_typed_pattern(typed: str, pattern: bytes) -> None:
    assert pattern_bytes(typed) == pattern


@given(st.binary(min_size=1, max_size=12), st.booleans())
def test_a_key_can_be_typed_as_it_is_seen(key: bytes, ascii_only: bool) -> None:
    # These are special to patterns and must be escaped by the person; they are shown as they are.
    key = bytes(byte for byte in key if byte not in b"\\*?[]^") or b"k"
    seen = printable(key.decode("utf-8", "backslashreplace"), ascii_only)
    assert matcher(pattern_bytes(seen))(key)
    assert not matcher(pattern_bytes(seen))(key + b"x")
