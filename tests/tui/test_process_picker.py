"""The picker of processes: order, filters, what it says of each, and what enter does."""

from __future__ import annotations

import msgspec
import pytest
from dashboard_app import screen_text, show
from dump_app import eventually
from picker_app import (
    Chosen,
    MadeChecks,
    open_picker,
    picker_app,
    picker_snapshot,
    process,
    settle,
)
from sample import StillMonitor
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from test_pictures import _UNIQUE

from perftui.snapshot import Absent, ProcessTable, State
from perftui.tui.app import PerftuiApp
from perftui.tui.panes.process_choice import telling_command
from perftui.tui.screens import process_picker
from perftui.tui.screens.process_picker import ProcessPicker
from perftui.tui.screenshot import without_fonts

SIZE = (80, 24)


@pytest.fixture(autouse=True)
def _nothing_is_tried_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_picker, "REST", 1e9)


def rows(app: PerftuiApp) -> list[str]:
    """Return the rows of the list, without frame and titles."""
    return [line[1:-1] for line in screen_text(app).split("\n")[2:15] if line[1:8].strip()]


def pids(app: PerftuiApp) -> list[int]:
    return [int(line.split()[2]) for line in rows(app)]


async def picture(size: tuple[int, int], keys: tuple[str, ...], **how: bool) -> str:
    app = picker_app(**how)
    async with app.run_test(size=size) as pilot:
        await open_picker(app, pilot)
        await pilot.press(*keys)
        await settle(pilot)
        svg = app.export_screenshot(title="perftui", simplify=True)
    return _UNIQUE.sub(r"terminal-\1", without_fonts(svg))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_pictures(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(size, ("a", *("down",) * 7))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_picture_in_ascii_without_colour(snapshot: SnapshotAssertion) -> None:
    svg = await picture(SIZE, ("down", "down", "c"), ascii_only=True, colour=False)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_own_profiles_then_python_by_cpu_then_on_request_the_others() -> None:
    app = picker_app()
    async with app.run_test(size=SIZE) as pilot:
        await open_picker(app, pilot)
        assert pids(app) == [102, 101, 103, 420, 512, 711, 100, 310, 640, 802]
        assert "9 Python, 1 own profile" in screen_text(app)
        await pilot.press("a")
        assert pids(app)[-3:] == [900, 901, 2]
        assert "not Python" in rows(app)[10]
        await pilot.press("a", "u")
        assert 310 not in pids(app)
        assert 711 not in pids(app)
        assert "of shop" in screen_text(app)
        await pilot.press("u", "slash", *"docker", "enter")
        assert pids(app) == [101, 103, 100]
        await pilot.press("escape")
        assert len(pids(app)) == 10
        await pilot.press("s")
        assert pids(app)[:3] == [102, 802, 711]
        await pilot.press("escape")
        assert not isinstance(app.screen, ProcessPicker)


async def test_service_container_and_the_telling_part_of_the_command_are_shown() -> None:
    app = picker_app()
    async with app.run_test(size=(140, 30)) as pilot:
        await open_picker(app, pilot)
        text = screen_text(app)
        assert "[shop] gunicorn: worker [shop]" in text
        assert "docker 3f2a91c04d1e" in text
        assert "python -m shop.worker --queue mail" in text
        assert "pid ns 12" in text
        await pilot.press("down")
        assert "pid 101 (7 in its own namespace) · user shop · service shop" in screen_text(app)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("gunicorn: worker [shop]", "gunicorn: worker [shop]"),
        ("/usr/bin/python3 -m x.y -q", "python -m x.y -q"),
        ("/usr/bin/python3 -u -m x.y -q", "python -m x.y -q"),
        ("/usr/bin/python3 -X dev /srv/a.py -m x", "a.py -m x"),
        ("/srv/venv/bin/python /srv/venv/bin/gunicorn shop:app", "gunicorn shop:app"),
        ("python3", "python3"),
    ],
)
def test_commands_are_cut_where_they_begin_to_tell(command: str, expected: str) -> None:
    assert telling_command(process(7, command, "shop", 0.0)) == expected


@pytest.mark.parametrize(
    ("pid", "reason", "fix"),
    [
        (310, "belongs to root", "sudo setcap cap_sys_ptrace=ep"),
        (711, "belongs to another user (65534)", "start perftui with sudo"),
        (512, "stopped by a signal", "kill -CONT 512"),
        (640, "made itself unreadable", "sudo"),
        (103, "process 4711 traces it", "mode auto or safe"),
    ],
)
async def test_reason_and_fix_of_the_selected_process(pid: int, reason: str, fix: str) -> None:
    app = picker_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await open_picker(app, pilot)
        await pilot.press(*["down"] * pids(app).index(pid))
        below = "\n".join(screen_text(app).split("\n")[-8:])
        assert reason in below
        assert fix in below


