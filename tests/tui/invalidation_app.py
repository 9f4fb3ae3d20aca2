"""The dialogs that delete keys and put them back, over a real Redis, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest
from dashboard_app import make_app, screen_text
from textual.pilot import Pilot
from textual.screen import Screen

from perftui.tui.app import PerftuiApp
from perftui.tui.invalidation_jobs import InvalidationJobs
from perftui.tui.screens.invalidate import InvalidateScreen, Stage
from perftui.tui.screens.undo import UndoScreen
from perftui.tui.undo_jobs import UndoJobs

S = TypeVar("S", bound=Screen[None])
PATIENCE = 30.0


class Dialog:
    """A dialog that is open, the keys that go to it, and what it shows."""

    def __init__(self, app: PerftuiApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        """What is on the screen, without frames and line ends inside sentences."""
        return " ".join(screen_text(self.app).replace("│", " ").split())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        for _ in range(int(PATIENCE / 0.05)):
            if condition():
                return
            await self.pilot.pause(0.05)
        pytest.fail(f"it did not happen within {PATIENCE:g} s:\n{screen_text(self.app)}")

    async def sees(self, *words: str) -> None:
        """Wait until words are on the screen."""
        await self.until(lambda: all(word in self.text for word in words))

    async def types(self, *keys: str) -> None:
        """Press keys one after the other."""
        await self.pilot.press(*keys)

    @property
    def closed(self) -> bool:
        """Whether no dialog is open any more."""
        return not isinstance(self.app.screen, InvalidateScreen | UndoScreen)

    async def stage(self, stage: Stage) -> InvalidateScreen:
        """Wait until the invalidation is in this stage."""
        await self.until(
            lambda: isinstance(self.app.screen, InvalidateScreen) and self.app.screen.stage is stage
        )
        assert isinstance(self.app.screen, InvalidateScreen)
        return self.app.screen

    async def confirmed(self, word: str) -> None:
        """Go from the estimate to the deletion."""
        await self.sees("looked at in")
        await self.types("enter")
        await self.sees(f"Type {word} and press enter to delete")
        await self.types(*word, "enter")


@contextlib.asynccontextmanager
async def invalidating(
    url: str, pattern: str = "", size: tuple[int, int] = (120, 40)
) -> AsyncIterator[Dialog]:
    """Open the dialog that deletes keys."""
    app = make_app(redis=url)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await app.push_screen(InvalidateScreen(InvalidationJobs(url), app.glyphs, pattern))
        yield Dialog(app, pilot)


@contextlib.asynccontextmanager
async def undoing(url: str, journal_id: str = "") -> AsyncIterator[Dialog]:
    """Open the dialog that puts keys back."""
    app = make_app(redis=url)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await app.push_screen(UndoScreen(UndoJobs(url), app.glyphs, journal_id))
        yield Dialog(app, pilot)
