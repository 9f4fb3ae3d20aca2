"""The screen drawn by cell differences is the screen that Textual draws, cell for cell."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pty_session import Cell, PtySession

APP = (sys.executable, str(Path(__file__).with_name("screen_app.py")))

Step = Callable[[PtySession], None]


def keys(text: str, shows: str | None = None) -> Step:
    def step(session: PtySession) -> None:
        for key in text:
            session.send(key)
            session.read(0.01)
        if shows is not None:
            session.wait_for(shows)
        session.settle()

    return step


def resized(*sizes: tuple[int, int]) -> Step:
    def step(session: PtySession) -> None:
        for columns, rows in sizes:
            session.resize(columns, rows)
            session.read(0.03)
        session.settle()

    return step


def stopped_and_continued(session: PtySession) -> None:
    session.signal(signal.SIGSTOP)
    session.read_for(0.1)
    session.screen.erase_in_display(2)
    session.signal(signal.SIGCONT)
    session.wait_for("steps:")
    session.settle()


def open_palette(session: PtySession) -> None:
    session.send("\x10")
    session.wait_for("Search for commands")
    session.settle(0.1)


def close_palette(session: PtySession) -> None:
    session.send("\x1b")
    session.wait_gone("Search for commands")
    session.settle()


SCRIPTS: dict[str, tuple[Step, ...]] = {
    "plain": (keys("tttt", "steps: 4."), keys("ssst", "steps: 8.")),
    "wide": tuple(keys("w", f"steps: {n}.") for n in range(1, 6)),
    "overlay": tuple(keys("o", f"steps: {n}.") for n in range(1, 6)),
    "palette": (keys("tw", "steps: 2."), open_palette, close_palette, keys("t", "steps: 3.")),
    "modal": (
        keys("tw", "steps: 2."),
        keys("m", "Really?"),
        keys("\x1b"),
        keys("tws", "steps: 5."),
    ),
    "resize": (
        keys("ow", "steps: 2."),
        resized((100, 30), (61, 17), (133, 41), (60, 20)),
        keys("t", "steps: 3."),
        resized((40, 20), (80, 24)),
    ),
    "suspend": (keys("two", "steps: 3."), keys("z", "steps: 4."), keys("tw", "steps: 6.")),
    "stop": (keys("two", "steps: 3."), stopped_and_continued, keys("t", "steps: 4.")),
}


def screens(
    arguments: tuple[str, ...], script: tuple[Step, ...], env: dict[str, str]
) -> tuple[list[list[list[Cell]]], int]:
    """The screen at the start and after each step, and the bytes sent in all."""
    with PtySession((*APP, *arguments), env=env) as session:
        session.wait_for("steps: 0.")
        session.settle()
        shown = [session.cells()]
        for step in script:
            step(session)
            shown.append(session.cells())
        session.send("q")
        assert session.wait_exit() == 0
        return shown, session.total_bytes


def assert_same(ours: list[list[Cell]], stock: list[list[Cell]], where: str) -> None:
    assert len(ours) == len(stock)
    for y, (our_row, stock_row) in enumerate(zip(ours, stock, strict=True)):
        for x, (our_cell, stock_cell) in enumerate(zip(our_row, stock_row, strict=True)):
            assert our_cell == stock_cell, f"{where}, row {y}, column {x}"


@pytest.mark.parametrize("name", SCRIPTS)
def test_screen_equals_stock(name: str) -> None:
    ours, our_bytes = screens((), SCRIPTS[name], {})
    stock, stock_bytes = screens(("--stock",), SCRIPTS[name], {})
    for number, (our_screen, stock_screen) in enumerate(zip(ours, stock, strict=True)):
        assert_same(our_screen, stock_screen, f"{name}, screen {number}")
    assert our_bytes < stock_bytes


@pytest.mark.parametrize(
    "env",
    [{"COLORTERM": ""}, {"COLORTERM": "", "TERM": "xterm"}, {"COLUMNS": "80", "LINES": "24"}],
    ids=["256 colours", "16 colours", "size in the environment"],
)
def test_screen_equals_stock_in_another_environment(env: dict[str, str]) -> None:
    script = SCRIPTS["plain"]
    ours, _ = screens((), script, env)
    stock, _ = screens(("--stock",), script, env)
    assert_same(ours[-1], stock[-1], str(env))


def test_no_color_sends_no_colour() -> None:
    with PtySession(APP, env={"NO_COLOR": "1"}) as session:
        session.wait_for("steps: 0.")
        session.send("s")
        session.wait_for("steps: 1.")
        session.settle()
        cells = [cell for row in session.cells() for cell in row]
    assert {cell.foreground for cell in cells} == {"default"}
    assert {cell.background for cell in cells} == {"default"}
    assert any(cell.bold for cell in cells)
    assert any(cell.reverse for cell in cells)


def test_redraw_repairs_a_damaged_screen() -> None:
    with PtySession(APP) as session:
        session.wait_for("steps: 0.")
        session.send("e")
        session.wait_gone("sample")
        session.settle()
        session.send("\x0c")
        session.wait_for("sample")
        session.settle()
        assert "steps: 1." in session.text()


def test_same_size_resize_repairs_the_screen() -> None:
    with PtySession(APP) as session:
        session.wait_for("steps: 0.")
        session.settle()
        session.screen.erase_in_display(2)
        session.signal(signal.SIGWINCH)
        session.wait_for("sample")


def test_an_unchanged_screen_costs_nothing() -> None:
    with PtySession(APP) as session:
        session.wait_for("steps: 0.")
        session.settle()
        assert session.read_for(1.0) == 0


def test_mouse_reports_no_moves_before_and_after_suspend() -> None:
    with PtySession(APP) as session:
        session.wait_for("steps: 0.")
        session.send("z")
        session.wait_for("steps: 1.")
        session.settle()
        assert b"\x1b[?1003h" not in session.raw
        resumed = session.raw[session.raw.rfind(b"\x1b[?1049h") :]
        assert b"\x1b[?1000h" in resumed
        assert b"\x1b[?1006h" in resumed


def test_ascii_locale_does_not_destroy_the_screen() -> None:
    with PtySession(APP, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}) as session:
        session.wait_for("名")
        session.wait_for("⣿⡇")


def test_columns_in_the_environment_do_not_fix_the_size() -> None:
    with PtySession(APP, env={"COLUMNS": "80", "LINES": "24"}) as session:
        session.wait_for("steps: 0.")
        session.resize(60, 10)
        session.wait_until(lambda: "steps: 0." in session.screen.display[9], "state in row 9")