async def test_enter_profiles_what_may_be_profiled() -> None:
    app, chosen, checks = picker_app(), Chosen(), MadeChecks()
    async with app.run_test(size=SIZE) as pilot:
        await open_picker(app, pilot, checks, chosen)
        await pilot.press("down", "enter")
        await settle(pilot)
        assert chosen.profiled == [101]
        assert checks.tried == []
        assert not isinstance(app.screen, ProcessPicker)


async def test_enter_on_an_own_profile_looks_at_it() -> None:
    app, chosen = picker_app(), Chosen()
    async with app.run_test(size=SIZE) as pilot:
        await open_picker(app, pilot, None, chosen)
        assert "nothing is attached" in screen_text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert chosen.feeds == [("shop", "web-2:102")]
        assert chosen.profiled == []


async def test_a_refused_one_is_tried_and_only_a_second_enter_insists() -> None:
    app, chosen, checks = picker_app(), Chosen(), MadeChecks()
    async with app.run_test(size=(120, 30)) as pilot:
        await open_picker(app, pilot, checks, chosen)
        await pilot.press(*["down"] * pids(app).index(310), "enter")
        await settle(pilot)
        assert [key[0] for key in checks.tried] == [310]
        assert chosen.profiled == []
        assert "reading the memory of process 310 is not permitted" in screen_text(app)
        assert "enter again tries" in screen_text(app)
        await pilot.press("up", "down")
        assert "enter again tries" not in screen_text(app)
        await pilot.press("enter", "enter")
        await settle(pilot)
        assert chosen.profiled == [310]


async def test_one_that_only_the_rules_refuse_is_profiled_when_it_can_be_read() -> None:
    app, chosen = picker_app(), Chosen()
    async with app.run_test(size=SIZE) as pilot:
        await open_picker(app, pilot, MadeChecks(), chosen)
        await pilot.press(*["down"] * pids(app).index(711), "enter")
        await settle(pilot)
        assert chosen.profiled == [711]


async def test_where_the_cursor_rests_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_picker, "REST", 0.0)
    app, checks = picker_app(), MadeChecks()
    async with app.run_test(size=(120, 30)) as pilot:
        await open_picker(app, pilot, checks)
        assert checks.tried == []
        checks.held = True
        await pilot.press("down")
        await eventually(pilot, lambda: "checking" in screen_text(app))
        checks.held = False
        await eventually(pilot, lambda: "yes, checked" in screen_text(app))
        assert "may be profiled: Python 3.11.7, checked" in screen_text(app)
        assert [key[0] for key in checks.tried] == [101]
        await pilot.press("c")
        await settle(pilot)
        assert len(checks.tried) == 2


async def test_processes_are_sampled_while_it_is_open() -> None:
    app = picker_app()
    monitor = app.monitor
    assert isinstance(monitor, StillMonitor)
    async with app.run_test(size=SIZE) as pilot:
        await open_picker(app, pilot)
        assert "processes" in monitor.demands[-1]
        app.dashboard.zoomed = "alerts"
        await pilot.press("q")
        await eventually(pilot, lambda: "processes" not in monitor.demands[-1])


async def test_the_cursor_stays_on_its_process_when_the_order_changes() -> None:
    app, chosen = picker_app(), Chosen()
    async with app.run_test(size=SIZE) as pilot:
        await open_picker(app, pilot, None, chosen)
        await pilot.press("down", "down", "down")
        now = picker_snapshot()
        table = now.processes
        assert not isinstance(table, Absent)
        changed = tuple(
            msgspec.structs.replace(row, cpu_percent=99.0) if row.pid == 100 else row
            for row in table.rows
        )
        show(app, msgspec.structs.replace(now, processes=ProcessTable(changed, 12, 60, 2, 1.0)))
        await pilot.pause()
        assert pids(app)[1] == 100
        await pilot.press("enter")
        await settle(pilot)
        assert chosen.profiled == [420]


async def test_without_processes_it_says_why() -> None:
    app = picker_app()
    async with app.run_test(size=SIZE) as pilot:
        await open_picker(app, pilot)
        hidden = Absent(State.DENIED, "/proc hides all processes", "mount -o remount,hidepid=0")
        show(app, msgspec.structs.replace(picker_snapshot(False), processes=hidden))
        await pilot.pause()
        assert "/proc hides all processes" in screen_text(app)
        await pilot.press("enter", "c", "a", "u")
        assert isinstance(app.screen, ProcessPicker)


async def test_hostile_names_are_only_text() -> None:
    app = picker_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await open_picker(app, pilot)
        await pilot.press("end")
        assert "\x1b" not in screen_text(app)
        assert "\\x1b[31m" in screen_text(app)
