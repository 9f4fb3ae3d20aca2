"""What the profile source makes of a request: windows, resets, stacks, ways of sampling, trees."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from py_spy_fixture import (
    children,
    error_within,
    python_child,
    recorded_flags,
    recordings_of,
    replay,
    stand_in,
    table_within,
)

from perftui.snapshot import NOT_LOOKED_AT, ProfileRequest, Selection, Stacks, State
from perftui.sources.pyspy import preflight as pyspy_preflight
from perftui.sources.pyspy import session as pyspy_session
from perftui.sources.pyspy.preflight import preflight_tree
from perftui.sources.pyspy.problems import ProcessState, process_state
from perftui.sources.pyspy.source import ProfileSource

FRAMES = [
    {"name": "main", "file": "/app/a.py", "line": 9},
    {"name": "work", "file": "/app/a.py", "line": 3},
    {"name": 'process 100:"app"', "file": "", "line": 0},
    {"name": 'process 101:"app"', "file": "", "line": 0},
]
WINDOW = {
    "profiles": [{"name": 'Thread 999999 "worker"', "samples": [[0, 1], [0, 1], [0, 1], [0]]}],
    "shared": {"frames": FRAMES},
}
TREE = {
    "profiles": [
        {"name": 'Process 101 Thread 1 "MainThread"', "samples": [[2, 3, 0, 1], [2, 3, 0, 1]]},
        {"name": 'Process 102 Thread 1 "MainThread"', "samples": [[2, 0, 1], [2, 0]]},
    ],
    "shared": {"frames": FRAMES},
}
NOT_PYTHON = 'echo "Error: Failed to find python version from target process" >&2; exit 1'
NO_TREE = 'echo "Error: No python processes found in process 9 or any of its subprocesses" >&2'


class Use(Protocol):
    """Makes a source that finds the given program in the place of py-spy."""

    def __call__(self, program: str, request: ProfileRequest | None = None) -> ProfileSource: ...


@pytest.fixture
def target() -> Iterator[int]:
    with children() as spawn:
        yield python_child(spawn, "import time; time.sleep(60)")


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, target: int) -> Iterator[Use]:
    made: list[ProfileSource] = []

    def with_program(program: str, request: ProfileRequest | None = None) -> ProfileSource:
        for module in (pyspy_session, pyspy_preflight):
            monkeypatch.setattr(module, "find_py_spy", lambda: program)
        source = ProfileSource(refresh=0.3)
        made.append(source)
        source.select(Selection(profile=request))
        source.set_target(target)
        return source

    yield with_program
    for source in made:
        source.close()


def select(source: ProfileSource, request: ProfileRequest) -> None:
    source.select(Selection(profile=request))


def test_another_window_shows_what_was_sampled_before(use: Use, tmp_path: Path) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)), ProfileRequest(window=0.3))
    tables = [source.sample() for _ in range(5)]
    assert max(table.samples for table in tables) <= 8
    assert not tables[-1].since_reset
    recordings = len(recorded_flags(tmp_path))
    select(source, ProfileRequest(window=30))
    longer = source.sample()
    assert (longer.samples, longer.request.window) == (20, 30)
    select(source, ProfileRequest(window=0))
    everything = source.sample()
    assert (everything.samples, everything.since_reset) == (20, True)
    assert [call.own for call in everything.calls] == [call.own for call in longer.calls]
    # The recording that was under way goes on.
    assert len(recorded_flags(tmp_path)) == recordings
    assert source.sample().samples == 24


def test_a_reset_forgets(use: Use, tmp_path: Path) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)), ProfileRequest(window=0))
    assert [source.sample().samples for _ in range(3)] == [4, 8, 12]
    source.reset()
    table = source.sample()
    assert (table.samples, table.since_reset) == (4, True)
    assert source.sample().window < 1.5


def test_a_reset_ends_a_sample_that_waits(use: Use, tmp_path: Path) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)), ProfileRequest(window=0))
    source.sample()
    threading.Timer(0.1, source.reset).start()
    assert source.sample().samples == 4
    assert source.sample().samples == 8


def test_stacks_only_where_they_are_wanted(use: Use, tmp_path: Path) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)))
    assert source.sample().stacks == NOT_LOOKED_AT
    for window in (5.0, 0.0):
        select(source, ProfileRequest(stacks=True, window=window))
        table = source.sample()
        assert isinstance(table.stacks, Stacks)
        assert [
            ([table.stacks.places[place].function for place in stack.places], stack.samples)
            for stack in table.stacks.stacks
        ] == [(["main", "work"], 3), (["main"], 1)]
        assert sum(stack.seconds for stack in table.stacks.stacks) == (pytest.approx(table.seconds))
        assert [thread.name for thread in table.threads] == ["worker"]
        assert {stack.thread for stack in table.stacks.stacks} == {0}


@pytest.mark.parametrize(
    ("request_", "flags"),
    [
        (ProfileRequest(), set()),
        (ProfileRequest(mode="safe"), {"--nonblocking"}),
        (ProfileRequest(mode="safe", idle=True), {"--nonblocking", "--idle"}),
        (ProfileRequest(gil=True), {"--gil"}),
        (ProfileRequest(gil=True, idle=True), {"--gil"}),
        (ProfileRequest(native=True), {"--native"}),
        (ProfileRequest(subprocesses=True, mode="exact"), {"--subprocesses"}),
    ],
)
def test_how_py_spy_is_called(
    use: Use, tmp_path: Path, request_: ProfileRequest, flags: set[str]
) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)), request_)
    assert source.sample().request == request_
    assert recorded_flags(tmp_path)[0] == flags


def test_another_way_of_sampling_begins_anew_at_once(use: Use, tmp_path: Path) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)), ProfileRequest(window=0))
    source.sample()
    source.sample()
    for changed in (
        ProfileRequest(window=0, mode="exact"),
        ProfileRequest(window=0, idle=True),
        ProfileRequest(window=0, gil=True),
        ProfileRequest(window=0, subprocesses=True),
    ):
        threading.Timer(0.05, select, (source, changed)).start()
        table = source.sample()
        while table.request != changed:
            table = source.sample()
        assert table.samples == 4


def test_waiting_threads_count_by_the_clock(use: Use, tmp_path: Path) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)), ProfileRequest(idle=True, mode="safe"))
    table = source.sample()
    assert table.seconds == pytest.approx(4 / table.rate_wanted)


@pytest.mark.parametrize(
    "request_",
    [ProfileRequest(mode="fast"), ProfileRequest(window=31), ProfileRequest(window=-1)],
)
def test_requests_out_of_range_are_refused(request_: ProfileRequest) -> None:
    source = ProfileSource()
    try:
        with pytest.raises(ValueError, match="not"):
            select(source, request_)
        assert source.request == ProfileRequest()
    finally:
        source.close()


def test_without_a_request_the_settings_hold(use: Use, tmp_path: Path) -> None:
    source = ProfileSource("safe", 100, 3.0, idle=True)
    try:
        settings = ProfileRequest(mode="safe", window=3.0, idle=True)
        assert source.request == settings
        select(source, ProfileRequest())
        assert source.request == ProfileRequest()
        source.select(Selection())
        assert source.request == settings
    finally:
        source.close()


def test_processes_of_a_tree_are_merged(use: Use, tmp_path: Path) -> None:
    request = ProfileRequest(subprocesses=True, stacks=True)
    table = use(stand_in(tmp_path, replay(TREE)), request).sample()
    assert [call.function for call in table.calls] == ["work", "main"]
    assert [call.own_percent for call in table.calls] == pytest.approx([75, 25])
    assert table.processes == (101, 102)
    assert sorted((thread.pid, thread.tid, thread.samples) for thread in table.threads) == [
        (101, 1, 2),
        (102, 1, 2),
    ]
    assert isinstance(table.stacks, Stacks)
    # The frames that name the processes are no frames of theirs.
    assert sorted(
        (table.threads[stack.thread].pid, len(stack.places)) for stack in table.stacks.stacks
    ) == [(101, 2), (102, 1), (102, 2)]


def test_a_quiet_process_with_children_says_so(use: Use, tmp_path: Path) -> None:
    empty = {"profiles": [], "shared": {"frames": []}}
    with subprocess.Popen(
        [sys.executable, "-c", "import subprocess; subprocess.call(['sleep', '60'])"]
    ) as parent:
        try:
            time.sleep(0.3)
            source = use(stand_in(tmp_path, replay(empty)))
            source.set_target(parent.pid)
            assert "1 child process of it is not looked at" in source.sample().note
            select(source, ProfileRequest(subprocesses=True))
            assert "no process of the tree used CPU time" in source.sample().note
        finally:
            subprocess.run(["pkill", "-P", str(parent.pid)], check=False)
            parent.kill()


def test_why_a_tree_cannot_be_read(use: Use, tmp_path: Path, target: int) -> None:
    request = ProfileRequest(subprocesses=True)
    absent = error_within(use(stand_in(tmp_path, "exit 1", NOT_PYTHON), request), 5).absent
    assert (absent.state, absent.reason) == (
        State.UNAVAILABLE,
        f"no process of the tree of {target} is a Python program py-spy can read",
    )
    refusal = 'echo "Permission Denied: Try running again" >&2; exit 1'
    absent = error_within(use(stand_in(tmp_path, "exit 1", refusal), request), 5).absent
    assert (absent.state, absent.reason) == (
        State.DENIED,
        f"reading the memory of process {target} is not permitted",
    )
    absent = error_within(use(stand_in(tmp_path, f"{NO_TREE}; exit 1"), request), 5).absent
    assert f"no process of the tree of {target}" in absent.reason


def test_a_tree_that_is_traced_is_read_without_pauses(
    use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perftui.sources.pyspy.problems._is_traced", lambda pid: True)
    program = stand_in(tmp_path, replay(TREE))
    refusal = f'case "$*" in *--nonblocking*) ;; *) {NO_TREE}; exit 1;; esac\n'
    text = Path(program).read_text()
    Path(program).write_text(text.replace("while [ $#", refusal + "while [ $#", 1))
    table = use(program, ProfileRequest(subprocesses=True)).sample()
    assert (table.mode, table.processes) == ("approximate", (101, 102))
    assert "another program traces it" in table.note
    exact = use(program, ProfileRequest(subprocesses=True, mode="exact"))
    assert "cannot be paused" in error_within(exact, 5).absent.reason


def test_a_shell_with_a_python_child_is_a_tree(tmp_path: Path, target: int) -> None:
    del target
    with subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60; true"]) as shell:
        try:
            time.sleep(0.2)
            dump = f'case "$*" in *"--pid {shell.pid}") {NOT_PYTHON};; esac; printf "{{}}"'
            plain = (
                r"Process 1: x\nPython v3.11.7 (/usr/bin/python3.11)\n\n"
                r"Thread 1 (active): \"MainThread\"\n    work (a.py:3)\n"
            )
            program = stand_in(tmp_path, "exit 1", dump.format(plain))
            found = preflight_tree(shell.pid, program)
            assert found.permitted
            assert (found.pid, found.python, found.frames) == (shell.pid, "3.11.7", 1)
            assert found.crowd >= 2
        finally:
            subprocess.run(["pkill", "-P", str(shell.pid)], check=False)
            shell.kill()


def test_another_process_with_the_id_is_never_profiled(
    use: Use, tmp_path: Path, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)))
    source.sample()
    real = process_state(target)
    assert real is not None
    stranger = ProcessState("R", real.started + 1, real.image + 4096)
    monkeypatch.setattr(pyspy_session, "process_state", lambda pid: stranger)
    assert error_within(source, 3).absent.reason == f"process {target} has exited"
    before = len(recorded_flags(tmp_path))
    # Not in another mode either, and not after a rest.
    select(source, ProfileRequest(mode="safe"))
    assert error_within(source, 3).absent.reason == f"process {target} has exited"
    source.rest(True)
    source.rest(False)
    assert error_within(source, 3).absent.reason == f"process {target} has exited"
    assert len(recorded_flags(tmp_path)) == before
    assert recordings_of(target) == []
    # Who chooses it again means the stranger.
    source.set_target(target)
    assert table_within(source, 3).samples == 4


def test_another_program_begins_anew(
    use: Use, tmp_path: Path, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)), ProfileRequest(window=0))
    assert [source.sample().samples for _ in range(2)] == [4, 8]
    real = process_state(target)
    assert real is not None
    executed = real._replace(image=real.image + 4096)
    monkeypatch.setattr(pyspy_session, "process_state", lambda pid: executed)
    assert table_within(source, 3).samples == 4


def test_who_hangs_once_gets_more_time(use: Use, tmp_path: Path) -> None:
    slow = f"sleep 2.5; {replay(WINDOW)}"
    source = use(stand_in(tmp_path, slow))
    assert "did not answer" in error_within(source, 4).absent.reason
    assert table_within(source, 10).samples == 4


def test_a_process_that_stops_in_the_middle_of_a_long_window(
    use: Use, tmp_path: Path, target: int
) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)))
    source.sample()
    os.kill(target, 19)
    try:
        absent = error_within(source, 3).absent
        assert absent.reason == f"process {target} is stopped by a signal"
    finally:
        os.kill(target, 18)
    assert table_within(source, 4).samples >= 4
