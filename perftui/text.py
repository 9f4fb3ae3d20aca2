"""Text from outside made safe for a terminal, and the arithmetic of terminal cells.

A process name, a cache key or a server's reason may hold anything. Here everything that could
act on a terminal, reorder a line or take no room becomes a visible backslash escape, so that one
character of the result is one or two cells and nothing but a glyph.
"""

from __future__ import annotations

import unicodedata
from typing import Literal

from rich.cells import cell_len, get_character_cell_size

Align = Literal["left", "right", "center"]

ELLIPSIS = "…"

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_TABLE_LIMIT = 8192


def _escape(character: str) -> str:
    short = _SHORT.get(character)
    if short is not None:
        return short
    code = ord(character)
    # Two digits stand for a byte: those above 0x7f only come from bytes that are no text.
    if code < 0x80:
        return f"\\x{code:02x}"
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


def _is_glyph(character: str) -> bool:
    # isprintable() is false for every control, format, surrogate, private, unassigned and
    # separator character but the space; marks are printable to Python and cell-less to a terminal.
    return (
        character.isprintable()
        and not unicodedata.category(character).startswith("M")
        and get_character_cell_size(character) > 0
    )


class _Table(dict[int, str]):
    """Translation table that fills itself; bounded, since the text comes from outside."""

    def __init__(self, ascii_only: bool) -> None:
        super().__init__()
        self._ascii_only = ascii_only

    def __missing__(self, code: int) -> str:
        character = chr(code)
        keep = (code < 0x80 or not self._ascii_only) and _is_glyph(character)
        shown = character if keep else _escape(character)
        if len(self) >= _TABLE_LIMIT:
            self.clear()
        self[code] = shown
        return shown


_UNICODE = _Table(ascii_only=False)
_ASCII = _Table(ascii_only=True)


def printable(text: str, ascii_only: bool = False) -> str:
    """Return `text` with everything but visible characters written as backslash escapes.

    Escaped are controls, DEL, bidirectional and other format characters, combining marks,
    variation selectors, surrogates, private use, unassigned characters and all separators but
    the space; with `ascii_only` everything outside ASCII. Unchanged text comes back as it is.
    """
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_ASCII if ascii_only else _UNICODE)


def cell_width(text: str) -> int:
    """Return how many terminal cells `text` takes, as Textual counts them."""
    return len(text) if text.isascii() and text.isprintable() else cell_len(text)


def fit(text: str, width: int, align: Align = "left", ellipsis: str = ELLIPSIS) -> str:
    """Return `text` cropped with `ellipsis` or padded so that it takes exactly `width` cells."""
    if width <= 0:
        return ""
    if text.isascii() and text.isprintable():
        if align != "center" and len(text) <= width:
            return text.rjust(width) if align == "right" else text.ljust(width)
    else:
        # On clean text the width is the sum of the characters' widths: no joiner, no selector.
        text = printable(text)
    taken = cell_width(text)
    if taken > width:
        text = _crop(text, width, ellipsis)
        taken = cell_width(text)
    room = width - taken
    if not room:
        return text
    if align == "right":
        return " " * room + text
    if align == "center":
        return " " * (room // 2) + text + " " * (room - room // 2)
    return text + " " * room


def _crop(text: str, width: int, ellipsis: str) -> str:
    mark = _head(ellipsis, width)
    return _head(text, width - cell_width(mark)) + mark


def _head(text: str, width: int) -> str:
    if text.isascii():
        return text[:width]
    taken = 0
    for index, character in enumerate(text):
        taken += get_character_cell_size(character)
        if taken > width:
            return text[:index]
    return text
