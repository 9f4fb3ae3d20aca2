"""Glob patterns and keys as people type and read them, with escapes for unprintable bytes."""

from __future__ import annotations

import re

from perftui.cache.glob import escape
from perftui.text import printable

_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})|([nrt])|.)",
    re.DOTALL,
)
_TAKEN_OFF = re.compile(rb"\\(.)", re.DOTALL)
_BYTE = re.compile("[\udc80-\udcff]")
_SHORT = {"n": b"\n", "r": b"\r", "t": b"\t"}


def pattern_bytes(text: str) -> bytes:
    r"""Return the glob pattern that was typed.

    `\xNN` stands for one byte, `\uNNNN` and `\UNNNNNNNN` for one character, `\n`, `\r` and `\t`
    for line end, return and tabulator, none of them a wildcard: keys on the screen show in this
    way what is not printable, so one can be typed as it is seen. All else means what Redis says.
    """
    pattern = bytearray()
    end = 0
    for match in _ESCAPE.finditer(text):
        byte, short_code, long_code, short = match.groups()
        pattern += _encoded(text[end : match.start()])
        end = match.end()
        if byte:
            pattern += escape(bytes([int(byte, 16)]))
        elif code := short_code or long_code:
            pattern += _encoded(chr(int(code, 16)))
        else:
            pattern += _SHORT[short] if short else _encoded(match[0])
    return bytes(pattern) + _encoded(text[end:])


def argument_bytes(text: str) -> bytes:
    """Return the pattern given on the command line, whose bytes need not be UTF-8."""
    # Python hands on a byte that is not as a lone surrogate.
    return pattern_bytes(_BYTE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text))


def key_bytes(text: str) -> bytes:
    r"""Return the one key that was typed on the command line.

    Escapes are those of a pattern, and a backslash before any other sign is that sign; wildcards
    mean nothing, so a key may be given as it is or as it would have to be for a pattern.
    """
    return _TAKEN_OFF.sub(rb"\1", argument_bytes(text))


def typed_key(key: bytes) -> str:
    """Return the pattern to type for exactly this key; `pattern_bytes` takes it back."""
    return printable(escape(key).decode("utf-8", "backslashreplace"))


def shown_key(key: bytes) -> str:
    r"""Return a key for people; its backslashes are doubled, so that `\xNN` is always a byte."""
    return printable(key.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace"))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
