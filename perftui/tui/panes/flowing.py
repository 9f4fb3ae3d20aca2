"""Groups of spans on as many lines as they need."""

from __future__ import annotations

from collections.abc import Sequence

from perftui.tui.lines import Line, Span, width_of
from perftui.tui.panes.pane import joined
from perftui.tui.view import View


def flowing(parts: Sequence[tuple[Span, ...]], view: View, lead: Line = ()) -> list[Line]:
    """Return groups of spans with separators, on as many lines as they need, `lead` before them."""
    indent: Line = ((" ", "text"), *lead)
    lines: list[Line] = []
    begun: list[tuple[Span, ...]] = []
    for part in parts:
        wider = (*indent, *joined([*begun, part], view.glyphs.separator))
        if begun and width_of(wider) > view.width:
            lines.append((*indent, *joined(begun, view.glyphs.separator)))
            indent = ((" " * width_of(indent), "text"),)
            begun = []
        begun.append(part)
    lines.append((*indent, *joined(begun, view.glyphs.separator)))
    return lines
