"""Values as bytes and back without a silent change.

Layout: `C1 F7 70` (no UTF-8 text and no MessagePack begins so), one byte for the codec, the Unix
time in milliseconds when the value ends (signed, 0: never), CRC-32 (RFC 1952) of codec, time and
payload, all little-endian, then the payload. 16 bytes of header in all.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
import struct
import zlib
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from perftui.cache.lossless import MANY_DIGITS, Format, is_lossless, loss

CodecName: TypeAlias = Literal["json", "msgpack", "raw", "pickle"]
CODECS: tuple[CodecName, ...] = get_args(CodecName)
FOREIGN = "foreign"

MAGIC = b"\xc1\xf7p"
HEADER = struct.Struct("<3sBqI")
HEADER_SIZE = HEADER.size
_SUMMED = struct.Struct("<Bq")
_LEASED = MAGIC + b"L"
_JSON_HEAD, _BYTES_HEAD = MAGIC + b"J", MAGIC + b"B"
_HEAD_SIZE = len(_JSON_HEAD)
_JSON, _MSGPACK, _BYTES, _TEXT, _PICKLE, _LEASE = b"JMBTPL"
_NAMES: dict[int, str] = {
    _JSON: "json",
    _MSGPACK: "msgpack",
    _BYTES: "raw",
    _TEXT: "raw",
    _PICKLE: "pickle",
}
_DIGEST_SIZE = hashlib.sha256().digest_size
SHORTEST_PICKLE_KEY = 16
"""Bytes of the secret a pickle is signed with."""
_PICKLE_PROTOCOL = 5

_write_json = msgspec.json.Encoder().encode
_read_json = msgspec.json.Decoder().decode
_write_msgpack = msgspec.msgpack.Encoder().encode
_read_msgpack = msgspec.msgpack.Decoder().decode


class CodecError(TypeError):
    """A value that the codec would change or cannot write; names its type and where it is."""


class CorruptError(ValueError):
    """Bytes with this module's header that are cut, damaged, wrongly signed or of a newer version.

    To a cache this is a miss, as is the placeholder of a value that is being loaded.
    """


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A value, Unix time in milliseconds when it ends (None: never or not known), and its codec.

    `codec` is `foreign` for bytes without this module's header: they are the value as they are, and
    only Redis knows when they expire.
    """

    value: Any
    expiry_ms: int | None
    codec: str


def encode(
    value: object,
    codec: CodecName = "json",
    *,
    expiry_ms: int | None = None,
    pickle_key: bytes | None = None,
    key: bytes = b"",
) -> bytes:
    """Return header and payload.

    A bytes value is kept as it is whatever the codec; `raw` takes bytes and str only. `pickle`
    signs with HMAC-SHA-256 (RFC 2104) under `pickle_key`, and over `key`, the cache key, so that
    nobody can move a signed value to another key. Raises CodecError for a value that would not come
    back as it is, ValueError for an unknown codec, an expiry that is not positive, or `pickle`
    without a key.
    """
    if expiry_ms is not None and not 0 < expiry_ms < 2**63:
        raise ValueError(f"expiry_ms is {expiry_ms!r}, it must be positive milliseconds or None")
    ends = expiry_ms or 0
    if type(value) is bytes:
        return _joined(_BYTES, ends, value)
    if codec == "json":
        return _joined(_JSON, ends, _exactly(value, "json"))
    if codec == "msgpack":
        return _joined(_MSGPACK, ends, _exactly(value, "msgpack"))
    if codec == "raw":
        return _joined(_TEXT, ends, _text(value))
    if codec == "pickle":
        return _joined(_PICKLE, ends, _signed(value, ends, _checked_key(pickle_key), key))
    raise ValueError(f"unknown codec {codec!r}; use one of {', '.join(CODECS)}")


def decode(
    data: bytes, *, pickle_key: bytes | None = None, key: bytes = b"", verify: bool = True
) -> Decoded:
    """Return the value; foreign bytes without a header are a value as they are.

    `verify=False` leaves out the checksum, for bytes that were verified before they were kept in
    this process's memory; a pickle's signature is checked always. Raises CorruptError.
    """
    if not data.startswith(MAGIC):
        return Decoded(data, None, FOREIGN)
    if len(data) < HEADER_SIZE:
        raise CorruptError(f"the value ends within its header, after {len(data)} bytes")
    _, tag, ends, checksum = HEADER.unpack_from(data)
    payload = memoryview(data)[HEADER_SIZE:]
    if verify and _checksum(tag, ends, payload) != checksum:
        raise CorruptError(f"the checksum of the value of {len(data)} bytes is wrong")
    if tag == _LEASE:
        raise CorruptError("there is no value yet: a process is loading it")
    name = _NAMES.get(tag)
    if name is None:
        raise CorruptError(
            f"the value has the codec {tag}, which this version of perftui does not know"
        )
    return Decoded(_read(tag, payload, ends, pickle_key, key), ends or None, name)


