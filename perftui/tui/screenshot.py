"""Writes a picture of the dashboard as SVG, without a terminal."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perftui.config import Settings

if TYPE_CHECKING:
    from perftui.demo.stage import DemoStage

_FONT_FACE = re.compile(r"@font-face\s*\{[^}]*\}\s*")

LATEST_KEY_PAUSE = 1.0
"""Seconds between the last keys and the picture, so that what they asked for is measured."""


def take_screenshot(
    settings: Settings,
    demo: DemoStage | None,
    path: Path,
    size: tuple[int, int],
    seconds: float,
    keys: Sequence[str] = (),
) -> None:
    """Run the dashboard for `seconds` in a size of columns and rows, press `keys`, write the SVG.

    Raises OSError when the file cannot be written.
    """
    # Textual reads it when it is imported.
    os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"

    from perftui.monitor import Monitor
    from perftui.tui.app import PerftuiApp
    from perftui.tui.glyphs import choose_glyphs
    from perftui.tui.theme import AUTO, DEFAULT_THEME, load_theme

    name = settings.screen.theme
    theme = load_theme(DEFAULT_THEME if name == AUTO else name)
    glyphs = choose_glyphs(settings.screen.ascii == "on", settings.screen.charts, braille=True)
    monitor = Monitor(settings)
    app = PerftuiApp(settings, monitor, glyphs, theme, demo)

    async def play() -> None:
        async with app.run_test(size=size) as pilot:
            await asyncio.sleep(seconds)
            for key in keys:
                await pilot.press(key)
                await asyncio.sleep(0.3)
            if keys:
                await asyncio.sleep(LATEST_KEY_PAUSE)
            path.write_text(without_fonts(app.export_screenshot(title="perftui", simplify=True)))

    try:
        asyncio.run(play())
    finally:
        monitor.stop()


def without_fonts(svg: str) -> str:
    """Return the picture without the fonts it would fetch from the network when it is looked at."""
    return _FONT_FACE.sub("", svg)
