"""The dashboard driven by keys."""

from __future__ import annotations

import msgspec
import pytest
from dashboard_app import make_app, screen_text, show
from sample import HOSTILE, full_snapshot, processes

from perftui.config import ConfigError
from perftui.snapshot import Absent, Process, ProcessTable, Snapshot, State
from perftui.tui.app import PerftuiApp

SIZES = [(80, 24), (100, 30), (120, 40), (200, 50)]


async def shown(app: PerftuiApp, pilot: object) -> None:
    snapshot = app.monitor.mailbox.latest()
    assert snapshot is not None
    await pilot.pause()  # type: ignore[attr-defined]
    app.show(snapshot)
    await pilot.pause()  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", SIZES)
async def test_every_line_is_as_wide_as_the_screen_and_nothing_is_lost(
    size: tuple[int, int],
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await shown(app, pilot)
        text = screen_text(app)
        assert "web-01" in text
        assert "CRIT" in text
        assert "58.2" in text
        if size[0] >= 100:
            for title in ("Resources", "Alerts", "Top calls", "Cache", "Operations", "Servers"):
                assert f" {title} " in text
            assert (" 8 Processes ─" in text) is (size[1] >= 45)


async def test_sampling_starts_only_after_the_first_frame() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert app.monitor.started  # type: ignore[attr-defined]


async def test_hostile_names_are_readable_and_change_nothing() -> None:
    app = make_app()
    async with app.run_test(size=(200, 50)) as pilot:
        await shown(app, pilot)
        text = screen_text(app)
        assert "\\x1b[31m" in text
        assert "[/x]" in text
        assert "名前\\n" in text
        assert "\x1b" not in text
        assert HOSTILE not in text


async def test_number_keys_focus_and_enter_zooms() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("4")
        assert app.dashboard.active == "cache"
        await pilot.press("enter")
        await pilot.pause()
        assert app.dashboard.visible_panes() == ["cache"]
        assert "server hit %, all clients" in screen_text(app)
        await pilot.press("1")
        await pilot.pause()
        assert app.dashboard.visible_panes() == ["resources"]
        await pilot.press("escape")
        await pilot.pause()
        assert len(app.dashboard.visible_panes()) == 6


async def test_only_what_is_on_the_screen_is_asked_for() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        demands = app.monitor.demands  # type: ignore[attr-defined]
        assert {"services", "scrape", "prometheus", "pools", "top_calls"} <= demands[-1]
        assert "processes" not in demands[-1]
        await pilot.press("1", "enter")
        await pilot.pause()
        assert demands[-1] == frozenset({"host", "cgroup"})


async def test_tab_and_arrows_go_round_the_panes() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        order = app.dashboard.focus_order()
        start = app.dashboard.active
        for _ in order:
            await pilot.press("tab")
        assert app.dashboard.active == start
        await pilot.press("shift+tab")
        assert app.dashboard.active == order[order.index(start) - 1]


async def test_the_cursor_stays_on_its_process_when_the_order_changes() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("8", "down", "down", "down")
        pane = app.dashboard.panes["processes"]
        before = pane.selected
        assert isinstance(before, Process)
        snapshot = full_snapshot()
        assert isinstance(snapshot.processes, ProcessTable)
        busier = tuple(
            msgspec.structs.replace(p, cpu_percent=float(p.pid)) for p in snapshot.processes.rows
        )
        table = msgspec.structs.replace(snapshot.processes, rows=busier)
        show(app, msgspec.structs.replace(snapshot, processes=table))
        await pilot.pause()
        after = pane.selected
        assert isinstance(after, Process)
        assert after.pid == before.pid


async def test_the_cursor_survives_the_end_of_its_process() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("8", "end")
        pane = app.dashboard.panes["processes"]
        snapshot = full_snapshot()
        assert isinstance(snapshot.processes, ProcessTable)
        table = msgspec.structs.replace(snapshot.processes, rows=processes()[:2])
        show(app, msgspec.structs.replace(snapshot, processes=table))
        await pilot.pause()
        assert isinstance(pane.selected, Process)


async def test_filter_narrows_with_every_key_and_escape_shows_all() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("8", "slash", *"python")
        await pilot.pause()
        pane = app.dashboard.panes["processes"]
        assert pane.state.filter == "python"
        assert "svc-1" not in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert pane.state.filter == "python"
        await pilot.press("escape")
        await pilot.pause()
        assert pane.state.filter == ""
        assert "svc-1" in screen_text(app)


async def test_a_filter_that_matches_nothing_says_so() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("8", "slash", *"zzz", "enter")
        await pilot.pause()
        assert "nothing matches" in screen_text(app)


async def test_sort_moves_its_mark_and_reverse_turns_round() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("8")
        pane = app.dashboard.panes["processes"]
        assert pane.state.sort == "cpu"
        await pilot.press("s")
        assert pane.state.sort == "memory"
        rows = [record.memory_rss for record in pane._arranged.records]
        assert rows == sorted(rows, reverse=True)
        await pilot.press("S")
        rows = [record.memory_rss for record in pane._arranged.records]
        assert rows == sorted(rows)


async def test_tree_shows_children_under_their_parent() -> None:
    app = make_app()
    async with app.run_test(size=(200, 50)) as pilot:
        await shown(app, pilot)
        await pilot.press("8", "T")
        pids = [p.pid for p in app.dashboard.panes["processes"]._arranged.records]
        at = pids.index(100)
        assert pids[at : at + 3] == [100, 101, 102]
        await pilot.press("enter")
        await pilot.pause()
        assert "└─ " in screen_text(app)


async def test_pause_holds_the_picture_and_says_so() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("space")
        await pilot.pause()
        newer = msgspec.structs.replace(full_snapshot(alerts=False), version=8)
        show(app, newer)
        await pilot.pause()
        text = screen_text(app)
        assert "PAUSED at 00:00:00" in text
        assert "CRIT" in text
        await pilot.press("space")
        await pilot.pause()
        text = screen_text(app)
        assert "PAUSED" not in text
        assert "CRIT" not in text


async def test_p_profiles_the_selected_python_process_only() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("8", "home", "p")
        assert app.monitor.profiled == 101
        await pilot.press("end", "p")
        await pilot.pause()
        assert app.monitor.profiled == 101
        assert "not a Python process" in screen_text(app)
        await pilot.press("P")
        assert app.monitor.profiled is None


async def test_invalidation_is_refused_read_only_and_without_redis() -> None:
    app = make_app(allow=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("i")
        await pilot.pause()
        assert "--allow-actions" in screen_text(app)
        assert "invalidate " not in screen_text(app).splitlines()[-1].split("--allow")[0]
    app = make_app(redis="")
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("i")
        await pilot.pause()
        assert "--redis" in screen_text(app)


async def test_help_lists_the_keys_and_can_be_searched() -> None:
    app = make_app(keys={"view.pause": "f9"})
    async with app.run_test(size=(120, 60)) as pilot:
        await shown(app, pilot)
        await pilot.press("question_mark")
        await pilot.pause()
        text = screen_text(app)
        assert "Hold the picture still" in text
        assert "f9" in text
        await pilot.press("slash", *"theme", "enter")
        await pilot.pause()
        text = screen_text(app)
        assert "Next theme" in text
        assert "Hold the picture still" not in text
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert app.screen is app.dashboard


async def test_remapped_keys_work_and_the_footer_shows_them() -> None:
    app = make_app(keys={"view.pause": "f9"})
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("space")
        assert not app.paused
        await pilot.press("f9")
        assert app.paused
        await pilot.press("f9")
        await pilot.pause()
        assert "f9 pause" in screen_text(app).splitlines()[-1]


def test_a_key_for_an_unknown_action_is_an_error_with_the_closest_name() -> None:
    with pytest.raises(ConfigError, match=r"view\.pause"):
        make_app(keys={"view.paus": "f9"})


async def test_resizing_switches_between_compact_and_overview() -> None:
    app = make_app()
    async with app.run_test(size=(200, 50)) as pilot:
        await shown(app, pilot)
        for size in ((80, 24), (40, 10), (20, 6), (8, 3), (300, 80), (120, 40)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            app.show(full_snapshot())
        await pilot.pause()
        assert len(app.dashboard.visible_panes()) == 6
        assert "5 Operations" in screen_text(app)


async def test_layouts_are_chosen_by_key_and_setting() -> None:
    app = make_app(layout="pool")
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        assert app.dashboard.visible_panes()[0] == "servers"
        await pilot.press("o")
        await pilot.pause()
        assert app.dashboard.visible_panes() == [app.dashboard.active]
        await pilot.press("o")
        await pilot.pause()
        assert len(app.dashboard.visible_panes()) == 6


async def test_themes_change_by_key_without_losing_a_line() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        before = screen_text(app).splitlines()[1:-1]
        seen = set()
        for _ in range(6):
            await pilot.press("t")
            await pilot.pause()
            seen.add(app.theme)
            assert screen_text(app).splitlines()[1:-1] == before
        assert len(seen) == 6


@pytest.mark.parametrize("size", SIZES)
async def test_ascii_mode_sends_ascii_only(size: tuple[int, int]) -> None:
    app = make_app(ascii_only=True)
    async with app.run_test(size=size) as pilot:
        await shown(app, pilot)
        for keys in (("1", "enter"), ("4",), ("8",), ("escape", "8", "T")):
            await pilot.press(*keys)
            await pilot.pause()
            text = screen_text(app)
            assert text.isascii(), sorted(set(text) - set(map(chr, range(128))))


async def test_what_is_missing_says_state_reason_and_fix() -> None:
    gone = Absent(
        State.UNAVAILABLE, "Redis at localhost:6379 refused the connection", "redis-server"
    )
    denied = Absent(State.DENIED, "ptrace is not permitted", "sudo perftui")
    snapshot = msgspec.structs.replace(
        full_snapshot(), redis=gone, pools=gone, services=gone, top_calls=denied
    )
    app = make_app(snapshot)
    async with app.run_test(size=(200, 50)) as pilot:
        await shown(app, pilot)
        text = screen_text(app)
        assert "unavailable: Redis at localhost:6379 refused the connection" in text
        assert "fix: redis-server" in text
        assert "denied: ptrace is not permitted" in text
        assert "fix: sudo perftui" in text
        assert "redis ✗ unavailable" in text


async def test_before_the_first_sample_the_frame_is_there() -> None:
    app = make_app(Snapshot(0, 0.0, 0.0))
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        text = screen_text(app)
        assert "Top calls" in text
        assert "not collected" in text


async def test_quit_ends_with_zero() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        await pilot.press("q")
    assert app.return_value == 0


class _Stage:
    """A demo that only knows which of its workers is the busiest."""

    scenario = "steady"

    def __init__(self) -> None:
        self.busiest = 900

    def first_worker_pid(self) -> int:
        return self.busiest

    def status(self) -> tuple[object, ...]:
        return ()


async def test_the_demo_profiles_its_busiest_worker_until_a_person_chooses() -> None:
    app = make_app()
    app.demo = stage = _Stage()  # type: ignore[assignment]
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(app, pilot)
        assert app.monitor.profiled == 900
        stage.busiest = 901
        app.show(full_snapshot())
        assert app.monitor.profiled == 901
        await pilot.press("P")
        app.show(full_snapshot())
        assert app.monitor.profiled is None
        await pilot.press("8", "home", "p")
        app.show(full_snapshot())
        assert app.monitor.profiled == 101
