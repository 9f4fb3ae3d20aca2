"""Lines of styled text: what panes are made of before a terminal is involved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from perftui.text import cell_width, fit

Span: TypeAlias = tuple[str, str]
"""Text and the name of its style."""
Line: TypeAlias = tuple[Span, ...]

BLANK: Line = ()


def width_of(line: Iterable[Span]) -> int:
    """Return how many terminal cells a line takes."""
    return sum(cell_width(text) for text, _ in line)


def fit_line(line: Iterable[Span], width: int, ellipsis: str, pad_style: str = "text") -> Line:
    """Return the line cut or padded to exactly `width` cells, adjacent equal styles joined."""
    spans: list[Span] = []
    room = width
    for text, style in line:
        if room <= 0:
            break
        cells = cell_width(text)
        if cells > room:
            text, cells = fit(text, room, ellipsis=ellipsis), room
        if not text:
            continue
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + text, style)
        else:
            spans.append((text, style))
        room -= cells
    if room > 0:
        if spans and spans[-1][1] == pad_style:
            spans[-1] = (spans[-1][0] + " " * room, pad_style)
        else:
            spans.append((" " * room, pad_style))
    return tuple(spans)


def columns_of(left: Line, right: Line, width: int, ellipsis: str) -> Line:
    """Return `left` and, at the right edge, `right`; the left one is cut where both do not fit."""
    room = width - width_of(right)
    if room < 8:
        return fit_line(left, width, ellipsis)
    return (*fit_line(left, room, ellipsis), *right)


def wrap(text: str, width: int) -> list[str]:
    """Return `text` broken at spaces into lines of at most `width` cells."""
    lines: list[str] = []
    current = ""
    for word in text.split(" "):
        candidate = f"{current} {word}" if current else word
        if cell_width(candidate) <= width:
            current = candidate
            continue
        if current:
            lines.append(current)
        while cell_width(word) > width:
            head = fit(word, width, ellipsis="")
            lines.append(head.rstrip())
            word = word[len(head.rstrip()) :] if head.strip() else ""
        current = word
    if current or not lines:
        lines.append(current)
    return lines
