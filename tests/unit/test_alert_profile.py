"""From an alert to the profile of the process behind it, attached to its interval."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from alert_drive import Drive, Values, made_rule
from profiled_sample import named
from py_spy_fixture import SPLIT, Spawn, children, python_child, recordings_of, refusal_to_profile
from sample import full_snapshot
from sample_alerts import alert
from sample_services import shop
from test_monitor import wait
from test_monitor_alerts import AT_ONCE, broken, lost

from perftui import alert_profile, profile_files
from perftui.alert_profile import AlertProfile, ProfileError, evidence_line
from perftui.analysis.alerting.attachments import MOST_INTERVALS, MOST_LINES, Attachments
from perftui.analysis.alerting.suspect import Suspect, suspect_of
from perftui.monitor import Monitor
from perftui.profile_files import (
    NoStacksError,
    UnwritableError,
    check_writable,
    default_name,
    keep_profile,
    write_whole,
)
from perftui.profiling.speedscope import parse_speedscope
from perftui.snapshot import (
    NOT_LOOKED_AT,
    Absent,
    Alert,
    AlertState,
    Host,
    Snapshot,
    TopCalls,
)
from perftui.sources.pyspy.source import ProfileSource

replace = msgspec.structs.replace
CALLS = named(("main>price_for:88", 4.1), ("main>loads:335", 1.3), ("main", 0.004))
LINES = ("profile 14:03:27", "saved: /there")


def test_lines_stay_with_the_interval_they_were_attached_to() -> None:
    values = Values()
    drive = Drive(made_rule(values))
    values.set(90)
    drive.run(15)
    (fired,) = drive.alerts
    assert fired.state is AlertState.FIRING
    assert drive.engine.attach(fired.fingerprint, LINES)
    (alert_then,) = drive.tick()
    assert alert_then.evidence[:2] == LINES
    assert drive.events[0].evidence[:2] == LINES

    values.set(10)
    drive.run(60)
    assert drive.alerts == ()
    assert drive.events[0].evidence[:2] == LINES

    values.set(90)
    drive.run(15)
    (again,) = drive.alerts
    assert again.fingerprint == fired.fingerprint
    assert again.evidence == ()
    assert not drive.engine.attach("no such alert", LINES)
    # Known by its begin, an interval takes lines also when it has ended meanwhile.
    assert drive.engine.attach(fired.fingerprint, ("later",), fired.since)
    drive.tick()
    past = next(event for event in drive.events if event.begin == fired.since)
    assert past.evidence == ("later", *LINES)


def test_attachments_do_not_grow_for_ever() -> None:
    book = Attachments()
    for number in range(MOST_INTERVALS + 5):
        book.add(f"alert {number}", 1.0, ("line",))
    first, last = alert("alert 0", "s", since=1.0), alert("alert 204", "s", since=1.0)
    for _ in range(MOST_LINES):
        book.add("alert 204", 1.0, ("one", "two"))
    found, _ = book.with_lines((first, last), ())
    assert [len(each.evidence) for each in found] == [0, MOST_LINES]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # Which process the operation is slowest in is only known of the one that is looked at.
        ({"subject": "shop/checkout"}, 103),
        ({"subject": "shop/search"}, 101),
        ({"subject": "anything", "group": "shop"}, 101),
        ({"subject": "web-1:103", "group": "shop"}, 103),
        ({"subject": "web-1:103"}, 103),
        ({"subject": "web-2:102", "group": "shop"}, "shop runs on web-2, not on this machine"),
        ({"subject": "gunicorn (101)", "pane": "processes"}, 101),
        ({"subject": "host", "evidence": ("postgres (77) uses 90 %", "gunicorn (101) 20 %")}, 101),
        ({"subject": "host", "evidence": ("postgres (77) uses 90 %",)},
         "postgres (77) is behind it, which is no Python program"),
        ({"subject": "host", "evidence": ("gone (999) uses 90 %",)},
         "no process is known to be behind it"),
        ({"subject": "/srv"}, "no process is known to be behind it"),
    ],
)  # fmt: skip
def test_the_process_behind_an_alert(fields: dict[str, object], expected: int | str) -> None:
    found = suspect_of(alert("R", **{"subject": "host", **fields}), machine_of_shop())  # type: ignore[arg-type]
    if isinstance(expected, int):
        assert isinstance(found, Suspect)
        assert found.pid == expected
    else:
        assert isinstance(found, Absent)
        assert found.reason == expected
        assert found.fix or "no Python" in expected


def machine_of_shop() -> Snapshot:
    full = full_snapshot()
    assert not isinstance(full.processes, Absent)
    row = full.processes.rows[0]
    rows = (
        replace(row, pid=101, name="gunicorn", python=True),
        replace(row, pid=77, name="postgres", python=False),
    )
    return replace(
        full,
        host=Host("web-1", "Linux", "6.1", 8, 1000.0),
        processes=replace(full.processes, rows=rows),
        services=(shop(),),
    )


def test_a_service_that_runs_elsewhere_alone_is_not_looked_for_here() -> None:
    snapshot = replace(machine_of_shop(), host=Host("other", "Linux", "6.1", 8, 1000.0))
    found = suspect_of(alert("R", "shop/checkout"), snapshot)
    assert isinstance(found, Absent)
    assert found.reason == "shop runs on web-1, web-2, not on this machine"


def test_the_evidence_is_one_line() -> None:
    line = evidence_line(CALLS, 0.0)
    assert line == (
        "profile 00:00:00, 5 s of pid 7, 1.00 cores: "
        "76 % price_for (shop/shop.py:88), 24 % loads (shop/shop.py:335)"
    )
    idle = replace(CALLS, stacks=NOT_LOOKED_AT)
    assert evidence_line(idle, 0.0).endswith("it used no CPU time worth a sample, so it waits")


def test_profiles_are_kept_for_this_user_alone_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_files, "MOST_KEPT", 3)
    directory = tmp_path / "state" / "profiles"
    other = directory / "notes.txt"
    paths = [keep_profile(CALLS, directory, float(second)) for second in range(5)]
    other.write_text("mine")
    for second, path in enumerate(paths[2:]):
        os.utime(path, (second, second))
    newest = keep_profile(CALLS, directory, 9.0)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert newest.stat().st_mode & 0o777 == 0o600
    assert newest.name == "perftui-7-19700101-000009.speedscope.json"
    assert sorted(directory.glob("*.json")) == [*paths[3:], newest]
    assert other.exists()
    with pytest.raises(NoStacksError, match="nothing shows it"):
        keep_profile(replace(CALLS, stacks=NOT_LOOKED_AT), directory, 0.0)


def test_files_are_written_whole_and_say_why_not(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    write_whole(path, b"one", private=True)
    assert path.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link"
    link.symlink_to(path)
    write_whole(link, b"two")
    assert link.is_symlink()
    assert path.read_bytes() == b"two"
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    write_whole(fifo, b"three")
    reader.join(5)
    assert got == [b"three"]
    assert default_name(7, "collapsed", 0.0) == "perftui-7-19700101-000000.collapsed"
    for wrong in (tmp_path, tmp_path / "no" / "a", path / "a", Path("/proc/a"), Path("a\0b")):
        with pytest.raises(UnwritableError):
            write_whole(wrong, b"")
    with pytest.raises(UnwritableError, match="mkdir -p"):
        check_writable(tmp_path / "no" / "a")


@pytest.fixture(scope="module")
def permitted() -> None:
    refusal = refusal_to_profile()
    if refusal:
        pytest.skip(refusal)


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    with children() as start:
        yield start


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    """A monitor with a profiler and one alert that fires and stays."""
    made = Monitor(AT_ONCE, sources=lambda _: [ProfileSource(), broken("redis")])
    made.demand(frozenset())
    made.start()
    yield made
    made.stop()


def firing(monitor: Monitor) -> Alert:
    found = lost(wait(monitor, lambda s: lost(s) is not None))
    assert found is not None
    return found


def attached(monitor: Monitor) -> tuple[str, ...]:
    def has(snapshot: Snapshot) -> bool:
        found = lost(snapshot)
        return found is not None and any("profile " in line for line in found.evidence)

    found = lost(wait(monitor, has))
    assert found is not None
    return found.evidence


def test_a_profile_becomes_evidence(
    permitted: None, spawn: Spawn, monitor: Monitor, tmp_path: Path
) -> None:
    pid = python_child(spawn, SPLIT)
    profile = AlertProfile(firing(monitor), pid, monitor, 1.0, tmp_path)
    lines = profile.run()
    assert attached(monitor)[:2] == lines
    assert f" s of pid {pid}" in lines[0]
    assert "% seventy (<string>:" in lines[0]
    path = Path(lines[1].removeprefix("saved: "))
    frames = parse_speedscope(path.read_bytes()).frames
    assert "seventy" in {frame.name for frame in frames}
    assert recordings_of(pid) == []


def test_a_live_profile_is_taken_instead_of_a_second_sampler(
    permitted: None,
    spawn: Spawn,
    monitor: Monitor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pid = python_child(spawn, SPLIT)
    monitor.demand(frozenset({"top_calls"}))
    monitor.profile(pid)
    wait(monitor, lambda s: isinstance(s.top_calls, TopCalls))
    begun: list[object] = []
    monkeypatch.setattr(alert_profile, "ProfileRun", lambda *given: begun.append(given))
    lines = AlertProfile(firing(monitor), pid, monitor, 2.0, tmp_path).run()
    assert begun == []
    assert "seventy" in lines[0]
    assert lines[1].startswith("saved: ")
    assert attached(monitor)[:2] == lines

    def usual(snapshot: Snapshot) -> bool:
        calls = snapshot.top_calls
        return isinstance(calls, TopCalls) and calls.request.window == 5.0

    wait(monitor, usual)


def test_what_cannot_be_profiled_is_not_attached(
    spawn: Spawn, monitor: Monitor, tmp_path: Path
) -> None:
    gone = spawn(sys.executable, "-c", "")
    gone.wait()
    with pytest.raises(ProfileError, match=f"process {gone.pid} does not exist"):
        AlertProfile(firing(monitor), gone.pid, monitor, 1.0, tmp_path).run()
    assert not any("profile " in line for line in firing(monitor).evidence)
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_profile_attaches_nothing(
    permitted: None, spawn: Spawn, monitor: Monitor, tmp_path: Path
) -> None:
    pid = python_child(spawn, SPLIT)
    profile = AlertProfile(firing(monitor), pid, monitor, 30.0, tmp_path)
    threading.Timer(1.0, profile.cancel).start()
    with pytest.raises(ProfileError, match="cancelled"):
        profile.run()
    assert recordings_of(pid) == []
    assert list(tmp_path.iterdir()) == []


def test_py_spy_leaves_a_held_process_alone(
    permitted: None, spawn: Spawn, monitor: Monitor
) -> None:
    pid = python_child(spawn, SPLIT)
    monitor.demand(frozenset({"top_calls"}))
    monitor.profile(pid)
    before = wait(monitor, lambda s: isinstance(s.top_calls, TopCalls))
    assert monitor.hold_process(pid)
    assert not monitor.hold_process(pid)
    held = wait(monitor, lambda s: s.version > before.version + 4)
    assert recordings_of(pid) == []
    assert isinstance(held.top_calls, Absent)
    assert "sampled for a file or an alert" in held.top_calls.reason
    monitor.release_process(pid)
    again = wait(
        monitor, lambda s: s.version > held.version + 2 and isinstance(s.top_calls, TopCalls)
    )
    assert again.top_calls.pid == pid  # type: ignore[union-attr]


def test_a_chosen_process_that_nothing_shows_is_sampled_once(
    permitted: None,
    spawn: Spawn,
    monitor: Monitor,
    tmp_path: Path,
) -> None:
    pid = python_child(spawn, SPLIT)
    monitor.profile(pid)
    profile = AlertProfile(firing(monitor), pid, monitor, 3.0, tmp_path)
    most, lines = _sampled_by(pid, profile, lambda: monitor.demand(frozenset({"top_calls"})))
    assert most == 1
    assert "% seventy (<string>:" in lines[0]
    monitor.demand(frozenset())
    end = time.monotonic() + 5
    while recordings_of(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert recordings_of(pid) == []


def test_a_process_that_is_chosen_meanwhile_waits_for_the_end(
    permitted: None,
    spawn: Spawn,
    monitor: Monitor,
    tmp_path: Path,
) -> None:
    pid = python_child(spawn, SPLIT)
    monitor.demand(frozenset({"top_calls"}))
    profile = AlertProfile(firing(monitor), pid, monitor, 3.0, tmp_path)
    most, lines = _sampled_by(pid, profile, lambda: monitor.profile(pid))
    assert most == 1
    assert "% seventy (<string>:" in lines[0]
    again = wait(monitor, lambda s: isinstance(s.top_calls, TopCalls))
    assert again.top_calls.pid == pid  # type: ignore[union-attr]


def test_a_process_that_is_drawn_is_not_profiled_for_an_alert_as_well(
    spawn: Spawn, monitor: Monitor, tmp_path: Path
) -> None:
    pid = python_child(spawn, SPLIT)
    assert monitor.hold_process(pid)
    with pytest.raises(ProfileError, match="is sampled for a file now"):
        AlertProfile(firing(monitor), pid, monitor, 1.0, tmp_path).run()
    monitor.profile(pid)
    with pytest.raises(ProfileError, match="is sampled for a file now"):
        AlertProfile(firing(monitor), pid, monitor, 1.0, tmp_path).run()


def test_a_chosen_process_that_has_ended_is_told_at_once(
    spawn: Spawn, monitor: Monitor, tmp_path: Path
) -> None:
    gone = spawn(sys.executable, "-c", "")
    gone.wait()
    monitor.profile(gone.pid)
    begin = time.monotonic()
    with pytest.raises(ProfileError, match=f"process {gone.pid} does not exist"):
        AlertProfile(firing(monitor), gone.pid, monitor, 20.0, tmp_path).run()
    assert time.monotonic() - begin < 15


def _sampled_by(
    pid: int, profile: AlertProfile, meanwhile: Callable[[], None]
) -> tuple[int, tuple[str, ...]]:
    """Return how many py-spy recorded at once at most, and the lines that were attached."""
    found: list[tuple[str, ...]] = []
    thread = threading.Thread(target=lambda: found.append(profile.run()))
    thread.start()
    most, done = 0, False
    while thread.is_alive():
        seen = len(recordings_of(pid))
        most = max(most, seen)
        if seen and not done:
            meanwhile()
            done = True
        time.sleep(0.03)
    thread.join()
    return most, found[0]
