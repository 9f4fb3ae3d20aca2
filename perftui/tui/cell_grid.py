"""The terminal's screen as it must look now, cell by cell, and what to send to change it.

Coordinates are zero-based cells; a wide character is its text followed by an empty second half.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress
from operator import ne, or_
from typing import TypeAlias

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip

from perftui.tui.pens import PLAIN, PenTable

UNKNOWN = "\x00"
"""A cell whose content nobody knows; control characters never get into a known cell."""

NARROW = frozenset(
    chr(code)
    for first, last in (
        (0x20, 0x7E),
        (0xA0, 0xAC),
        (0xAE, 0x2FF),
        (0x370, 0x482),
        (0x2010, 0x2027),
        (0x2190, 0x22FF),
        (0x2500, 0x25FC),
        (0x2800, 0x28FF),
    )
    for code in range(first, last + 1)
)
"""Characters that every terminal draws in one cell."""

CJK = (
    (0x1100, 0x115F),
    (0x2E80, 0xA4CF),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE6F),
    (0xFF01, 0xFF60),
    (0xFFE0, 0xFFE6),
    (0x20000, 0x3FFFD),
)
"""Ranges of characters that every terminal draws in two cells."""

LONGEST_BRIDGE = 5


Placement: TypeAlias = tuple[int, int, int, Strip]
"""Row, first column, column to stop before, and the strip to draw there.

