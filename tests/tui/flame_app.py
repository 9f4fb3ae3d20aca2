"""The dashboard with the flame graph over it, for tests."""

from __future__ import annotations

import msgspec
from dashboard_app import make_app
from sample import full_snapshot
from textual.pilot import Pilot

from perftui.snapshot import Maybe, Snapshot, TopCalls
from perftui.tui.app import PerftuiApp
from perftui.tui.screens.flame import FlameScreen


def profiled(calls: Maybe[TopCalls]) -> Snapshot:
    """Return a full snapshot with this profile."""
    return msgspec.structs.replace(full_snapshot(), top_calls=calls)


def flame_app(
    calls: Maybe[TopCalls], *, ascii_only: bool = False, colour: bool = True, theme: str = "night"
) -> PerftuiApp:
    """Return an app whose snapshots hold this profile."""
    return make_app(profiled(calls), ascii_only=ascii_only, colour=colour, theme=theme)


async def open_flame(app: PerftuiApp, pilot: Pilot[int]) -> FlameScreen:
    """Show the newest snapshot and the flame graph over it."""
    await pilot.pause()
    snapshot = app.monitor.mailbox.latest()
    assert snapshot is not None
    app.show(snapshot)
    screen = FlameScreen(app.glyphs, app.settings.keys, lambda snapshot: snapshot.top_calls)
    await app.push_screen(screen)
    await pilot.pause()
    return screen
