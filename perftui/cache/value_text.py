"""Stored bytes as lines that a person can read, whoever wrote them.

Nothing here runs what it finds: a pickle is named and shown as bytes, never loaded. A compressed
value is taken apart up to a limit, so that one that is made to explode does not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from perftui.cache.codecs import HEADER, HEADER_SIZE, MAGIC
from perftui.text import printable

MOST_LINES = 1_000
LONGEST_LINE = 4_000
"""Characters; a line that is longer ends with three dots."""
MOST_INFLATED = 65_536
DEEPEST = 24
"""Levels of nesting that are drawn, and formats within each other that are taken apart."""
BYTES_A_ROW = 16
_INDENT = "  "
_CUT = "..."

_CODECS = {ord("J"): "JSON", ord("M"): "MessagePack", ord("B"): "bytes", ord("T"): "text",
           ord("P"): "pickle", ord("L"): "placeholder"}  # fmt: skip
"""The codecs by their byte in the header, see codecs.py."""
_SUMMED_FROM, _SUMMED_TO = 3, 12
"""Where codec and time stand in the header, which the checksum covers with the payload."""
_NAMED = (
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
)
"""Compressed formats that are not taken apart, by how they begin."""
_UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError)


class ValueText(msgspec.Struct, frozen=True):
    """What a value says.

    `form` names the formats from the outside in, such as `perftui, JSON`. `lines` are harmless to a
    terminal. `cut`: there is more of the value than is shown. `expiry_ms` is the Unix time in
    milliseconds that this package's header holds, 0 for never, None without a header.
    """

    form: str
    lines: tuple[str, ...]
    cut: bool = False
    expiry_ms: int | None = None
    notes: tuple[str, ...] = ()


def value_text(data: bytes, whole: bool = True) -> ValueText:
    """Return the text of a value, or with `whole` False of its beginning; never raises."""
    return _unwrapped(data, whole, DEEPEST)


def one_line(data: bytes, most: int = LONGEST_LINE) -> str:
    """Return a member or field in one line: text in quotes or as it is, else in hexadecimal."""
    found = value_text(data[:most], len(data) <= most)
    text = found.lines[0] if len(found.lines) == 1 else " ".join(map(str.strip, found.lines))
    if found.form not in ("text", "JSON", "number", "empty"):
        if "hexadecimal" in found.form or not found.lines:
            text = data[:64].hex(" ") + (f" {_CUT}" if len(data) > 64 else "")
        text = f"({found.form}) {text}"
    if not data:
        return "(empty)"
    if len(text) > most or (found.cut and not text.endswith(_CUT)):
        text = text[: most - len(_CUT)] + _CUT
    return text


def _unwrapped(data: bytes, whole: bool, levels: int) -> ValueText:
    if not data:
        return ValueText("empty", (), not whole)
    if levels > 0:
        for reader in (_own, _inflated):
            found = reader(data, whole, levels - 1)
            if found is not None:
                return found
    for magic, name in _NAMED:
        if data.startswith(magic):
            return _hexadecimal(data, whole, f"{name}, compressed")
    if _is_pickle(data, whole):
        return _pickle(data, whole)
    if (text := _as_text(data, whole)) is not None:
        return _of_text(text, data, whole)
    return _msgpack(data, whole) or _hexadecimal(data, whole)


# Formats around a value


def _own(data: bytes, whole: bool, levels: int) -> ValueText | None:
    """Return a value with the header of this package."""
    if not data.startswith(MAGIC):
        return None
    if len(data) < HEADER_SIZE:
        return _hexadecimal(data, whole, "perftui, cut within its header")
    _, tag, ends, checksum = HEADER.unpack_from(data)
    payload = data[HEADER_SIZE:]
    notes: tuple[str, ...] = ()
    if whole and zlib.crc32(payload, zlib.crc32(data[_SUMMED_FROM:_SUMMED_TO])) != checksum:
        notes = ("its checksum is wrong: caches take it for a miss",)
    codec = _CODECS.get(tag)
    if codec is None:
        inner = _hexadecimal(payload, whole, f"unknown codec {tag}")
    elif codec == "placeholder":
        inner = ValueText("no value yet: a process is loading it", ())
    elif codec == "pickle":
        inner = _pickle(payload, whole)
    elif not payload:
        inner = ValueText(f"{codec}, empty", ())
    elif codec == "MessagePack":
        inner = _msgpack(payload, whole, scalars=True) or _hexadecimal(payload, whole)
    elif codec == "bytes":
        inner = _unwrapped(payload, whole, levels)
    else:
        text = _as_text(payload, whole)
        if text is None:
            inner = _hexadecimal(payload, whole)
        else:
            inner = _of_text(text, payload, whole, known="text" if codec == "text" else "")
    return ValueText(f"perftui, {inner.form}", inner.lines, inner.cut, ends, (*notes, *inner.notes))


def _inflated(data: bytes, whole: bool, levels: int) -> ValueText | None:
    """Return what a gzip (RFC 1952) or zlib (RFC 1950) stream holds, as far as the limit."""
    if data.startswith(b"\x1f\x8b\x08"):
        name, window = "gzip", 31
    elif len(data) > 2 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0:
        name, window = "zlib", 15
    else:
        return None
    stream = zlib.decompressobj(window)
    try:
        inner = stream.decompress(data, MOST_INFLATED)
    except zlib.error:
        return None
    if whole and not (stream.eof or stream.unconsumed_tail) and not inner:
        return None
    found = _unwrapped(inner, whole and stream.eof, levels)
    return ValueText(
        f"{name}, {found.form}", found.lines, found.cut or not stream.eof, found.expiry_ms,
        found.notes,
    )  # fmt: skip


def _is_pickle(data: bytes, whole: bool) -> bool:
    # Protocols 2 to 5 begin with PROTO; 4 and 5 have a FRAME next. See pickletools.
    if len(data) < 3 or data[0] != 0x80 or data[1] not in (2, 3, 4, 5):
        return False
    return not whole or data.endswith(b".")


def _pickle(data: bytes, whole: bool) -> ValueText:
    found = _hexadecimal(data, whole, "pickle")
    note = "a pickle is not loaded: loading one runs the code in it"
    return ValueText("pickle", found.lines, found.cut, None, (note,))


# Formats of a value


def _as_text(data: bytes, whole: bool) -> str | None:
    """Return data that is text for people, None for anything else."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        # The last character may have been cut in two.
        if whole or error.reason != "unexpected end of data" or error.start < len(data) - 3:
            return None
        text = data[: error.start].decode("utf-8")
    odd = sum(1 for character in text if character < " " and character not in "\n\r\t\x1b")
    return text if odd * 20 <= len(text) and "\x00" not in text else None


