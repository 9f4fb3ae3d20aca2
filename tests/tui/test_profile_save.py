"""Saving the profile from the screen, and profiling what is behind an alert by key."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from dashboard_app import screen_text, show
from flame_app import flame_app, profiled
from sample import StillMonitor
from sample_alerts import alert
from sample_flames import shop_profile
from textual.pilot import Pilot
from textual.widgets import Input

from perftui.alert_profile import AlertProfile, ProfileError
from perftui.monitor import Monitor
from perftui.profiling.speedscope import parse_speedscope
from perftui.snapshot import NOT_LOOKED_AT, Absent, Process, State, TopCalls
from perftui.sources.pyspy.flame_svg import FlameSvg
from perftui.sources.source import SourceError
from perftui.tui import flame_drawing
from perftui.tui.app import PerftuiApp
from perftui.tui.screens.profile_save import ProfileSaveScreen

SIZE = (110, 34)
CALLS = shop_profile()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def opened(app: PerftuiApp, pilot: Pilot[int], calls: TopCalls = CALLS) -> ProfileSaveScreen:
    await pilot.pause()
    show(app, profiled(calls))
    await pilot.press("3", "E")
    await pilot.pause()
    assert isinstance(app.screen, ProfileSaveScreen)
    return app.screen


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    for _ in range(100):
        if condition():
            return
        await pilot.pause(0.05)
    pytest.fail("it did not happen within 5 s")


def closed(app: PerftuiApp) -> bool:
    return not isinstance(app.screen, ProfileSaveScreen)


@pytest.mark.parametrize("keys", [(), ("right",)])
async def test_a_form_is_saved_under_the_suggested_name(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    app = flame_app(CALLS)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pilot.press(*keys, "enter")
        await until(pilot, lambda: closed(app))
        (path,) = tmp_path.glob("perftui-*")
        assert f"saved: {path.name}" in screen_text(app)
    assert path.name.startswith(f"perftui-{CALLS.pid}-")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    if keys:
        assert path.suffix == ".collapsed"
        assert path.read_text().count("\n") > 5
    else:
        assert path.name.endswith(".speedscope.json")
        assert parse_speedscope(path.read_bytes()).threads


async def test_an_existing_file_asks_again(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("old")
    app = flame_app(CALLS)
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(app, pilot)
        screen.query_one(Input).value = "old.json"
        await pilot.press("enter")
        await pilot.pause()
        assert "old.json exists: enter again replaces it" in screen_text(app)
        assert old.read_text() == "old"
        await pilot.press("enter")
        await until(pilot, lambda: closed(app))
    assert parse_speedscope(old.read_bytes()).threads


async def test_a_path_that_cannot_be_written_is_told_and_can_be_changed(tmp_path: Path) -> None:
    app = flame_app(CALLS)
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(app, pilot)
        for typed, told in (
            ("no/where.json", "there is no directory"),
            (".", ". is a directory: name a file in it"),
            ("", "say where: the name of a file"),
        ):
            screen.query_one(Input).value = typed
            await pilot.press("enter")
            await pilot.pause()
            text = " ".join(screen_text(app).replace("│", " ").split())
            assert told in text
        await pilot.press("escape")
        assert closed(app)
    assert list(tmp_path.glob("*.json")) == []


async def test_stacks_that_nobody_asked_for_before_come_with_the_next_snapshot(
    tmp_path: Path,
) -> None:
    bare = msgspec.structs.replace(CALLS, stacks=NOT_LOOKED_AT)
    app = flame_app(bare)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot, bare)
        show(app, profiled(bare))
        assert app.monitor.profile_request.stacks
        await pilot.press("enter")
        await pilot.pause()
        assert "come within a second: press again" in screen_text(app)
        show(app, profiled(msgspec.structs.replace(CALLS, pid=CALLS.pid + 1)))
        await pilot.press("enter")
        await pilot.pause()
        assert not closed(app)
        show(app, profiled(CALLS))
        await pilot.press("enter")
        await until(pilot, lambda: closed(app))
    (path,) = tmp_path.glob("perftui-*.speedscope.json")
    assert parse_speedscope(path.read_bytes()).threads


async def test_a_profile_that_cannot_have_stacks_says_why(tmp_path: Path) -> None:
    none = Absent(State.UNAVAILABLE, "cProfile keeps no stacks")
    own = msgspec.structs.replace(CALLS, source="cProfile", stacks=none)
    app = flame_app(own)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot, own)
        await pilot.press("enter")
        await pilot.pause()
        assert "this profile has no stacks to save: cProfile keeps no" in screen_text(app)
    assert list(tmp_path.glob("perftui*")) == []


async def test_a_profile_of_the_service_itself_is_not_drawn_by_py_spy() -> None:
    own = msgspec.structs.replace(CALLS, source="cProfile")
    app = flame_app(own)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot, own)
        await pilot.press("left", "enter")
        await pilot.pause()
        assert "this profile is of cProfile" in screen_text(app)


class Drawing:
    """Stands for a recording of py-spy: waits to be let go or cancelled."""

    made: Drawing

    def __init__(self, *given: object) -> None:
        self.given = given
        self.go = threading.Event()
        self.cancelled = False
        self.error: SourceError | None = None
        Drawing.made = self

    def cancel(self) -> None:
        self.cancelled = True
        self.go.set()

    def run(self, told: Callable[[float], None]) -> FlameSvg:
        told(4.0)
        assert self.go.wait(10)
        if self.cancelled:
            raise SourceError(State.NOT_COLLECTED, "cancelled")
        if self.error is not None:
            raise self.error
        return FlameSvg(b"<svg/>", 10.0, False)


@pytest.fixture
def holds(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    held: list[bool] = []
    monkeypatch.setattr(flame_drawing, "FlameRecording", Drawing)

    def hold(self: StillMonitor, pid: int) -> bool:
        held.append(True)
        return Monitor.hold_process(self, pid)

    def release(self: StillMonitor, pid: int) -> None:
        held.append(False)
        Monitor.release_process(self, pid)

    monkeypatch.setattr(StillMonitor, "hold_process", hold)
    monkeypatch.setattr(StillMonitor, "release_process", release)
    return held


async def test_a_process_that_is_sampled_for_an_alert_is_not_drawn_meanwhile(
    tmp_path: Path, holds: list[bool]
) -> None:
    app = flame_app(CALLS)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        assert app.monitor.hold_process(CALLS.pid)
        await pilot.press("left", "enter")
        await pilot.pause()
        assert "is sampled for an alert now: try again in 10 s" in screen_text(app)
        assert holds == [True, True]
        assert not closed(app)
        app.monitor.release_process(CALLS.pid)
        await pilot.press("enter")
        await until(pilot, lambda: "py-spy samples: 4 of 10 s" in screen_text(app))
    assert list(tmp_path.glob("perftui*")) == []


async def test_the_live_profile_rests_while_py_spy_draws(tmp_path: Path, holds: list[bool]) -> None:
    app = flame_app(CALLS)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pilot.press("left", "enter")
        await until(pilot, lambda: "py-spy samples: 4 of 10 s" in screen_text(app))
        assert holds == [True]
        assert Drawing.made.given[0] == CALLS.pid
        assert Drawing.made.given[2] == 10
        Drawing.made.go.set()
        await until(pilot, lambda: closed(app))
    assert holds == [True, False]
    (path,) = tmp_path.glob("perftui-*.svg")
    assert path.read_bytes() == b"<svg/>"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_escape_cancels_the_drawing_and_the_live_profile_goes_on(
    tmp_path: Path, holds: list[bool]
) -> None:
    app = flame_app(CALLS)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pilot.press("left", "enter")
        await until(pilot, lambda: holds == [True])
        await pilot.press("escape")
        await until(pilot, lambda: holds == [True, False])
        assert closed(app)
    assert Drawing.made.cancelled
    assert list(tmp_path.glob("perftui*")) == []


async def test_a_drawing_that_fails_is_told_and_the_live_profile_goes_on(
    holds: list[bool],
) -> None:
    app = flame_app(CALLS)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pilot.press("left", "enter")
        await until(pilot, lambda: holds == [True])
        Drawing.made.error = SourceError(State.UNAVAILABLE, "process 7 has exited", "choose one")
        Drawing.made.go.set()
        await until(pilot, lambda: "process 7 has exited: choose one" in screen_text(app))
    assert holds == [True, False]


def alarmed(subject: str = "gunicorn (101)"):  # type: ignore[no-untyped-def]
    snapshot = profiled(CALLS)
    table = snapshot.processes
    assert not isinstance(table, Absent)
    row: Process = msgspec.structs.replace(table.rows[0], pid=101, name="gunicorn", python=True)
    return msgspec.structs.replace(
        snapshot,
        alerts=(alert("many_descriptors", subject),),
        alert_events=(),
        processes=msgspec.structs.replace(table, rows=(row,)),
    )


@pytest.mark.parametrize("failing", [False, True])
async def test_p_on_an_alert_profiles_what_is_behind_it(
    monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    seen: list[tuple[int, str]] = []
    go = threading.Event()

    def run(profile: AlertProfile) -> tuple[str, ...]:
        seen.append((profile.pid, profile.alert.fingerprint))
        assert go.wait(10)
        if failing:
            raise ProfileError("process 101 has exited")
        return ("profile",)

    monkeypatch.setattr(AlertProfile, "run", run)
    app = flame_app(CALLS)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        show(app, alarmed())
        await pilot.press("2", "p")
        assert "profiling gunicorn (101) for 10 s" in screen_text(app)
        await pilot.press("p")
        assert "process 101 is being profiled for an alert" in screen_text(app)
        go.set()
        told = "nothing was attached: process 101 has" if failing else "attached to the alert"
        await until(pilot, lambda: told in screen_text(app))
        assert seen == [(101, "many_descriptors")]


async def test_p_on_an_alert_without_a_process_says_so() -> None:
    app = flame_app(CALLS)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        show(app, alarmed("/srv"))
        await pilot.press("2", "p")
        assert "no process is known to be behind it" in screen_text(app)
