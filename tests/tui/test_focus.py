"""The frame tells at once where the focus is, not with the next snapshot."""

from __future__ import annotations

import pytest
from dashboard_app import make_app, show
from sample import full_snapshot

from perftui.tui.app import PerftuiApp


def focused_frames(app: PerftuiApp) -> list[str]:
    return [
        name
        for name in app.dashboard.visible_panes()
        if "title-focused" in {style for _, style in app.dashboard.panes[name]._lines[0]}
    ]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_key_moves_the_focus_without_a_new_snapshot(size: tuple[int, int]) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        show(app, full_snapshot())
        await pilot.pause()
        for key, pane in (("4", "cache"), ("8", "processes"), ("tab", None)):
            await pilot.press(key)
            await pilot.pause()
            assert focused_frames(app) == [pane or app.dashboard.active]


async def test_only_a_new_arrangement_draws_everything_again() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, full_snapshot())
        await pilot.press("8")
        await pilot.pause()
        kept = [*app.dashboard.panes["resources"]._strips]
        await pilot.press("4")
        await pilot.pause()
        assert all(
            new is old
            for new, old in zip(app.dashboard.panes["resources"]._strips, kept, strict=True)
        )
