"""A pane asks for more while it has the screen for itself."""

from __future__ import annotations

from dashboard_app import make_app


async def test_only_the_zoomed_pane_asks_for_its_details() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        demands = app.monitor.demands  # type: ignore[attr-defined]
        assert "redis_detail" not in demands[-1]
        await pilot.press("4")
        await pilot.pause()
        assert "redis_detail" not in demands[-1]
        await pilot.press("enter")
        await pilot.pause()
        assert "redis_detail" in demands[-1]
        await pilot.press("5")
        await pilot.pause()
        assert "redis_detail" not in demands[-1]
        await pilot.press("4")
        await pilot.pause()
        assert "redis_detail" in demands[-1]
        await pilot.press("escape")
        await pilot.pause()
        assert "redis_detail" not in demands[-1]
