"""Glob patterns as people type them, with escapes for bytes that a keyboard does not have."""

from __future__ import annotations

import re

from perftui.cache.glob import escape

_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})|([nrt])|.)",
    re.DOTALL,
)
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


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
