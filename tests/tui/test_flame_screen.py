"""The flame graph and the call tree by keyboard and mouse, and what they say without data."""

from __future__ import annotations

from dashboard_app import make_app, screen_text, show
from flame_app import flame_app, open_flame, profiled
from msgspec.structs import replace
from sample import full_snapshot
from sample_flames import deep_profile, hostile_profile, shop_profile, waiting_profile
from textual import events

from perftui.snapshot import NOT_LOOKED_AT, Absent, Snapshot, State
from perftui.tui.app import PerftuiApp
from perftui.tui.screens.flame import FlameScreen

SIZE = (80, 24)


def wheel(kind: type[events.MouseEvent]) -> events.MouseEvent:
    """Return a turn of the wheel in the middle of the screen, as the terminal tells of it."""
    return kind(None, 40, 12, 0, 0, 0, False, False, False, screen_x=40, screen_y=12)


def lines(app: PerftuiApp) -> list[str]:
    return screen_text(app).split("\n")


def chosen(app: PerftuiApp) -> str:
    """Return the name in the line that tells of the selected frame."""
    return lines(app)[-3].split()[0]


async def test_arrows_move_among_callers_callees_and_neighbours() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        assert chosen(app) == "all"
        await pilot.press(*["down"] * 8)
        assert chosen(app) == "price_for"
        assert "/srv/app/shop/price.py:88" in lines(app)[-3]
        assert "own  920 ms  25.0 %" in lines(app)[-2]
        assert "total  2.18 s  59.2 %  218 samples" in lines(app)[-2]
        await pilot.press("left")
        assert chosen(app) == "decode"
        await pilot.press("h")
        assert chosen(app) == "decode"
        await pilot.press("l", "j", "right")
        assert chosen(app) == "rate_of"
        await pilot.press("k", "up")
        assert chosen(app) == "checkout"
        await pilot.press("home")
        assert chosen(app) == "all"
        await pilot.press("end")
        assert chosen(app) == "can_read"


async def test_enter_zooms_and_escape_goes_back_and_closes() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press(*["down"] * 8, "enter")
        rows = lines(app)
        assert rows[10].rstrip() == " price_for"
        assert "_bootstrap" not in "\n".join(rows)
        assert "rounded" in rows[11]
        assert "in price_for" in rows[-2]
        await pilot.press("down", "enter")
        assert "in get" in lines(app)[-2]
        await pilot.press("backspace")
        assert "in price_for" in lines(app)[-2]
        await pilot.press("escape")
        assert "_bootstrap" in screen_text(app)
        assert isinstance(app.screen, FlameScreen)
        await pilot.press("escape")
        assert not isinstance(app.screen, FlameScreen)


async def test_enter_on_a_caller_zooms_out_to_it() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press(*["down"] * 8, "enter", "up", "up", "enter")
        assert "in handle" in lines(app)[-2]
        assert "decode" in screen_text(app)


async def test_a_click_selects_and_a_second_one_zooms() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        row = next(y for y, line in enumerate(lines(app)) if "price_for" in line)
        column = lines(app)[row].index("price_for")
        await pilot.click(offset=(column, row))
        assert chosen(app) == "price_for"
        assert "_bootstrap" in screen_text(app)
        await pilot.click(offset=(column, row))
        assert "_bootstrap" not in screen_text(app)
        # Free space is nothing to select.
        await pilot.click(offset=(70, 20))
        assert chosen(app) == "price_for"


async def test_the_same_frames_stay_selected_and_zoomed_when_shares_change() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press(*["down"] * 8, "enter", "down", "right")
        assert chosen(app) == "rate_of"
        before = lines(app)[11].index("rate_of")
        show(app, profiled(shop_profile(factor=3.0)))
        await pilot.pause()
        assert chosen(app) == "rate_of"
        assert "in price_for" in lines(app)[-2]
        assert lines(app)[11].index("rate_of") < before
        assert "7.6 %" in lines(app)[-2]


