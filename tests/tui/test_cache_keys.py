"""What keys do in the cache pane, against a real Redis where keys are asked for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from dashboard_app import make_app, screen_text, show
from redis_fixture import RedisProcess
from sample import full_snapshot
from sample_caches import LOST, cached, prefix_samples, shop_caches
from textual.pilot import Pilot
from textual.widgets import Input

from perftui.snapshot import Alert, Severity
from perftui.tui.app import PerftuiApp
from perftui.tui.cache_view import CACHE_VIEWS, PrefixLook
from perftui.tui.panes.cache_rows import SERVER_KEY
from perftui.tui.screens.invalidate import InvalidateScreen
from perftui.tui.screens.key_browser import KeyBrowserScreen
from perftui.tui.screens.undo import UndoScreen

PATIENCE = 600
"""Tenths of a second that a busy machine may take for what takes none."""


async def until(pilot: Pilot[int], holds: Callable[[], bool]) -> None:
    """Wait for something."""
    for _ in range(PATIENCE):
        await pilot.pause(0.1)
        if holds():
            return
    raise AssertionError("it did not come")


def selected(app: PerftuiApp) -> Any:
    """Return the record under the cursor of Cache."""
    return app.dashboard.panes["cache"].selected


def demands(app: PerftuiApp) -> frozenset[str]:
    found: frozenset[str] = app.monitor.demands[-1]  # type: ignore[attr-defined]
    return found


async def test_a_key_goes_through_the_views_of_the_zoom() -> None:
    app = make_app(cached())
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        await pilot.press("4", "b")
        await pilot.pause()
        # The views are those of the zoom, so the first time it leads there.
        assert app.dashboard.zoomed == "cache"
        assert app.cache_view.by == "namespaces"
        seen = []
        for _ in CACHE_VIEWS:
            await pilot.press("b")
            await pilot.pause()
            seen.append(app.cache_view.by)
            assert f" {CACHE_VIEWS[app.cache_view.by]} " in screen_text(app)
        assert seen == ["processes", "commands", "slow", "errors", "prefixes", "namespaces"]


async def test_the_same_key_still_adds_up_top_calls() -> None:
    app = make_app(cached())
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        await pilot.press("3", "b")
        await pilot.pause()
        assert app.profile_view.by == "line"
        assert app.cache_view.by == "namespaces"


async def test_redis_is_asked_in_depth_only_while_the_pane_is_zoomed() -> None:
    app = make_app(cached())
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        await pilot.press("4")
        await pilot.pause()
        assert "redis_detail" not in demands(app)
        await pilot.press("enter")
        await pilot.pause()
        assert "redis_detail" in demands(app)
        await pilot.press("enter")
        await pilot.pause()
        assert "redis_detail" not in demands(app)


async def test_sorting_goes_through_the_columns_and_back_to_urgency() -> None:
    app = make_app(cached())
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        await pilot.press("4", "enter")
        await pilot.pause()
        pane = app.dashboard.panes["cache"]
        urgent = [row.key for row in pane._arranged.records]
        tried: list[str] = []
        while not tried or pane.state.sort != "cache":
            await pilot.press("s")
            tried.append(pane.state.sort)
            assert len(tried) < 20
        assert {"10", "100", "1000", "items", "bytes", "evictions", "errors"} <= set(tried)
        assert [row.key for row in pane._arranged.records] == urgent
        while pane.state.sort != "10":
            await pilot.press("s")
        assert pane._arranged.records[0].name == "product"
        await pilot.press("b", "b")
        await pilot.pause()
        assert pane.state.sort == "core"
        assert pane._arranged.records[0].name == "get"


async def test_the_cursor_stays_on_its_cache_when_the_order_changes() -> None:
    app = make_app(cached())
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        await pilot.press("4", "enter", "down", "down")
        await pilot.pause()
        chosen = selected(app).key
        caches = shop_caches()
        turned = tuple(
            msgspec.structs.replace(
                cache,
                tiers=tuple(
                    msgspec.structs.replace(tier, lookups_100=100_000 * (5 - n))
                    for tier in cache.tiers
                ),
            )
            for n, cache in enumerate(reversed(caches))
        )
        show(app, cached(turned))
        await pilot.pause()
        assert selected(app).key == chosen


async def test_an_alert_leads_to_its_row_also_from_another_view() -> None:
    alert = Alert("R24", Severity.WARNING, "shop cache basket", 0.5, 0.8, "x", 1.0, "fell", "",
                  "cache", fingerprint="f")  # fmt: skip
    snapshot = msgspec.structs.replace(cached(), alerts=(alert,))
    for zoomed in (False, True):
        app = make_app(snapshot)
        async with app.run_test(size=(120, 40)) as pilot:
            show(app, snapshot)
            app.cache_view = replace(app.cache_view, by="errors")
            await pilot.press("2", *(("enter",) if zoomed else ()), "f")
            await pilot.pause()
            assert app.dashboard.active == "cache"
            assert app.cache_view.by == "namespaces"
            assert (selected(app).name, selected(app).tier.tier) == ("basket", "overall")
            server = msgspec.structs.replace(alert, rule="R25", subject="localhost:6379")
            show(app, msgspec.structs.replace(snapshot, alerts=(server,)))
            await pilot.press("2", "f")
            await pilot.pause()
            assert selected(app).key == SERVER_KEY


async def test_the_dialogs_begin_with_the_keys_of_the_selected_cache() -> None:
    app = make_app(cached())
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        await pilot.press("4", "enter", "i")
        await pilot.pause()
        assert isinstance(app.screen, InvalidateScreen)
        assert app.screen.query_one(Input).value == "shop:price:*"
        await pilot.press("escape")
        await pilot.pause()
        # The server has no keys of its own name.
        await pilot.press("end", "i")
        await pilot.pause()
        assert app.screen.query_one(Input).value == ""
        await pilot.press("escape")
        await pilot.pause()
        # In another pane the cursor of this one is not what is looked at.
        await pilot.press("home", "enter", "8", "i")
        await pilot.pause()
        assert app.screen.query_one(Input).value == ""


async def test_a_sampled_prefix_is_a_pattern_too() -> None:
    app = make_app(cached())
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        look = PrefixLook(None, prefix_samples(), 900.0)
        app.cache_view = replace(app.cache_view, by="prefixes", prefixes=look)
        await pilot.press("4", "enter", "down", "down", "i")
        await pilot.pause()
        assert app.screen.query_one(Input).value == "\\xff\\xfe*"


@pytest.mark.parametrize(("key", "screen"), [("i", InvalidateScreen), ("u", UndoScreen)])
async def test_what_changes_something_needs_permission_and_a_redis(
    key: str, screen: type[object]
) -> None:
    for allow, redis, told in (
        (False, "redis://localhost:6379", "--allow-actions"),
        (True, "", "--redis URL"),
    ):
        app = make_app(cached(), allow=allow, redis=redis)
        async with app.run_test(size=(120, 40)) as pilot:
            show(app, cached())
            await pilot.press("4", key)
            await pilot.pause()
            assert app.screen is app.dashboard
            assert told in screen_text(app)
    app = make_app(cached())
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        await pilot.press("4", key)
        await pilot.pause()
        assert isinstance(app.screen, screen)


async def test_keys_are_looked_at_without_permission_to_change_them(
    redis_server: RedisProcess,
) -> None:
    redis_server.client.flushall()
    redis_server.client.mset({"shop:price:1": "a", "shop:price:2": "b", "other:1": "c"})
    app = make_app(cached(), allow=False, redis=redis_server.url)
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        await pilot.press("4", "enter", "K")
        await pilot.pause()
        assert isinstance(app.screen, KeyBrowserScreen)
        await until(pilot, lambda: "shop:price:2" in screen_text(app))
        assert "other:1" not in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert len(app.screen_stack) == 1


async def test_prefixes_are_sampled_on_request(redis_server: RedisProcess) -> None:
    redis_server.client.flushall()
    redis_server.client.mset({f"price:{n}": "x" * 200 for n in range(300)})
    redis_server.client.mset({f"basket:{n}": "x" for n in range(50)})
    app = make_app(cached(), allow=False, redis=redis_server.url)
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        await pilot.press("r")
        await pilot.pause()
        assert app.dashboard.zoomed == "cache"
        assert app.cache_view.by == "prefixes"
        await until(pilot, lambda: app.cache_view.prefixes.samples is not None)
        await pilot.pause()
        text = screen_text(app)
        assert text.index("price:*") < text.index("basket:*")
        assert "all 350 keys" in text
        assert "cancels" not in text


async def test_a_sampling_that_fails_says_why_and_keeps_what_was_found() -> None:
    app = make_app(cached(), redis="unix:///nowhere/at/all")
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        before = PrefixLook(None, prefix_samples(), 990.0)
        app.cache_view = replace(app.cache_view, prefixes=before)
        await pilot.press("4", "r")
        await until(pilot, lambda: bool(app.cache_view.prefixes.problem))
        await pilot.pause()
        text = screen_text(app)
        assert "/nowhere/at/all does not exist" in text
        assert "shop:price:*" in text


async def test_the_key_that_samples_cancels_while_it_runs(redis_server: RedisProcess) -> None:
    redis_server.client.flushall()
    redis_server.client.set("price:1", "x")
    app = make_app(cached(), redis=redis_server.url)
    before = PrefixLook(None, prefix_samples(), 990.0)
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        app.cache_view = replace(app.cache_view, prefixes=before)
        os.kill(redis_server.pid, signal.SIGSTOP)
        try:
            await pilot.press("4", "r")
            await pilot.pause()
            assert "r cancels" in screen_text(app)
            await pilot.press("r")
            await pilot.pause()
            assert "ends after the page under way" in screen_text(app)
        finally:
            os.kill(redis_server.pid, signal.SIGCONT)
        await until(pilot, lambda: app.cache_view.prefixes.progress is None)
        await pilot.pause()
        # Nothing was seen, so what was found before stays.
        assert app.cache_view.prefixes == before
        assert "shop:price:*" in screen_text(app)
        await pilot.press("r")
        await until(pilot, lambda: "all 1 key " in screen_text(app))


async def test_a_remapped_key_is_the_one_that_is_named() -> None:
    app = make_app(cached(), keys={"cache.prefixes": "N"})
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, cached())
        app.cache_view = replace(app.cache_view, by="prefixes")
        await pilot.press("4", "enter")
        await pilot.pause()
        assert "N samples up to" in screen_text(app)


async def test_coherence_that_is_lost_marks_the_tab_and_the_frame() -> None:
    app = make_app(full_snapshot())
    async with app.run_test(size=(80, 24)) as pilot:
        show(app, cached(shop_caches(LOST)))
        await pilot.pause()
        assert "4 Cache!" in screen_text(app)
        await pilot.press("4")
        await pilot.pause()
        assert "✗ coherence LOST in 1 of 4" in screen_text(app)
