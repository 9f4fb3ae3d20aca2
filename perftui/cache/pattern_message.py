"""The message that tells every process with a memory tier which keys are being invalidated.

Published on a channel beside the keys, before the first key goes and again after the last: memory
tiers empty within milliseconds instead of key by key, and so do absent keys that are remembered
and loads under way, of which the server knows nothing.
"""

from __future__ import annotations

import base64
import binascii
import secrets

import msgspec

VERSION = 1
SUFFIX = b"__inv"
CHANNELS = b"*" + SUFFIX
"""The glob pattern of the channels of all prefixes, for PUBSUB CHANNELS."""
LONGEST = 100_000
"""Bytes of a message that is still read."""


class PatternMessageError(ValueError):
    """A message that cannot be understood; the receiver has to drop everything it remembers."""


class PatternMessage(msgspec.Struct, frozen=True):
    """`glob` matches whole Redis keys, prefix included; `by` names who asked, for people.

    Both messages of one invalidation have the same `id`, and both have to be obeyed: what was
    loaded between them may be old.
    """

    id: str
    glob: bytes
    by: str


class _Wire(msgspec.Struct):
    v: int
    id: str = ""
    glob: str = ""
    by: str = ""


def channel(prefix: bytes | str) -> bytes:
    """Return the channel of the keys that begin with `prefix`, which is no pattern."""
    return (prefix.encode("utf-8", "surrogatepass") if isinstance(prefix, str) else prefix) + SUFFIX


def prefix_of(name: bytes) -> bytes | None:
    """Return the prefix whose channel this is, None when it is none."""
    return name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else None


def message_for(glob: bytes, by: str) -> PatternMessage:
    """Return a message with a new identity."""
    return PatternMessage(secrets.token_hex(8), glob, by)


def encode_message(message: PatternMessage) -> bytes:
    """Return the JSON `{"v": 1, "id", "glob", "by"}`, the glob in base64 as it may be any bytes."""
    by = message.by.encode("utf-8", "backslashreplace").decode()
    glob = base64.b64encode(message.glob).decode("ascii")
    return msgspec.json.encode(_Wire(VERSION, message.id, glob, by))


def decode_message(data: bytes) -> PatternMessage:
    """Return the message; fields that a later program adds are passed over.

    Raises PatternMessageError for another version and for anything that is no such message.
    """
    if len(data) > LONGEST:
        raise PatternMessageError(f"a pattern message of {len(data):,} bytes")
    try:
        wire = msgspec.json.decode(data, type=_Wire)
        glob = base64.b64decode(wire.glob.encode(), validate=True)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, RecursionError) as error:
        raise PatternMessageError(f"no pattern message: {error}") from None
    if wire.v != VERSION:
        raise PatternMessageError(f"a pattern message of version {wire.v}, not {VERSION}")
    if not glob:
        raise PatternMessageError("a pattern message without a pattern")
    return PatternMessage(wire.id, glob, wire.by)
