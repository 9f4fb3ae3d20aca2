"""The grid's sequences bring any terminal to the state that the grid believes in."""

from __future__ import annotations

import unicodedata

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from perftui.tui.cell_grid import CellGrid, Placement, split_cells
from perftui.tui.pens import MAX_PENS, PLAIN, PenTable

WIDTH, HEIGHT = 12, 2

STYLES = [None, *map(Style.parse, ("bold red", "on blue", "reverse", "italic underline", "strike"))]

segments = st.builds(
    lambda text, style: Segment(text, style),
    st.lists(st.sampled_from(["a", "b", " ", "名", "前", "🐍", "e\u0301", "⡇"]), max_size=5).map(
        "".join
    ),
    st.sampled_from(STYLES),
)
# The same objects come again from frame to frame, as cached rows do.
POOL = [
    Strip([Segment(text, style)])
    for text, style in zip(("ab名", "名", "a 前b", "🐍a", "  ", "aba"), STYLES, strict=True)
]
strips = st.lists(segments, max_size=3).map(Strip) | st.sampled_from(POOL)
placements = st.builds(
    lambda y, x, room, strip: (y, x, min(x + room, WIDTH), strip),
    st.integers(0, HEIGHT - 1),
    st.integers(0, WIDTH - 1),
    st.integers(1, WIDTH),
    strips,
)
frames = st.lists(st.lists(placements, max_size=4), min_size=1, max_size=6)


class Terminal:
    """A pyte terminal without line wrap, as the screen's driver sets it."""

    def __init__(self) -> None:
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self.stream = pyte.Stream(self.screen)
        self.stream.feed("\x1b[?7l")

    def cells(self) -> list[list[tuple[str, Style]]]:
        return [
            [
                (self.screen.buffer[y][x].data, char_style(self.screen.buffer[y][x]))
                for x in range(WIDTH)
            ]
            for y in range(HEIGHT)
        ]


def char_style(char: pyte.screens.Char) -> Style:
    return Style(
        color=None if char.fg == "default" else char.fg,
        bgcolor=None if char.bg == "default" else char.bg,
        bold=char.bold or None,
        italic=char.italics or None,
        underline=char.underscore or None,
        strike=char.strikethrough or None,
        reverse=char.reverse or None,
    )


class Model:
    """What the placements mean, cell by cell, written as plainly as can be."""

    def __init__(self) -> None:
        self.rows = [[(" ", Style())] * WIDTH for _ in range(HEIGHT)]

    def place(self, placement: Placement) -> None:
        y, column, end, strip = placement
        row = self.rows[y]
        for text, style, _ in strip:
            for cluster in clusters(text):
                width = 2 if cluster in "名前🐍" else 1
                if column >= end:
                    return
                if column + width > end:
                    cluster, width = " ", 1
                self.set(row, column, cluster, width, style or Style())
                column += width

    def set(
        self, row: list[tuple[str, Style]], column: int, cluster: str, width: int, style: Style
    ) -> None:
        for x in range(column, column + width):
            if row[x][0] == "":
                row[x - 1] = (" ", row[x - 1][1])
            if x + 1 < WIDTH and row[x + 1][0] == "":
                row[x + 1] = (" ", row[x + 1][1])
        row[column] = (unicodedata.normalize("NFC", cluster), style)
        if width == 2:
            row[column + 1] = ("", style)


def clusters(text: str) -> list[str]:
    found: list[str] = []
    for letter in text:
        if unicodedata.combining(letter) and found:
            found[-1] += letter
        else:
            found.append(letter)
    return found


@settings(max_examples=300, deadline=None)
@given(frames)
def test_terminal_follows_the_placements(script: list[list[Placement]]) -> None:
    terminal, model, grid = Terminal(), Model(), CellGrid()
    grid.resize(WIDTH, HEIGHT)
    for frame in script:
        terminal.stream.feed(grid.draw(frame, ColorSystem.STANDARD))
        for placement in frame:
            model.place(placement)
        assert terminal.cells() == model.rows
        # The frames do not lean on each other's pens: the terminal is left plain.
        assert terminal.screen.cursor.attrs == terminal.screen.default_char


@settings(max_examples=50, deadline=None)
@given(frames)
def test_nothing_is_sent_twice(script: list[list[Placement]]) -> None:
    grid = CellGrid()
    grid.resize(WIDTH, HEIGHT)
    for frame in script:
        grid.draw(frame, ColorSystem.STANDARD)
        last = {place[:2]: place for place in frame[-1:]}
        assert grid.draw(last.values(), ColorSystem.STANDARD) == ""


def test_control_characters_never_reach_the_terminal() -> None:
    assert split_cells("a\x1b[31mb\x9b\x07\t名\x00") == [*"a[31mb", "名", ""]


def test_a_cluster_keeps_its_marks() -> None:
    assert split_cells("e\u0301x") == ["e\u0301", "x"]
    assert split_cells("❤\ufe0f!") == ["❤\ufe0f", "", "!"]


def test_doubtful_width_puts_the_cursor_right() -> None:
    grid = CellGrid()
    grid.resize(20, 1)
    sent = grid.draw([(0, 0, 20, Strip([Segment("👩\u200d🚀x名y")]))], None)
    assert sent == "\x1b[1H  \x1b[1G👩\u200d🚀\x1b[3Gx名y"


def test_invalidate_sends_all_again() -> None:
    grid = CellGrid()
    grid.resize(20, 1)
    place = [(0, 3, 20, Strip([Segment("hello")]))]
    first = grid.draw(place, None)
    assert grid.draw(place, None) == ""
    grid.invalidate()
    assert grid.draw(place, None) == first == "\x1b[1;4Hhello"


def test_link_opens_and_closes() -> None:
    grid = CellGrid()
    grid.resize(20, 1)
    style = Style(link="https://example.org/\x1ba")
    sent = grid.draw([(0, 0, 20, Strip([Segment("x", style), Segment("y")]))], None)
    assert "https://example.org/a\x1b\\x\x1b]8;;\x1b\\" in sent


def test_pens_without_colours_keep_attributes() -> None:
    pens = PenTable(None)
    style = Style.parse("bold red on blue")
    assert pens.change(PLAIN, pens.number(style)) == "\x1b[1m"


def test_pens_are_bounded() -> None:
    grid = CellGrid()
    grid.resize(2, 1)
    for index in range(3 * MAX_PENS):
        style = Style.parse(f"#{index:06x}")
        grid.draw([(0, 0, 2, Strip([Segment("x", style)]))], ColorSystem.TRUECOLOR)
    assert len(grid._pens._pens) <= MAX_PENS + 2


def test_styles_with_the_same_look_are_one_pen() -> None:
    pens = PenTable(ColorSystem.TRUECOLOR)
    one, other = (Style(color="red", meta={"offset": n}) for n in (1, 2))
    assert pens.number(one) == pens.number(other)
