"""Redraws what Textual's own widgets draw with characters that the terminal's font lacks."""

from __future__ import annotations

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from perftui.tui.glyphs import Glyphs

_CORNERS = "╭╮╰╯┌┐└┘├┤┬┴┼╒╓╔╗╚╝╠╣╦╩╬┏┓┗┛┣┫┳┻╋"
_LEVEL = "─━═╌╍┄┅┈┉╴╶╸╺"
_UPRIGHT = "│┃║╎╏┆┇┊┋▏▕▎▍"
_SOLID = "█▇▆▅▌▊▉▋▄▀▐▓"

_ASCII: dict[str, str] = {
    **dict.fromkeys(_CORNERS, "+"),
    **dict.fromkeys(_LEVEL, "-"),
    **dict.fromkeys(_UPRIGHT, "|"),
    **dict.fromkeys(_SOLID, "#"),
    **dict.fromkeys("▁▂▃", "_"),
    **dict.fromkeys("·▒░", "."),
    "▔": "-",
    "…": "~",
    "●": "*",
    "○": "o",
    "🔎": "> ",
}

_CONSOLE: dict[str, str] = {
    **dict.fromkeys("▁▂▃▔", "─"),
    **dict.fromkeys("▏▕▎▍", "│"),
    **dict.fromkeys("▇▆▅▊▉▋", "█"),
    **dict(zip("╭╮╰╯", "┌┐└┘", strict=True)),
    "🔎": "> ",
}
"""The consoles' fonts have the box drawing and the half and full blocks of code page 437."""


class GlyphFilter(LineFilter):
    """Replaces characters by poorer ones of the same width; the last stage before the terminal."""

    def __init__(self, table: dict[str, str], ascii_only: bool) -> None:
        super().__init__()
        self._table = table
        self._ascii_only = ascii_only

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments in the characters of the terminal."""
        if all(text.isascii() for text, _, _ in segments):
            return segments
        return [Segment(self._redraw(text), style, control) for text, style, control in segments]

    def _redraw(self, text: str) -> str:
        if text.isascii():
            return text
        return "".join(map(self._one, text))

    def _one(self, character: str) -> str:
        poorer = self._table.get(character)
        if poorer is not None:
            return poorer
        if self._ascii_only and not character.isascii():
            return "?" * get_character_cell_size(character)
        return character


def glyph_filter(glyphs: Glyphs) -> GlyphFilter | None:
    """Return the filter for the set of characters that was chosen; None where all can be shown."""
    if glyphs.horizontal.isascii():
        return GlyphFilter(_ASCII, ascii_only=True)
    if glyphs.poor_font:
        return GlyphFilter(_CONSOLE, ascii_only=False)
    return None