def kept(data: bytes, pickle_key: bytes | None = None, key: bytes = b"") -> Any:
    """Return the value of bytes that `decode` verified before: the short way of a memory hit.

    Raises CorruptError.
    """
    head = data[:_HEAD_SIZE]
    if head == _JSON_HEAD:
        try:
            return _read_json(data[HEADER_SIZE:])
        except (ValueError, RecursionError) as error:
            raise CorruptError(f"the json value cannot be read: {error}") from error
    if head == _BYTES_HEAD:
        return data[HEADER_SIZE:]
    return decode(data, pickle_key=pickle_key, key=key, verify=False).value


def expiry_of(data: bytes) -> int | None:
    """Return the Unix time in milliseconds when a value ends, 0: never, None: it is foreign.

    Raises CorruptError for a header that is cut.
    """
    if not data.startswith(MAGIC):
        return None
    if len(data) < HEADER_SIZE:
        raise CorruptError(f"the value ends within its header, after {len(data)} bytes")
    ends: int = HEADER.unpack_from(data)[2]
    return ends


def placeholder(token: bytes) -> bytes:
    """Return what stands in Redis for a value while the process with this token loads it."""
    return _joined(_LEASE, 0, token)


def is_placeholder(data: bytes) -> bool:
    """Tell whether bytes stand for a value that is being loaded."""
    return data.startswith(_LEASED)


def _joined(tag: int, ends: int, payload: bytes) -> bytes:
    return HEADER.pack(MAGIC, tag, ends, _checksum(tag, ends, payload)) + payload


def _checksum(tag: int, ends: int, payload: bytes | memoryview) -> int:
    return zlib.crc32(payload, zlib.crc32(_SUMMED.pack(tag, ends)))


def _read(tag: int, payload: memoryview, ends: int, pickle_key: bytes | None, key: bytes) -> object:
    try:
        if tag == _JSON:
            return _read_json(payload)
        if tag == _MSGPACK:
            return _read_msgpack(payload)
        if tag == _BYTES:
            return bytes(payload)
        if tag == _TEXT:
            return str(payload, "utf-8")
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"the {_NAMES[tag]} value cannot be read: {error}") from error
    return _unpickled(bytes(payload), ends, pickle_key, key)


def _exactly(value: object, form: Format) -> bytes:
    """Return the payload of a value that will be read back as it is; raises CodecError."""
    try:
        payload = _write_json(value) if form == "json" else _write_msgpack(value)
    except RecursionError:
        raise CodecError(
            f"cannot cache as {form}: {_kind(value)} contains itself or is nested too deeply"
        ) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise CodecError(f"cannot cache as {form}: {loss(value, form) or error}") from error
    if is_lossless(value, form, payload) and _is_readable(payload, form):
        return payload
    reason = loss(value, form) or f"{_kind(value)} could not be read back"
    raise CodecError(f"cannot cache as {form}: {reason}")


def _is_readable(payload: bytes, form: Format) -> bool:
    """Tell whether an integer in JSON is not too long for the reader."""
    if form == "msgpack" or len(payload) < MANY_DIGITS:
        return True
    try:
        _read_json(payload)
    except ValueError:
        return False
    return True


def _text(value: object) -> bytes:
    if type(value) is not str:
        raise CodecError(
            f"cannot cache as raw: {_kind(value)} is neither bytes nor str; use codec='json'"
        )
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        raise CodecError(
            "cannot cache as raw: a str with a lone surrogate cannot be written as UTF-8"
        ) from None


def _checked_key(pickle_key: bytes | None) -> bytes:
    if pickle_key is None or len(pickle_key) < SHORTEST_PICKLE_KEY:
        raise ValueError(
            f"codec 'pickle' needs pickle_key of at least {SHORTEST_PICKLE_KEY} bytes, a secret "
            "that all readers share: loading a pickle that somebody else wrote runs their code"
        )
    return pickle_key


def _signature(pickled: bytes, ends: int, secret: bytes, key: bytes) -> bytes:
    # The length keeps key and pickle apart: otherwise bytes could be moved from one to the other.
    signed = b"".join((MAGIC, _SUMMED.pack(_PICKLE, ends), struct.pack("<Q", len(key)), key))
    return hmac.digest(secret, signed + pickled, "sha256")


def _signed(value: object, ends: int, secret: bytes, key: bytes) -> bytes:
    try:
        pickled = pickle.dumps(value, _PICKLE_PROTOCOL)
    except Exception as error:
        # Any class may define how it is pickled, and raise whatever it likes.
        raise CodecError(f"cannot cache as pickle: {_kind(value)}: {error}") from error
    return _signature(pickled, ends, secret, key) + pickled


def _unpickled(payload: bytes, ends: int, pickle_key: bytes | None, key: bytes) -> object:
    if pickle_key is None:
        raise CorruptError("the value is a pickle, and this cache has no pickle_key to trust it")
    signature, pickled = payload[:_DIGEST_SIZE], payload[_DIGEST_SIZE:]
    if not hmac.compare_digest(signature, _signature(pickled, ends, pickle_key, key)):
        raise CorruptError(
            "the signature of the pickle is wrong: it was written with another pickle_key, for "
            "another key, or by somebody who must not"
        )
    try:
        return pickle.loads(pickled)
    except Exception as error:
        # A class that moved or changed since; what it raises is its own.
        raise CorruptError(f"the pickle cannot be read: {type(error).__name__}: {error}") from error


def _kind(value: object) -> str:
    kind = type(value)
    home = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"a value of type {home}{kind.__qualname__}"
