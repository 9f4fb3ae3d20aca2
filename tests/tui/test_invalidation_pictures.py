"""Pictures of the dialogs that delete keys and put them back; `--snapshot-update` renews them."""

from __future__ import annotations

from typing import Any

import pytest
from dashboard_app import make_app, show
from sample import NOW, full_snapshot
from still_jobs import (
    EXACT,
    FAILED,
    NOT_UNDONE,
    RESULT,
    UNDONE,
    StillInvalidation,
    StillUndo,
)
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from test_pictures import _UNIQUE
from textual.widgets import Input

from perftui.snapshot import Snapshot
from perftui.tui.app import PerftuiApp
from perftui.tui.invalidation_jobs import Outcome, Preparation
from perftui.tui.screens.invalidate import InvalidateScreen
from perftui.tui.screens.undo import UndoScreen
from perftui.tui.screenshot import without_fonts

SIZES = [(80, 24), (120, 40), (200, 50)]
KNOWN = Preparation(EXACT, "", "", "cache-1.example")
NO_UNDO = Preparation(EXACT, "", NOT_UNDONE, "cache-1.example")
WORD = ("type:cache-1.example", "enter")
INVALIDATION: dict[str, tuple[dict[str, Any], int, tuple[str, ...]]] = {
    # What the jobs say, how often enter goes a stage on, and keys after that.
    "pattern": ({}, 0, ()),
    "counting": ({}, 1, ()),
    "confirm": ({"known": KNOWN}, 1, ()),
    "confirm_no_undo": ({"known": NO_UNDO}, 1, (*"no", "enter")),
    "running": ({"known": KNOWN}, 1, WORD),
    "running_frozen": ({"known": KNOWN, "silence": 4.0}, 1, (*WORD, "right", "escape")),
    "done": ({"known": KNOWN, "outcome": Outcome(RESULT, NOW + 412)}, 1, WORD),
    "failed": ({"known": KNOWN, "outcome": Outcome(FAILED, 0.0)}, 1, WORD),
}
# Dialogs that ask five times as often as people need leave less to wait for.
POLL = 0.02
UNDO: dict[str, tuple[Any, tuple[str, ...]]] = {
    "list": (None, ()),
    "refused": (None, ("end", "enter")),
    "confirm": (None, ("enter",)),
    "running": (None, ("enter", "type:48100", "enter")),
    "done": (UNDONE, ("enter", "type:48100", "enter")),
}


@pytest.fixture(autouse=True)
def frequent_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("invalidate", "undo"):
        monkeypatch.setattr(f"perftui.tui.screens.{name}.POLL", POLL)


async def polled(pilot: Any, count: int = 6) -> None:
    for _ in range(count):
        await pilot.pause(POLL * 1.5)


async def pictured(app: PerftuiApp, size: tuple[int, int], screen: Any, *keys: str) -> str:
    """Return the SVG of a dialog after some keys, each of them given time to do its work."""
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        latest: Snapshot = full_snapshot()
        show(app, latest)
        await app.push_screen(screen)
        await polled(pilot)
        for key in keys:
            if key.startswith("type:"):
                screen.query_one(Input).value = key.removeprefix("type:")
                continue
            await pilot.press(key)
            if key == "enter":
                await polled(pilot, 3)
        await polled(pilot, 3)
        svg = app.export_screenshot(title="perftui", simplify=True)
    return _UNIQUE.sub(r"terminal-\1", without_fonts(svg))


def invalidate_screen(app: PerftuiApp, said: dict[str, Any]) -> InvalidateScreen:
    jobs: Any = StillInvalidation(**said)
    return InvalidateScreen(jobs, app.glyphs, "user:*", lambda: NOW)


@pytest.mark.parametrize("stage", INVALIDATION)
@pytest.mark.parametrize("size", SIZES)
async def test_invalidate(stage: str, size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    said, steps, keys = INVALIDATION[stage]
    app = make_app()
    svg = await pictured(app, size, invalidate_screen(app, said), *("enter",) * steps, *keys)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("stage", UNDO)
@pytest.mark.parametrize("size", SIZES)
async def test_undo(stage: str, size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    result, keys = UNDO[stage]
    jobs: Any = StillUndo(result=result)
    app = make_app()
    svg = await pictured(app, size, UndoScreen(jobs, app.glyphs, wall=lambda: NOW), *keys)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_nothing_to_undo(snapshot: SnapshotAssertion) -> None:
    jobs: Any = StillUndo(())
    app = make_app()
    svg = await pictured(app, (80, 24), UndoScreen(jobs, app.glyphs, "gone", lambda: NOW))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("stage", ["pattern", "running", "done"])
async def test_poor_terminals(stage: str, snapshot: SnapshotAssertion) -> None:
    said, steps, keys = INVALIDATION[stage]
    app = make_app(ascii_only=True, colour=False)
    screen = invalidate_screen(app, said)
    svg = await pictured(app, (80, 24), screen, *("enter",) * steps, *keys)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_undo_in_poor_terminals(snapshot: SnapshotAssertion) -> None:
    jobs: Any = StillUndo()
    app = make_app(ascii_only=True, colour=False)
    svg = await pictured(app, (80, 24), UndoScreen(jobs, app.glyphs, wall=lambda: NOW))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)
