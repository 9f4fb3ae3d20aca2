"""The stacks of all threads on the screen: folding, keys, and what is said while they are read."""

from __future__ import annotations

import pytest
from dashboard_app import screen_text
from dump_app import MadeDumps, dump_app, eventually, open_dump, settle, shop_dump
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from test_pictures import _UNIQUE

from perftui.snapshot import Absent, State
from perftui.tui.app import PerftuiApp
from perftui.tui.screens.stack_dump import StackDumpScreen
from perftui.tui.screenshot import without_fonts

SIZE = (80, 24)
DENIED = Absent(State.DENIED, "reading process 101 is not permitted", "start perftui with sudo")


def lines(app: PerftuiApp) -> list[str]:
    return screen_text(app).split("\n")


async def picture(size: tuple[int, int], keys: tuple[str, ...], **how: bool) -> str:
    app = dump_app(**how)
    async with app.run_test(size=size) as pilot:
        await open_dump(app, pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        svg = app.export_screenshot(title="perftui", simplify=True)
    return _UNIQUE.sub(r"terminal-\1", without_fonts(svg))


@pytest.fixture(autouse=True)
def _one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perftui.tui.screens.stack_dump.clock", lambda _: "14:03:27")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_pictures(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(size, ("tab", "tab", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("keys", [("L",), ("L", "L", "down", "down")], ids=["warning", "locals"])
async def test_pictures_of_locals(keys: tuple[str, ...], snapshot: SnapshotAssertion) -> None:
    svg = await picture(SIZE, keys)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_picture_in_ascii_without_colour(snapshot: SnapshotAssertion) -> None:
    svg = await picture(SIZE, ("x",), ascii_only=True, colour=False)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_running_threads_are_open_and_waiting_ones_folded() -> None:
    app = dump_app()
    async with app.run_test(size=SIZE) as pilot:
        await open_dump(app, pilot)
        text = screen_text(app)
        assert "17 threads: 2 active, 15 idle" in text
        assert "taken 14:03:27" in text
        assert "without a pause" in text
        assert lines(app)[2].split()[:4] == ["▼", "MainThread", "101", "GIL"]
        folded = next(line for line in lines(app) if "12 threads" in line)
        assert folded.split()[-4:-1] == ["waits", "in", "_worker"]
        assert "waits in Reporter._loop" in text
        assert "no Python frame" in text
        assert "\x1b" not in text
        await pilot.press("enter")
        assert "checkout" not in screen_text(app)
        await pilot.press("e", "down")
        assert "/srv/app/shop/price.py:88" in lines(app)[-2]
        await pilot.press("E", "end")
        assert "rows" in lines(app)[1]
        assert "Reporter._loop" in screen_text(app)
        await pilot.press("E")
        assert len([line for line in lines(app)[2:-2] if line.strip()]) == 6


async def test_another_dump_keeps_what_is_open_and_selected() -> None:
    app, dumps = dump_app(), MadeDumps()
    async with app.run_test(size=SIZE) as pilot:
        await open_dump(app, pilot, dumps)
        await pilot.press("enter", "tab", "tab", "enter")
        selected = next(i for i, line in enumerate(lines(app)) if "12 threads" in line)
        await pilot.press("r")
        await settle(pilot)
        await pilot.press("x")
        await settle(pilot)
        assert dumps.asked == [(False, False), (False, False), (True, False)]
        assert "exact" in lines(app)[0]
        assert "without" not in lines(app)[0]
        assert "checkout" not in screen_text(app)
        assert "12 threads" in lines(app)[selected]
        assert "_worker" in lines(app)[-2]


async def test_locals_are_read_only_after_the_warning_and_not_again() -> None:
    app, dumps = dump_app(), MadeDumps()
    async with app.run_test(size=SIZE) as pilot:
        await open_dump(app, pilot, dumps)
        assert "secret-token" not in screen_text(app)
        await pilot.press("L")
        await settle(pilot)
        assert "may show passwords" in screen_text(app)
        assert len(dumps.asked) == 1
        await pilot.press("escape")
        assert "may show passwords" not in screen_text(app)
        await pilot.press("L", "L")
        await settle(pilot)
        assert dumps.asked[-1] == (False, True)
        assert "secret-token" in screen_text(app)
        await pilot.press("r")
        await settle(pilot)
        assert dumps.asked[-1] == (False, False)
        assert "secret-token" not in screen_text(app)


async def test_the_screen_answers_while_py_spy_does_not() -> None:
    app, dumps = dump_app(), MadeDumps()
    async with app.run_test(size=SIZE) as pilot:
        dumps.free.clear()
        await open_dump(app, pilot, dumps)
        assert "reading the stacks" in screen_text(app)
        await pilot.press("r", "down", "y", "slash", "enter", "E")
        assert len(dumps.asked) == 1
        await pilot.press("escape")
        await eventually(pilot, lambda: dumps.closed)
        assert not isinstance(app.screen, StackDumpScreen)


async def test_a_refusal_is_told_and_another_attempt_helps() -> None:
    refused = True
    app = dump_app()
    dumps = MadeDumps(lambda exact, found: DENIED if refused else shop_dump(exact, found))
    async with app.run_test(size=SIZE) as pilot:
        await open_dump(app, pilot, dumps)
        denied = "denied: reading process 101 is not permitted"
        await eventually(pilot, lambda: denied in screen_text(app))
        assert "fix: start perftui with sudo" in screen_text(app)
        refused = False
        await pilot.press("r")
        await eventually(pilot, lambda: "MainThread" in screen_text(app))
        refused = True
        await pilot.press("r")
        await eventually(pilot, lambda: "not permitted" in screen_text(app))
        assert "MainThread" not in screen_text(app)


async def test_searching_opens_what_was_found() -> None:
    app = dump_app()
    async with app.run_test(size=SIZE) as pilot:
        await open_dump(app, pilot)
        await pilot.press("slash", *"reporter", "enter")
        assert "/reporter: 1 found" in lines(app)[1]
        assert "metrics" in lines(app)[2]
        assert "Event.wait" in screen_text(app)
        await pilot.press("escape")
        assert "MainThread" in screen_text(app)
        await pilot.press("slash", *"redis-list", "escape")
        assert "MainThread" in screen_text(app)
        await pilot.press("slash", *"nothing", "enter", "y", "enter", "down")
        assert "0 found" in lines(app)[1]
        await pilot.press("escape", "escape")
        assert not isinstance(app.screen, StackDumpScreen)


async def test_the_selected_stack_is_copied() -> None:
    app = dump_app()
    async with app.run_test(size=SIZE) as pilot:
        await open_dump(app, pilot)
        await pilot.press("y")
        assert app.clipboard.startswith('Thread 101 (active+gil): "MainThread"\n    price_for (')
        assert "copied the stack" in screen_text(app)


async def test_the_mouse_selects_and_opens() -> None:
    app = dump_app()
    async with app.run_test(size=SIZE) as pilot:
        await open_dump(app, pilot)
        row = next(i for i, line in enumerate(lines(app)) if "metrics" in line)
        await pilot.click(offset=(10, row))
        assert "Reporter._loop" in lines(app)[-2]
        await pilot.click(offset=(10, row))
        assert "Event.wait" in screen_text(app)