async def test_a_frame_that_is_not_seen_for_a_while_is_still_the_selected_one() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press(*["down"] * 9, "right")
        show(app, profiled(hostile_profile()))
        await pilot.pause()
        assert "not seen in this window" in lines(app)[-3]
        show(app, profiled(shop_profile()))
        await pilot.pause()
        assert chosen(app) == "rate_of"


async def test_freezing_holds_the_picture() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press("z")
        assert "frozen" in lines(app)[0]
        show(app, profiled(hostile_profile()))
        await pilot.pause()
        assert "checkout" in screen_text(app)
        await pilot.press("z")
        await pilot.pause()
        assert "checkout" not in screen_text(app)
        assert "frozen" not in lines(app)[0]


async def test_searching_tells_the_share_and_finds_one_after_the_other() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press("slash", *"redis", "enter")
        assert "redis  26.4 % of the time in 2 frames" in lines(app)[1]
        await pilot.press("n")
        assert chosen(app) == "get"
        await pilot.press("n")
        assert chosen(app) == "mget"
        await pilot.press("N")
        assert chosen(app) == "get"
        await pilot.press("escape")
        assert "own code" in lines(app)[1]
        await pilot.press("slash", *"nothing", "enter")
        assert "0.0 % of the time in 0 frames" in lines(app)[1]
        await pilot.press("slash", "escape")
        assert "own code" in lines(app)[1]
        assert isinstance(app.screen, FlameScreen)


async def test_the_found_frame_is_shown_although_something_else_is_zoomed() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press(*["down"] * 8, "enter", "slash", *"mget", "enter", "n")
        assert chosen(app) == "mget"
        assert "mget" in "\n".join(lines(app)[2:-3])


async def test_the_call_tree_opens_and_closes() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press("tab")
        await pilot.pause()
        rows = lines(app)
        assert rows[2].split() == ["total%", "own%", "function", "file:line"]
        assert rows[3].split()[:4] == ["82.9", "0.0", "▼", "<module>"]
        # The hottest path is open, its neighbours are not.
        assert any("can_read" in row for row in rows)
        assert not any("raw_decode" in row for row in rows)
        await pilot.press("end")
        assert chosen(app) == "_bootstrap"
        await pilot.press("right", "right")
        assert chosen(app) == "run"
        await pilot.press("left", "left", "left")
        assert chosen(app) == "_bootstrap"
        await pilot.press("home", "enter")
        assert len([row for row in lines(app)[3:-3] if row.strip()]) == 2
        await pilot.press("enter")
        assert len([row for row in lines(app)[3:-3] if row.strip()]) == 3


async def test_graph_and_tree_share_the_selected_frame() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press(*["down"] * 8, "left", "down", "tab")
        await pilot.pause()
        assert chosen(app) == "raw_decode"
        assert any("raw_decode" in row for row in lines(app)[3:-3])
        await pilot.press("up", "tab")
        await pilot.pause()
        assert chosen(app) == "decode"
        assert "Flame graph" in lines(app)[0]


async def test_a_click_in_the_tree_selects_and_a_second_one_opens() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press("tab")
        await pilot.pause()
        row = next(y for y, line in enumerate(lines(app)) if "·decode" in line)
        await pilot.click(offset=(30, row))
        assert chosen(app) == "decode"
        await pilot.click(offset=(30, row))
        assert any("raw_decode" in line for line in lines(app)[3:-3])


