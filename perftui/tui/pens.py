"""Pens: what the terminal must be told (SGR colours and attributes, OSC 8 link) to draw a Style.

Sequences: ECMA-48 8.3.117 (SGR), ISO 8613-6 for 256 and 24-bit colours, and the OSC 8 note at
https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda for links.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from rich.color import Color, ColorSystem
from rich.style import Style

MAX_PENS = 4096
"""A screen needs tens of pens; an animated gradient makes new ones for ever."""

MAX_STYLES = 8192
"""Styles that differ only in Textual's meta data (text selection offsets) share one pen."""

MAX_CHANGES = 16384


class Pen(NamedTuple):
    """Attributes as SGR numbers, colours as SGR parameters, and the address of a link."""

    attributes: frozenset[str]
    foreground: str
    background: str
    link: str


PLAIN = 0
"""Number of the pen every frame starts and ends with: default colours, no attribute."""

_PLAIN_PEN = Pen(frozenset(), "39", "49", "")


def attribute_codes(style: Style) -> frozenset[str]:
    """SGR numbers of the attributes that a style switches on."""
    return frozenset(
        code
        for code, on in (
            ("1", style.bold),
            ("2", style.dim),
            ("3", style.italic),
            ("4", style.underline),
            ("5", style.blink),
            ("6", style.blink2),
            ("7", style.reverse),
            ("8", style.conceal),
            ("9", style.strike),
            ("21", style.underline2),
            ("51", style.frame),
            ("52", style.encircle),
            ("53", style.overline),
        )
        if on
    )


def colour_code(color: Color | None, colours: ColorSystem | None, *, foreground: bool) -> str:
    """SGR parameters of one colour; the terminal's default where there is none or none allowed."""
    if color is None or colours is None:
        return "39" if foreground else "49"
    return ";".join(color.downgrade(colours).get_ansi_codes(foreground))


class PenTable:
    """Numbers the pens in use, so that cells compare as small integers."""

    def __init__(self, colours: ColorSystem | None) -> None:
        self.colours = colours
        self._pens: list[Pen] = [_PLAIN_PEN]
        self._numbers: dict[Pen, int] = {_PLAIN_PEN: PLAIN}
        self._styles: dict[Style | None, int] = {None: PLAIN}
        self._changes: dict[tuple[int, int], str] = {}

    @property
    def is_full(self) -> bool:
        """True when the table should be thrown away, together with every number it gave out."""
        return len(self._pens) > MAX_PENS

    def number(self, style: Style | None) -> int:
        """Number of the pen that draws this style."""
        found = self._styles.get(style)
        if found is not None:
            return found
        if len(self._styles) > MAX_STYLES:
            self._styles = {None: PLAIN}
        number = self._enter(style)
        self._styles[style] = number
        return number

    def _enter(self, style: Style | None) -> int:
        if style is None:
            return PLAIN
        pen = Pen(
            attribute_codes(style),
            colour_code(style.color, self.colours, foreground=True),
            colour_code(style.bgcolor, self.colours, foreground=False),
            "".join(letter for letter in style.link or "" if letter.isprintable()),
        )
        number = self._numbers.get(pen)
        if number is None:
            number = self._numbers[pen] = len(self._pens)
            self._pens.append(pen)
        return number

    def change(self, old: int, new: int) -> str:
        """The shortest sequence that turns one pen into another."""
        if old == new:
            return ""
        key = (old, new)
        sequence = self._changes.get(key)
        if sequence is None:
            if len(self._changes) > MAX_CHANGES:
                self._changes.clear()
            sequence = self._changes[key] = _change(self._pens[old], self._pens[new])
        return sequence


def _change(old: Pen, new: Pen) -> str:
    link = ""
    if old.link != new.link:
        # One id per address: a terminal then highlights all runs of a link as one.
        parameters = f"id={zlib.crc32(new.link.encode()):x}" if new.link else ""
        link = f"\x1b]8;{parameters};{new.link}\x1b\\"
    codes: list[str] = []
    if not old.attributes <= new.attributes:
        old = _PLAIN_PEN
        codes.append("0")
    codes.extend(sorted(new.attributes - old.attributes, key=int))
    if old.foreground != new.foreground:
        codes.append(new.foreground)
    if old.background != new.background:
        codes.append(new.background)
    # "ESC [ m" and "ESC [ 0 m" are the same request.
    sgr = ";".join(codes) if codes != ["0"] else ""
    return f"{link}\x1b[{sgr}m" if codes else link
