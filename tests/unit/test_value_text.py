"""Values as text: every format is told, nothing harms a terminal, nothing explodes or is run."""

from __future__ import annotations

import gzip
import json
import pickle
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.cache.codecs import MAGIC, encode, placeholder
from perftui.cache.value_text import LONGEST_LINE, MOST_LINES, one_line, value_text

KEY = b"0123456789abcdef"
VALUE = {"id": 4711, "name": "名前", "tags": ["a", "b"], "none": None, "empty": {}, "list": []}
TEN_MILLION = 10_000_000


class Trap:
    """A value that tells when somebody loads it."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was loaded",))


def harmless(text: str) -> bool:
    return text.isprintable()


def test_json_is_drawn_one_value_a_line() -> None:
    found = value_text(json.dumps(VALUE, ensure_ascii=False).encode())
    assert found.form == "JSON"
    assert "\n".join(found.lines) == json.dumps(VALUE, indent=2, ensure_ascii=False)
    assert not found.cut


def test_json_that_is_cut_is_drawn_as_far_as_it_goes() -> None:
    found = value_text(b'{"a": [1, 2, {"b": "x\\"y', whole=False)
    assert found.form == "JSON"
    assert found.lines == ("{", '  "a": [', "    1,", "    2,", "    {", '      "b": "x\\"y')
    assert found.cut


def test_what_only_looks_like_json_is_text() -> None:
    assert value_text(b"[INFO] started").form == "text"
    assert value_text(b"{user}").lines == ("{user}",)


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_the_own_header_is_taken_off_and_its_expiry_told(codec: str) -> None:
    data = encode({"a": 1}, codec, expiry_ms=1_700_000_000_123)  # type: ignore[arg-type]
    found = value_text(data)
    name = {"json": "JSON", "msgpack": "MessagePack"}[codec]
    assert (found.form, found.expiry_ms, found.notes) == (f"perftui, {name}", 1_700_000_000_123, ())
    assert found.lines == ("{", '  "a": 1', "}")


def test_own_values_of_other_sorts() -> None:
    assert value_text(encode("hello", "raw")).lines == ("hello",)
    assert value_text(encode("hello", "raw")).form == "perftui, text"
    assert value_text(encode(b"\x00\x01", "raw")).form == "perftui, hexadecimal"
    assert value_text(encode(5, "msgpack")).lines == ("5",)
    assert value_text(encode("", "raw")).form == "perftui, text, empty"
    assert value_text(encode("x", "json")).expiry_ms == 0
    assert "loading" in value_text(placeholder(b"token")).form


def test_a_damaged_own_value_is_told() -> None:
    data = bytearray(encode({"a": 1}, "json"))
    data[-2] ^= 1
    assert "checksum" in value_text(bytes(data)).notes[0]
    assert value_text(bytes(data), whole=False).notes == ()
    assert "cut" in value_text(MAGIC + b"J").form
    assert "unknown codec 90" in value_text(MAGIC + b"Z" + bytes(12) + b"x").form


def test_no_pickle_is_ever_loaded() -> None:
    for data in (
        *(pickle.dumps(Trap(), protocol) for protocol in (2, 3, 4, 5)),
        encode(Trap(), "pickle", pickle_key=KEY),
        zlib.compress(pickle.dumps(Trap())),
    ):
        found = value_text(data)
        assert "pickle" in found.form
        assert "not loaded" in found.notes[0]


@pytest.mark.parametrize(("squeeze", "name"), [(gzip.compress, "gzip"), (zlib.compress, "zlib")])
def test_compressed_values_are_taken_apart_to_a_limit(squeeze: object, name: str) -> None:
    assert callable(squeeze)
    assert value_text(squeeze(b'{"a":1}')).form == f"{name}, JSON"
    found = value_text(squeeze(bytes(TEN_MILLION)))
    assert found.cut
    assert found.form == f"{name}, hexadecimal"
    half = squeeze(b"hello " * 20_000 + bytes(range(256)) * 99)
    assert value_text(half[: len(half) // 2], whole=False).lines[0].startswith("hello hello")


def test_other_formats() -> None:
    assert value_text(b"").form == "empty"
    assert value_text(b"-12.5").form == "number"
    assert value_text(b"one\r\ntwo\n").lines == ("one", "two")
    assert value_text(msgspec.msgpack.encode({"a": b"\x00"})).lines[1] == "  \"a\": b'\\x00'"
    assert value_text(b"\x28\xb5\x2f\xfd\x00\x01").form == "Zstandard, compressed, hexadecimal"
    row = value_text(b"\x00\x01\xff" + b"A" * 20).lines
    assert row[0].startswith("00000000  00 01 ff 41")
    assert row[0].endswith("...AAAAAAAAAAAAA")
    assert len(row) == 2


def test_a_character_that_is_cut_in_two_is_left_out() -> None:
    data = "ab名前".encode()
    assert value_text(data[:-1], whole=False).lines == ("ab名",)
    assert value_text(data[:-1]).form == "hexadecimal"


def test_long_and_deep_values_are_bounded() -> None:
    many = value_text(b"x\n" * 5_000)
    assert len(many.lines) == MOST_LINES
    assert many.cut
    wide = value_text(b"y" * 65_536)
    assert len(wide.lines[0]) == LONGEST_LINE
    assert wide.cut
    deep = value_text(b"[" * 60_000, whole=False)
    assert deep.cut
    assert max(map(len, deep.lines)) < 100
    nested: object = 1
    for _ in range(100):
        nested = [nested]
    assert value_text(msgspec.msgpack.encode(nested)).lines[24].strip() == "..."


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "(empty)"),
        (b"plain", "plain"),
        (b"\x1b[2J", "\\x1b[2J"),
        (b"a\nb", "a b"),
        (b'{"a": 1}', '{ "a": 1 }'),
        (b"\xff\x00", "(hexadecimal) ff 00"),
        (b"z" * 9_000, "z" * (LONGEST_LINE - 3) + "..."),
    ],
    ids=["empty", "text", "escape", "lines", "json", "bytes", "long"],
)
def test_one_line(data: bytes, line: str) -> None:
    assert one_line(data) == line


SOME = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=200).map(zlib.compress),
    st.binary(max_size=200).map(lambda data: MAGIC + data),
    st.binary(max_size=100).map(lambda data: MAGIC + b"M" + bytes(12) + data),
    st.recursive(
        st.none() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ).map(msgspec.msgpack.encode),
)


@given(SOME, st.booleans())
def test_any_bytes_are_shown_without_harm(data: bytes, whole: bool) -> None:
    found = value_text(data, whole)
    assert all(map(harmless, found.lines))
    assert harmless(found.form)
    assert len(found.lines) <= MOST_LINES
    assert all(len(line) <= 10 * LONGEST_LINE for line in found.lines)
    line = one_line(data)
    assert harmless(line)
    assert line
