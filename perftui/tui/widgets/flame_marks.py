"""How frames are named and told apart: styles and marks by whose code they are."""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

from perftui.profiling.modules import Kind, kind_of
from perftui.snapshot import Place
from perftui.text import printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line

WORDS: dict[Kind, str] = {
    "own": "own code",
    "library": "library",
    "standard": "standard library",
    "native": "native",
}

NO_CODE = "selected-unfocused"
"""The style of what is no code: everything, a thread, stacks that were not kept."""


def mark_of(kind: Kind, glyphs: Glyphs) -> str:
    """Return the mark before a frame's name, so that it can be told without colour."""
    if kind == "own":
        return ""
    return {"library": "+", "standard": glyphs.bar_empty, "native": "#"}[kind]


@lru_cache(maxsize=8192)
def style_of(file: str) -> str:
    """Return the style of a file's frames; neighbouring modules mostly differ in their shade."""
    if not file:
        return NO_CODE
    kind = kind_of(file)
    if kind == "native":
        return "flame-native"
    return f"flame-{kind}" + ("-2" if crc32(file.encode("utf-8", "replace")) & 1 else "")


def label_of(place: Place | None, glyphs: Glyphs) -> str:
    """Return the text in a frame."""
    if place is None:
        return "all"
    ascii_only = glyphs.chart == "ascii"
    name = printable(place.function, ascii_only) or "?"
    return f"{mark_of(kind_of(place.file), glyphs)}{name}" if place.file else name


def place_text(place: Place | None, ascii_only: bool) -> str:
    """Return file and line of a frame, empty where it has none."""
    if place is None or not place.file:
        return ""
    return printable(f"{place.file}:{place.line}" if place.line else place.file, ascii_only)


def cut_left(text: str, width: int, ellipsis: str) -> str:
    """Return the end of a path that fits, from a directory on where that is possible."""
    if len(text) <= width:
        return text
    parts = text.split("/")
    while len(text) > width - 1 and len(parts) > 1:
        parts = parts[1:]
        text = "/".join(parts)
    return f"{ellipsis}{text}" if len(text) < width else text


def legend(glyphs: Glyphs) -> Line:
    """Return what the styles and marks stand for."""
    spans: list[tuple[str, str]] = []
    for kind, word in WORDS.items():
        mark = mark_of(kind, glyphs)
        spans += [(f" {mark}{word} ", f"flame-{kind}"), (" ", "text")]
    return tuple(spans)
