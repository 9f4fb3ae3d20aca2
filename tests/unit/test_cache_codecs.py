"""What a codec gives back is what it got, or it says why it does not take it."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import math
import pickle
import uuid
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perftui.cache.codecs import (
    HEADER_SIZE,
    MAGIC,
    CodecError,
    CorruptError,
    decode,
    encode,
    expiry_of,
    is_placeholder,
    kept,
    placeholder,
)

SECRET = b"a secret of all services"
Text = Literal["json", "msgpack"]


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal, type by type; NaN is itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(same(a, c) and same(b, d) for (a, b), (c, d) in pairs)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and (
            one == other or (math.isnan(one) and math.isnan(other))
        )
    return bool(one == other)


class Colour(enum.IntEnum):
    RED = 1


class Word(enum.StrEnum):
    YES = "yes"


@dataclasses.dataclass
class Point:
    x: int = 1


class Pair(msgspec.Struct):
    x: int = 1


Named = collections.namedtuple("Named", "x")

ODD = [
    (1, 2),
    {1, 2},
    frozenset({1}),
    Named(1),
    b"bytes",
    bytearray(b"bytes"),
    memoryview(b"bytes"),
    decimal.Decimal("1.50"),
    datetime.datetime(2026, 1, 2, 3, 4, 5),
    datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    datetime.date(2026, 1, 2),
    datetime.timedelta(1),
    uuid.UUID(int=1),
    Colour.RED,
    Word.YES,
    Point(),
    Pair(),
    msgspec.Raw(b"1"),
    collections.OrderedDict(a=1),
    collections.defaultdict(int, a=1),
    2**70,
    -(10**4299),
    -(2**63) - 1,
    math.nan,
    math.inf,
    -math.inf,
    -0.0,
    "\ud800",
    "\x00\x1b[31m",
    object(),
    len,
    1j,
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.binary(max_size=20)
    | st.sampled_from(ODD)
)
KEYS = st.text(max_size=5) | st.integers() | st.binary(max_size=3) | st.none() | st.booleans()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=15,
)


@pytest.mark.parametrize("codec", ["json", "msgpack"])
@given(value=VALUES)
@settings(max_examples=400, deadline=None)
def test_a_value_comes_back_as_it_is_or_is_refused_in_words(codec: Text, value: Any) -> None:
    beginning = f"cannot cache as {codec}: "
    try:
        data = encode(value, codec)
    except CodecError as error:
        refusal = str(error)
    else:
        assert same(decode(data).value, value)
        assert same(kept(data), value)
        return
    assert refusal.startswith(beginning)
    assert len(refusal) > len(beginning) + 10


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5)
    ),
    max_leaves=30,
)


@pytest.mark.parametrize("codec", ["json", "msgpack"])
@given(value=PLAIN, expiry=st.none() | st.integers(1, 2**63 - 1))
@settings(max_examples=200, deadline=None)
def test_everything_that_json_knows_is_taken(codec: Text, value: Any, expiry: int | None) -> None:
    data = encode(value, codec, expiry_ms=expiry)
    found = decode(data)
    assert same(found.value, value)
    assert (found.codec, found.expiry_ms) == (codec, expiry)
    assert expiry_of(data) == (expiry or 0)
    assert same(decode(data, verify=False).value, value)


@pytest.mark.parametrize(
    ("value", "codec", "words"),
    [
        ((1, 2), "json", "type tuple, it would come back as a list"),
        ({"user": {"tags": ["a", {"b"}]}}, "json", "user.tags[1]: type set"),
        ({"a": {1: 2}}, "json", "a: the key 1 is of type int, it would come back as a str"),
        ([{"n": math.nan}], "json", "[0].n: float nan would come back as None"),
        ({"a": b"x"}, "json", "a: bytes would come back as text: use codec='msgpack'"),
        ({"at": datetime.date(2026, 1, 2)}, "json", "at: type datetime.date"),
        ({"price": decimal.Decimal(1)}, "msgpack", "price: type decimal.Decimal"),
        ([Colour.RED], "json", "Colour"),
        ({"a": bytearray(b"x")}, "msgpack", "a: type bytearray, it would come back as bytes"),
        ({"a": 2**64}, "msgpack", "a: the int has more than 64 bits"),
        ({"a": 10**4300}, "json", "a: the int has too many digits"),
        ([None, -(10**4299)], "json", "[1]: the int has too many digits"),
        ({"a": ["\ud800"]}, "json", "a[0]: a str with a lone surrogate"),
        ({"\ud800": 1}, "msgpack", "a str with a lone surrogate"),
        ({(1, 2): 3}, "msgpack", "the key (1, 2) is of type tuple"),
        (object(), "json", "type object"),
        (1, "raw", "a value of type int is neither bytes nor str"),
        ("\ud800", "raw", "a str with a lone surrogate"),
        (lambda: 1, "pickle", "a value of type function"),
    ],
)
def test_a_refusal_names_place_and_type(value: Any, codec: Any, words: str) -> None:
    with pytest.raises(CodecError) as refusal:
        encode(value, codec, pickle_key=SECRET)
    assert words in str(refusal.value)
    assert str(refusal.value).startswith(f"cannot cache as {codec}: ")


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_depth_has_a_limit_below_that_of_the_reader(codec: Text) -> None:
    def nested(levels: int) -> list[Any]:
        value: list[Any] = []
        for _ in range(levels):
            value = [value]
        return value

    assert decode(encode(nested(200), codec)).value == nested(200)
    for levels in (201, 700, 20_000):
        with pytest.raises(CodecError, match="nested"):
            encode(nested(levels), codec)
    itself: list[Any] = []
    itself.append(itself)
    with pytest.raises(CodecError, match="contains itself"):
        encode(itself, codec)


@pytest.mark.parametrize("codec", ["json", "msgpack", "raw", "pickle"])
@given(value=st.binary() | st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=50, deadline=None)
def test_bytes_and_text_are_kept_by_every_codec(codec: Any, value: bytes | str) -> None:
    found = decode(encode(value, codec, pickle_key=SECRET), pickle_key=SECRET)
    assert same(found.value, value)


SAMPLES = [
    encode({"a": [1, 2, None], "b": "text"}, "json", expiry_ms=1_700_000_000_000),
    encode({"a": [1, 2, None], "b": b"text"}, "msgpack"),
    encode(12345, "json"),
    encode(b"some bytes", "raw"),
    encode("some text", "raw", expiry_ms=5),
    encode((1, "two"), "pickle", pickle_key=SECRET),
]


@pytest.mark.parametrize("data", SAMPLES)
def test_a_value_that_was_cut_is_never_taken_for_another(data: bytes) -> None:
    for length in range(len(MAGIC), len(data)):
        with pytest.raises(CorruptError):
            decode(data[:length], pickle_key=SECRET)
    for longer in (data + b"\0", data + data):
        with pytest.raises(CorruptError):
            decode(longer, pickle_key=SECRET)
    for length in range(len(MAGIC)):
        assert decode(data[:length]).codec == "foreign"


@pytest.mark.parametrize("data", SAMPLES)
def test_a_value_of_which_one_bit_changed_is_never_taken_for_another(data: bytes) -> None:
    for place in range(len(MAGIC), len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            with pytest.raises(CorruptError):
                decode(bytes(damaged), pickle_key=SECRET)


@given(data=st.binary())
@settings(deadline=None)
def test_bytes_of_others_are_a_value_as_they_are(data: bytes) -> None:
    if data.startswith(MAGIC):
        return
    found = decode(data)
    assert (found.value, found.expiry_ms, found.codec) == (data, None, "foreign")
    assert (kept(data), expiry_of(data), is_placeholder(data)) == (data, None, False)


@given(rest=st.binary(max_size=60), verify=st.booleans())
@settings(max_examples=300, deadline=None)
def test_whatever_follows_the_mark_raises_nothing_else(rest: bytes, verify: bool) -> None:
    with contextlib.suppress(CorruptError):
        decode(MAGIC + rest, pickle_key=SECRET, verify=verify)
    with contextlib.suppress(CorruptError):
        kept(MAGIC + rest, SECRET)


def test_the_placeholder_of_a_load_is_no_value() -> None:
    data = placeholder(b"token")
    assert is_placeholder(data)
    assert not is_placeholder(encode("L"))
    for verify in (True, False):
        with pytest.raises(CorruptError, match="a process is loading it"):
            decode(data, verify=verify)


def test_a_codec_of_a_newer_version_is_no_value() -> None:
    import zlib

    payload = b"who knows"
    checksum = zlib.crc32(b"Z" + bytes(8) + payload)
    data = MAGIC + b"Z" + bytes(8) + checksum.to_bytes(4, "little") + payload
    assert len(data) == HEADER_SIZE + len(payload)
    with pytest.raises(CorruptError, match="codec 90, which this version"):
        decode(data)


class Loaded:
    """Says when somebody makes one from a pickle."""

    times = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return Loaded._load, ()

    @staticmethod
    def _load() -> Loaded:
        Loaded.times += 1
        return Loaded()


def test_a_pickle_is_loaded_only_with_the_right_signature() -> None:
    Loaded.times = 0
    data = encode(Loaded(), "pickle", pickle_key=SECRET, key=b"user:1", expiry_ms=99)
    assert isinstance(decode(data, pickle_key=SECRET, key=b"user:1").value, Loaded)
    assert Loaded.times == 1
    wrong: list[dict[str, Any]] = [
        {"pickle_key": None, "key": b"user:1"},
        {"pickle_key": b"another secret of sixteen", "key": b"user:1"},
        {"pickle_key": SECRET, "key": b"user:2"},
        {"pickle_key": SECRET},
    ]
    for arguments in wrong:
        with pytest.raises(CorruptError):
            decode(data, **arguments)
    bare = encode(b"", "raw", expiry_ms=99)
    forged = bytearray(bare + b"\0" * 32 + pickle.dumps(Loaded()))
    forged[len(MAGIC)] = ord("P")
    with pytest.raises(CorruptError, match="signature"):
        decode(bytes(forged), pickle_key=SECRET, key=b"user:1", verify=False)
    later = bytearray(data)
    later[len(MAGIC) + 1] ^= 0xFF
    with pytest.raises(CorruptError, match="signature"):
        decode(bytes(later), pickle_key=SECRET, key=b"user:1", verify=False)
    assert Loaded.times == 1


def test_what_a_class_raises_when_it_is_loaded_is_a_miss() -> None:
    data = encode(Fails(), "pickle", pickle_key=SECRET)
    with pytest.raises(CorruptError, match="ZeroDivisionError"):
        decode(data, pickle_key=SECRET)


class Fails:
    def __reduce__(self) -> tuple[Any, ...]:
        return divmod, (1, 0)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="use one of json, msgpack, raw, pickle"):
        encode(1, "yaml")  # type: ignore[arg-type]
    for key in (None, b"short"):
        with pytest.raises(ValueError, match="16 bytes"):
            encode(1, "pickle", pickle_key=key)
    for expiry in (0, -1, 2**63):
        with pytest.raises(ValueError, match="expiry_ms"):
            encode(1, expiry_ms=expiry)