def _of_text(text: str, data: bytes, whole: bool, known: str = "") -> ValueText:
    form = known
    if not form and text.lstrip()[:1] in ("{", "[", '"'):
        form = "JSON" if not whole or _is_json(data) else ""
    if form == "JSON" and text.lstrip()[:1] != '"':
        lines, cut = _bounded(_indented(text))
    else:
        form = form or ("number" if _is_number(text) else "text")
        lines, cut = _bounded(iter(text.splitlines()))
    return ValueText(form, lines, cut or not whole)


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except _UNREADABLE:
        return False
    return True


def _is_number(text: str) -> bool:
    text = text.strip()
    return len(text) <= 40 and text.lstrip("-").replace(".", "", 1).isdecimal()


def _indented(text: str) -> Iterator[str]:
    """Yield the lines of JSON text, which may be cut anywhere, one value a line."""
    depth, line, position = 0, "", 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == '"':
            end = position
            while end < len(text) and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            line += text[position - 1 : end + 1]
            position = end + 1
        elif character in "{[":
            rest = text[position : position + 64].lstrip()
            if rest[:1] in ("}", "]"):
                position = text.index(rest[0], position) + 1
                line += character + rest[0]
                continue
            yield _INDENT * min(depth, DEEPEST) + line + character
            depth, line = depth + 1, ""
        elif character in "}]":
            if line:
                yield _INDENT * min(depth, DEEPEST) + line
            depth, line = max(0, depth - 1), character
        elif character == ",":
            yield _INDENT * min(depth, DEEPEST) + line + ","
            line = ""
        elif character == ":":
            line += ": "
        elif not character.isspace():
            line += character
    if line:
        yield _INDENT * min(depth, DEEPEST) + line


def _msgpack(data: bytes, whole: bool, scalars: bool = False) -> ValueText | None:
    """Return a value in MessagePack; one that stands alone could be any bytes: `scalars`."""
    if not whole:
        return None
    try:
        value = msgspec.msgpack.decode(data)
    except _UNREADABLE:
        return None
    if not scalars and not (isinstance(value, dict | list) and len(data) > 1):
        return None
    lines, cut = _bounded(_drawn(value, 0))
    return ValueText("MessagePack", lines, cut)


def _drawn(value: Any, depth: int, before: str = "", after: str = "") -> Iterator[str]:
    """Yield the lines of a value that was read, in the way of JSON."""
    lead = _INDENT * depth + before
    if not isinstance(value, dict | list) or not value or depth >= DEEPEST:
        deep = isinstance(value, dict | list) and value
        yield f"{lead}{_CUT if deep else _word(value)}{after}"
        return
    pairs: list[tuple[str, Any]]
    if isinstance(value, dict):
        pairs, (begin, end) = [(f"{_word(name)}: ", item) for name, item in value.items()], "{}"
    else:
        pairs, (begin, end) = [("", item) for item in value], "[]"
    yield lead + begin
    last = len(pairs) - 1
    for index, (name, item) in enumerate(pairs):
        yield from _drawn(item, depth + 1, name, "" if index == last else ",")
    yield f"{_INDENT * depth}{end}{after}"


def _word(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value[:LONGEST_LINE]}"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, msgspec.msgpack.Ext):
        return f"extension {value.code}: {bytes(value.data)[:64].hex()}"
    return repr(value[:LONGEST_LINE]) if isinstance(value, bytes) else str(value)


def _hexadecimal(data: bytes, whole: bool, form: str = "") -> ValueText:
    def rows() -> Iterator[str]:
        for start in range(0, len(data), BYTES_A_ROW):
            row = data[start : start + BYTES_A_ROW]
            letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
            first, second = row[:8].hex(" "), row[8:].hex(" ")
            yield f"{start:08x}  {first:<23}  {second:<23}  {letters}"

    lines, cut = _bounded(rows())
    name = f"{form}, hexadecimal" if form else "hexadecimal"
    return ValueText(name, lines, cut or not whole)


def _bounded(lines: Iterator[str]) -> tuple[tuple[str, ...], bool]:
    """Return the first lines, harmless and not too long, and whether anything is left out."""
    kept: list[str] = []
    cut = False
    for line in lines:
        if len(kept) == MOST_LINES:
            return tuple(kept), True
        if len(line) > LONGEST_LINE:
            line, cut = line[: LONGEST_LINE - len(_CUT)] + _CUT, True
        kept.append(printable(line))
    return tuple(kept), cut
