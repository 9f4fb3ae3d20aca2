"""Starts the screen: terminal checks first, then colours, then Textual, and a clean end."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from perftui.config import Settings
from perftui.tui.terminal import (
    check_terminal,
    colour_depth,
    has_braille,
    use_utf8_output,
    wants_ascii,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from perftui.demo.stage import DemoStage
    from perftui.mailbox import Mailbox
    from perftui.snapshot import Snapshot

SWITCH_INTERVAL = 0.001
"""Shorter turns of the interpreter lock keep keys quick while sources compute."""


def run(
    settings: Settings,
    demo: DemoStage | None = None,
    watch: Callable[[Mailbox[Snapshot]], None] | None = None,
) -> int:
    """Show the dashboard until the person ends it; return the exit code.

    `watch` gets the mailbox of all snapshots before the first one arrives. Raises ConfigError for
    a theme or a key that does not exist.
    """
    problem = check_terminal(os.environ)
    if problem is not None:
        print(f"perftui: {problem}", file=sys.stderr)
        return 1
    gc.disable()
    sys.setswitchinterval(SWITCH_INTERVAL)
    depth = _depth(settings)
    # Textual reads both when it is imported.
    os.environ["TEXTUAL_COLOR_SYSTEM"] = {"none": "standard", "16": "standard"}.get(depth, depth)
    if depth == "none":
        os.environ["NO_COLOR"] = "1"
    else:
        os.environ.pop("NO_COLOR", None)
    use_utf8_output()

    from perftui.monitor import Monitor
    from perftui.tui.app import PerftuiApp
    from perftui.tui.glyphs import choose_glyphs
    from perftui.tui.terminal_guard import TerminalGuard
    from perftui.tui.theme import ANSI_THEME, AUTO, load_theme, without_colour

    screen = settings.screen
    name = screen.theme
    if name == AUTO and depth in ("none", "16"):
        name = ANSI_THEME
    theme = load_theme(name)
    if depth == "none":
        theme = without_colour(theme)
    ascii_only = screen.ascii == "on" or (screen.ascii == "auto" and wants_ascii(os.environ))
    glyphs = choose_glyphs(ascii_only, screen.charts, has_braille(os.environ))
    monitor = Monitor(settings)
    with TerminalGuard() as guard:
        guard.on_hard_exit(monitor.stop)
        if demo is not None:
            guard.on_hard_exit(demo.stop)
        app = PerftuiApp(settings, monitor, glyphs, theme, demo, guard)
        if watch is not None:
            watch(monitor.mailbox)
        monitor.count_terminal_bytes(lambda: app.terminal_meter.total_bytes)
        try:
            app.run(mouse=screen.mouse)
        finally:
            monitor.stop()
    return guard.exit_code or app.return_code or 0


def _depth(settings: Settings) -> str:
    chosen = settings.screen.color
    if chosen == "never":
        return "none"
    return colour_depth(os.environ) if chosen == "auto" else chosen
