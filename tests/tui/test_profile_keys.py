"""Keys of the pane of top calls."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from dashboard_app import screen_text, show
from flame_app import flame_app, profiled
from sample import StillMonitor
from sample_flames import shop_profile
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from test_pictures import _UNIQUE
from textual.pilot import Pilot

from perftui.snapshot import Absent
from perftui.sources.pyspy.source import RESTING
from perftui.tui.app import PerftuiApp
from perftui.tui.screens.profile_options import ProfileOptions
from perftui.tui.screenshot import without_fonts


async def begin(app: PerftuiApp, pilot: Pilot[int], keys: Sequence[str] = ("3",)) -> None:
    await pilot.pause()
    show(app, profiled(shop_profile()))
    await pilot.press(*keys)
    await pilot.pause()


async def test_stacks_are_asked_for_while_they_are_looked_at() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(app, pilot, ())
        assert not app.monitor.profile_request.stacks
        await pilot.press("3", "down")
        show(app, profiled(shop_profile()))
        assert app.monitor.profile_request.stacks
        await pilot.press("1")
        show(app, profiled(shop_profile()))
        assert not app.monitor.profile_request.stacks


async def test_breakdown_threads_and_window_change_by_key() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(app, pilot)
        await pilot.press("b")
        assert app.profile_view.by == "line"
        await pilot.press("b", "b", "b")
        assert app.profile_view.by == "function"
        await pilot.press("H")
        assert app.profile_view.per_thread
        await pilot.press("W")
        assert app.monitor.profile_request.window == 30
        await pilot.press("W")
        assert app.monitor.profile_request.window == 0
        await pilot.press("M")
        assert app.monitor.profile_request.mode == "exact"


async def test_keys_of_the_profile_do_nothing_from_another_pane() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(app, pilot, ("1",))
        await pilot.press("b", "H", "z", "B")
        assert app.profile_view.by == "function"
        assert app.profile_view.frozen is app.profile_view.pinned is None
        assert "press 3 first" in screen_text(app)


async def test_freeze_holds_the_table_and_goes_on() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(app, pilot, ("3", "z"))
        show(app, profiled(shop_profile(9.0)))
        assert "frozen" in screen_text(app)
        assert " 25.0 " in screen_text(app)
        await pilot.press("z")
        await pilot.pause()
        assert "frozen" not in screen_text(app)
        assert " 25.0 " not in screen_text(app)


async def test_a_pinned_baseline_puts_what_grew_on_top() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(app, pilot, ("3", "B"))
        show(app, profiled(shop_profile(3.0)))
        await pilot.pause()
        assert "+25.0" in screen_text(app)
        await pilot.press("B")
        await pilot.pause()
        assert "+25.0" not in screen_text(app)


async def test_options_are_applied_together_or_not_at_all() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=(80, 24)) as pilot:
        await begin(app, pilot, ("3", "O", "right", "down", "right"))
        assert isinstance(app.screen, ProfileOptions)
        await pilot.press("escape")
        assert app.monitor.profile_request.mode == "auto"
        await pilot.press("O", "right", "down", "right", "down", "right", "enter")
        await pilot.pause()
        request = app.monitor.profile_request
        assert (request.mode, request.subprocesses, request.idle) == ("exact", True, True)
        await pilot.press("O", "down", "down", "down", "right", "enter")
        await pilot.pause()
        request = app.monitor.profile_request
        assert request.gil
        assert not request.idle, "a thread that waits never holds the GIL"


async def test_p_profiles_the_process_that_is_selected() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=(120, 50)) as pilot:
        await begin(app, pilot, ("8", "p"))
        await pilot.pause()
        assert isinstance(app.monitor, StillMonitor)
        assert app.monitor.profiled is not None
        await pilot.press("P")
        assert app.monitor.profiled is None


@pytest.mark.parametrize(
    ("size", "keys"),
    [
        ((80, 24), ("3",)),
        ((80, 24), ("3", "enter", "down")),
        ((120, 40), ("3", "enter", "H", "b")),
        ((120, 40), ("3", "B", "enter")),
        ((120, 40), ("3", "O", "down")),
    ],
)
async def test_pictures(
    size: tuple[int, int], keys: tuple[str, ...], snapshot: SnapshotAssertion
) -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=size) as pilot:
        await begin(app, pilot, keys)
        show(app, profiled(shop_profile(2.0)))
        await pilot.pause()
        svg = app.export_screenshot(title="perftui", simplify=True)
    svg = _UNIQUE.sub(r"terminal-\1", without_fonts(svg))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_no_profile_while_the_pane_is_hidden_names_the_key_that_shows_it() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=(80, 24)) as pilot:
        await begin(app, pilot, ("1",))
        resting = Absent(RESTING.state, RESTING.reason, RESTING.fix)
        show(app, msgspec.structs.replace(profiled(shop_profile()), top_calls=resting))
        app.monitor.profile(4711)
        assert "top_calls" not in app.dashboard.visible_panes()
        await pilot.press("F")
        assert "press 3 first" in screen_text(app)
        assert "nothing shows it" not in screen_text(app)
