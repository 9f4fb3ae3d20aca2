"""What all sections of the text report write with."""

from __future__ import annotations

from collections.abc import Iterator

from perftui import format as show
from perftui.snapshot import Absent
from perftui.text import Align, fit, printable

Lines = Iterator[str]


class TextWriter:
    """Makes text from outside printable, in ASCII only where that is asked for."""

    def __init__(self, ascii_only: bool) -> None:
        self._ascii = ascii_only
        self._ellipsis = "~" if ascii_only else "…"

    def clean(self, text: str) -> str:
        """Return text without anything that could act on a terminal."""
        return printable(text, self._ascii)

    def cell(self, text: str, width: int, align: Align = "left") -> str:
        """Return clean text in exactly `width` cells."""
        return fit(self.clean(text), width, align, self._ellipsis)

    def absent(self, absent: Absent, name: str = "") -> Lines:
        """Write why something is missing and, below it, how to get it."""
        head = f"{name:<10}" if name else ""
        yield head + self.clean(show.absence(absent))
        if absent.fix:
            yield " " * len(head) + "fix: " + self.clean(absent.fix)