async def test_two_hundred_frames_can_be_scrolled_through() -> None:
    app = flame_app(deep_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        assert "rows 1-19 of 201" in lines(app)[1]
        await pilot.press("end")
        assert "rows 183-201 of 201" in lines(app)[1]
        assert "depth 200" in lines(app)[-2]
        await pilot.press("pageup")
        assert "depth 182" in lines(app)[-2]
        await pilot.press("enter")
        assert "in visit" in lines(app)[-2] or "in walk" in lines(app)[-2]
        assert chosen(app) in lines(app)[5]
        await pilot.press("home")
        assert "rows 1-19 of" in lines(app)[1]
        await pilot.press("escape", "tab", "end")
        await pilot.pause()
        assert "rows" in lines(app)[1]


async def test_the_wheel_scrolls_and_leaves_the_selected_frame() -> None:
    app = flame_app(deep_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        for keys, last in (((), 201), (("tab",), 219)):
            await pilot.press(*keys)
            await pilot.pause()
            name = chosen(app)
            app.screen.post_message(wheel(events.MouseScrollDown))
            await pilot.pause()
            await pilot.pause()
            assert f"rows 4-{22 - bool(keys)} of {last}" in lines(app)[1]
            assert chosen(app) == name
            app.screen.post_message(wheel(events.MouseScrollUp))
            await pilot.pause()
            await pilot.pause()
            assert f"rows 1-{19 - bool(keys)} of {last}" in lines(app)[1]


async def test_hostile_names_are_only_text() -> None:
    app = flame_app(hostile_profile())
    async with app.run_test(size=(120, 40)) as pilot:
        await open_flame(app, pilot)
        text = screen_text(app)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[bold…" in text
        assert all(len(line) <= 120 for line in lines(app))
        await pilot.press("tab", "down", "down", "down")
        await pilot.pause()
        assert "\x1b" not in screen_text(app)


async def test_threads_get_branches_of_their_own() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.press("down", "H")
        await pilot.pause()
        assert "per thread" in lines(app)[0]
        assert "MainThread" in lines(app)[3]
        assert "price-refresh" in lines(app)[3]
        await pilot.press("H")
        await pilot.pause()
        assert "MainThread" not in screen_text(app)


async def test_what_is_missing_is_said_with_reason_and_fix() -> None:
    denied = Absent(State.DENIED, "py-spy may not attach to 4711", "run perftui with sudo")
    app = flame_app(denied)
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        assert "py-spy may not attach to 4711" in screen_text(app)
        assert "run perftui with sudo" in screen_text(app)
        show(app, profiled(replace(shop_profile(), stacks=NOT_LOOKED_AT)))
        await pilot.pause()
        assert "the stacks are being gathered" in screen_text(app)
        none = Absent(State.UNAVAILABLE, "cProfile keeps no stacks", "profile it with py-spy")
        show(app, profiled(replace(shop_profile(), stacks=none)))
        await pilot.pause()
        assert "cProfile keeps no stacks" in screen_text(app)
        show(app, profiled(waiting_profile()))
        await pilot.pause()
        assert "the process is waiting" in screen_text(app)
        await pilot.press("down", "enter", "tab", "end", "pagedown", "H", "n", "tab")
        show(app, profiled(shop_profile()))
        await pilot.pause()
        assert "checkout" in screen_text(app)


async def test_it_opens_before_the_first_snapshot() -> None:
    app = make_app(Snapshot(0, 0.0, 0.0))
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        assert isinstance(app.screen, FlameScreen)
        show(app, profiled(shop_profile()))
        await pilot.pause()
        assert "checkout" in screen_text(app)


async def test_remapped_keys_are_shown_and_work() -> None:
    app = make_app(
        replace(full_snapshot(), top_calls=shop_profile()),
        keys={"row.filter": "f", "row.down": "x", "profile.freeze": "Z"},
    )
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        assert "f search" in lines(app)[-1]
        await pilot.press("x", "f", *"tax", "enter")
        assert chosen(app) == "<module>"
        assert "tax" in lines(app)[1]
        await pilot.press("Z")
        assert "frozen" in lines(app)[0]
        assert "Z go on" in lines(app)[-1]


async def test_a_new_size_is_drawn() -> None:
    app = flame_app(shop_profile())
    async with app.run_test(size=SIZE) as pilot:
        await open_flame(app, pilot)
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert lines(app)[2].startswith(" all")
        assert len(lines(app)[3].rstrip()) > 90
        assert "enter zoom" in lines(app)[-1]
