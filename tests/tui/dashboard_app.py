"""The dashboard over a monitor that stands still, for tests."""

from __future__ import annotations

from sample import NOW, StillMonitor, full_snapshot

from perftui.config import Actions, Redis, Settings
from perftui.config import Screen as ScreenSettings
from perftui.snapshot import Snapshot
from perftui.tui.app import PerftuiApp
from perftui.tui.glyphs import ASCII, UNICODE
from perftui.tui.theme import load_theme, without_colour


def make_app(
    snapshot: Snapshot | None = None,
    *,
    ascii_only: bool = False,
    colour: bool = True,
    theme: str = "night",
    allow: bool = True,
    redis: str = "redis://localhost:6379",
    layout: str = "auto",
    keys: dict[str, str] | None = None,
) -> PerftuiApp:
    """Return an app that shows `snapshot` (a full one) as soon as it is mounted."""
    settings = Settings(
        redis=Redis(url=redis),
        actions=Actions(allow=allow),
        screen=ScreenSettings(layout=layout),  # type: ignore[arg-type]
        keys=keys or {},
    )
    spec = load_theme(theme)
    monitor = StillMonitor(settings)
    app = PerftuiApp(
        settings,
        monitor,
        ASCII if ascii_only else UNICODE,
        spec if colour else without_colour(spec),
    )
    app.wall = lambda: NOW
    monitor.mailbox.put(snapshot or full_snapshot())
    return app


def show(app: PerftuiApp, snapshot: Snapshot) -> None:
    """Let the app show a snapshot as if the monitor had delivered it."""
    app.monitor.mailbox.put(snapshot)
    app.show(snapshot)


def screen_text(app: PerftuiApp) -> str:
    """Return what is on the screen as text."""
    height = app.size.height
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines[:height])