A plain tuple: a frame has hundreds, and a named one takes ten times as long to make.
"""


def split_cells(text: str) -> list[str]:
    """One entry per cell; control characters are dropped, marks stay with what they mark."""
    if is_narrow(text):
        return list(text)
    cells: list[str] = []
    for start, end, width in split_graphemes(text)[0]:
        cluster = "".join(
            letter for letter in text[start:end] if letter >= " " and not "\x7f" <= letter < "\xa0"
        )
        if width == 0:
            if cells and cluster:
                lead = len(cells) - (2 if cells[-1] == "" else 1)
                cells[lead] += cluster
            continue
        cells.append(cluster or " ")
        if width == 2:
            cells.append("")
    return cells


def is_narrow(text: str) -> bool:
    """True when every character is drawn in one cell by every terminal."""
    return text.isprintable() if text.isascii() else NARROW.issuperset(text)


def is_sure_wide(cluster: str) -> bool:
    """True when all terminals agree that this character takes two cells."""
    return len(cluster) == 1 and any(first <= ord(cluster) <= last for first, last in CJK)


class CellGrid:
    """Shadow of the terminal's screen; `draw` brings both to a new state."""

    def __init__(self) -> None:
        self.width = 0
        self.height = 0
        self._pens = PenTable(None)
        self._letters: list[list[str]] = []
        self._inks: list[list[int]] = []
        self._placed: list[dict[int, Strip]] = []

    def invalidate(self) -> None:
        """Forget what the terminal shows: whatever is drawn next is sent in full."""
        self.resize(self.width, self.height)

    def resize(self, width: int, height: int) -> None:
        """Take a new size; a terminal may do anything to its content when its size changes."""
        self.width = width
        self.height = height
        self._letters = [[UNKNOWN] * width for _ in range(height)]
        self._inks = [[PLAIN] * width for _ in range(height)]
        self._placed = [{} for _ in range(height)]

    def draw(self, placements: Iterable[Placement], colours: ColorSystem | None) -> str:
        """Draw the strips into the grid; returns what the terminal must be sent."""
        if self._pens.is_full or self._pens.colours is not colours:
            self._pens = PenTable(colours)
            self.invalidate()
        brush = Brush(self._pens, self._letters, self._inks)
        for y, x, end, strip in placements:
            if not (0 <= y < self.height and 0 <= x < self.width):
                continue
            placed = self._placed[y]
            before = placed.get(x)
            room = min(end, self.width) - x
            if before is strip and strip.cell_length <= room:
                continue
            if before is not None and before.cell_length == strip.cell_length <= room:
                changed = _changed_segments(before, strip)
                if changed is not None:
                    placed[x] = strip
                    for column, text, style in changed:
                        inks = [self._pens.number(style)] * len(text)
                        self._put(y, x + column, list(text), inks, brush)
                    continue
            letters, inks = self._cells(strip, room)
            if not letters:
                continue
            if before is None or before.cell_length != strip.cell_length:
                # The strips placed in a row never overlap, or the shortcut above would lie.
                stop = x + len(letters)
                for other in [
                    at for at, old in placed.items() if at < stop and x < at + old.cell_length
                ]:
                    del placed[other]
            if len(letters) == strip.cell_length:
                placed[x] = strip
            else:
                placed.pop(x, None)  # Cut off here: the same strip may have more room later.
            self._put(y, x, letters, inks, brush)
        return brush.finish()

    def _cells(self, strip: Strip, room: int) -> tuple[list[str], list[int]]:
        letters: list[str] = []
        inks: list[int] = []
        number = self._pens.number
        for text, style, control in strip:
            if control or not text:
                continue
            before = len(letters)
            letters += text if is_narrow(text) else split_cells(text)
            inks += [number(style)] * (len(letters) - before)
        if len(letters) > room:
            if letters[room] == "":
                letters[room - 1] = " "
            del letters[room:], inks[room:]
        return letters, inks

    def _put(self, y: int, x: int, letters: list[str], inks: list[int], brush: Brush) -> None:
        row, row_inks = self._letters[y], self._inks[y]
        end = x + len(letters)
        old, old_inks = row[x:end], row_inks[x:end]
        # A terminal erases the other half of a wide character it has overwritten half of, or
        # leaves it: sending a space makes the result the same everywhere.
        if x and old[0] == "":
            row[x - 1] = " "
            brush.paint(y, x - 1, x)
        orphan = end < self.width and row[end] == ""
        row[x:end] = letters
        row_inks[x:end] = inks
        if orphan:
            row[end] = " "
        differs: Iterable[bool] = ()
        if old_inks != inks:
            differs = map(or_, map(ne, old, letters), map(ne, old_inks, inks))
        elif old != letters:
            differs = map(ne, old, letters)
        changed = list(compress(range(x, end), differs))
        if changed:
            for start, stop in self._runs(y, changed):
                brush.paint(y, start, stop)
        if orphan:
            brush.paint(y, end, end + 1)

    def _runs(self, y: int, changed: Iterable[int]) -> Iterable[tuple[int, int]]:
        """Join changed cells where sending what lies between is no dearer than jumping it."""
        row, inks = self._letters[y], self._inks[y]
        start = stop = -1
        for column in changed:
            if column < stop:
                continue  # The second half of a wide character.
            if column == stop and row[column] != "":
                stop += 1
                if stop < self.width and row[stop] == "":
                    stop += 1
                continue
            if start >= 0 and (
                column - stop > LONGEST_BRIDGE or not self._bridges(row, inks, stop, column)
            ):
                yield start, stop
                start = -1
            if start < 0:
                start = column
                if start and row[start] == "":
                    start -= 1
            stop = column + 1
            if stop < self.width and row[stop] == "":
                stop += 1
        if start >= 0:
            yield start, stop

    @staticmethod
    def _bridges(row: list[str], inks: list[int], stop: int, column: int) -> bool:
        gap = column - stop
        if UNKNOWN in row[stop:column]:
            return False
        ink = inks[stop - 1]
        if any(other != ink for other in inks[stop:column]):
            return False
        return len("".join(row[stop:column]).encode("utf-8", "replace")) <= (3 if gap == 1 else 4)


def _changed_segments(before: Strip, strip: Strip) -> list[tuple[int, str, Style | None]] | None:
    """The segments of `strip` that `before` does not have in the same place, with their columns.

    None where the two are not divided alike, or not in characters of one cell throughout.
    """
    changed: list[tuple[int, str, Style | None]] = []
    column = 0
    for old, new in zip(before, strip, strict=False):
        text, style, control = new
        if control or not is_narrow(text):
            return None
        if old != new:
            if len(old.text) != len(text) or old.control or not is_narrow(old.text):
                return None
            changed.append((column, text, style))
        column += len(text)
    return changed if column == strip.cell_length else None


class Brush:
    """Collects the cells that one frame changes, and sends them pen by pen.

    Most changes are a few cells here and there, so that the cursor must be moved anyway; changing
    the pen costs more than that (about 20 bytes in 24-bit colours), so each pen is taken once.
    """

    def __init__(self, pens: PenTable, letters: list[list[str]], inks: list[list[int]]) -> None:
        self._pens = pens
        self._letters = letters
        self._inks = inks
        self._ink = PLAIN
        self._at: tuple[int, int] | None = None
        self._dirty: list[tuple[int, int, int]] = []
        self._out: list[str] = []

    def paint(self, y: int, start: int, stop: int) -> None:
        """Have the cells `start` to `stop` of a row sent as they are when the frame is complete."""
        self._dirty.append((y, start, stop))

    def finish(self) -> str:
        """All sequences; the pen is plain again after them."""
        strokes: dict[int, list[tuple[int, int, int, str]]] = {}
        for y, start, stop in self._dirty:
            row, inks = self._letters[y], self._inks[y]
            column = start
            while column < stop:
                ink = inks[column]
                last = column + 1
                while last < stop and inks[last] == ink:
                    last += 1
                # A wide character that came later in this frame may cross the ends.
                while column < last and row[column] == "":
                    column += 1
                while column < last < len(row) and row[last] == "":
                    last += 1
                text = "".join(row[column:last])
                if is_narrow(text):
                    strokes.setdefault(ink, []).append((y, column, last, text))
                else:
                    # Before the others: what is drawn wider than it should be is drawn over.
                    self._move(y, column)
                    self._take(ink)
                    self._odd(y, column, last)
                column = last
        while strokes:
            ink = min(strokes, key=self._price)
            for y, column, last, text in sorted(strokes.pop(ink)):
                self._move(y, column)
                self._take(ink)
                self._out.append(text)
                self._leave(y, last)
        self._take(PLAIN)
        return "".join(self._out)

    def _price(self, ink: int) -> int:
        return len(self._pens.change(self._ink, ink))

    def _take(self, ink: int) -> None:
        if ink != self._ink:
            self._out.append(self._pens.change(self._ink, ink))
            self._ink = ink

    def _leave(self, y: int, x: int) -> None:
        # Behind the last column terminals differ in where the cursor is.
        self._at = (y, x) if x < len(self._letters[y]) else None

    def _move(self, y: int, x: int) -> None:
        if self._at == (y, x):
            return
        move = f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H"
        if self._at is not None:
            down, right = y - self._at[0], x - self._at[1]
            relative = _steps(down, "B", "A") + (
                "\b" * -right if -4 < right < 0 else _steps(right, "C", "D")
            )
            if len(relative) < len(move):
                move = relative
        self._out.append(move)

    def _odd(self, y: int, start: int, stop: int) -> None:
        """Send text of which some may be drawn wider or narrower than Unicode says.

        The cursor is put where it should be behind each such character, so that a terminal
        with other tables shows one odd glyph, not a shifted row.
        """
        out, row = self._out, self._letters[y]
        width = len(row)
        for column in range(start, stop):
            letter = row[column]
            if letter == "":
                continue
            wide = column + 1 < width and row[column + 1] == ""
            if letter in NARROW or (wide and is_sure_wide(letter)):
                out.append(letter)
                continue
            if wide:
                out.append(f"  \x1b[{column + 1}G")
            out.append(letter)
            after = column + (2 if wide else 1)
            if after < width:
                out.append(f"\x1b[{after + 1}G")
        self._leave(y, stop)


def _steps(distance: int, forward: str, backward: str) -> str:
    """Return the sequence that moves the cursor on one axis, see ECMA-48 8.3.18 to 8.3.22."""
    if not distance:
        return ""
    number = abs(distance)
    return f"\x1b[{number if number > 1 else ''}{forward if distance > 0 else backward}"
