"""The live profile of real children by the real py-spy, in every state such a child can be in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from py_spy_fixture import (
    IDLE_THREADS,
    SPLIT,
    Spawn,
    children,
    error_within,
    python_child,
    recordings_of,
    refusal_to_profile,
    suspend,
    table_within,
)

from perftui.snapshot import ProfileRequest, Selection, Stacks, State, TopCalls
from perftui.sources.pyspy.source import ProfileSource, find_py_spy, preflight
from perftui.sources.source import SourceError

WANTED = {"seventy": 70.0, "twenty": 20.0, "ten": 10.0}


@pytest.fixture(scope="module", autouse=True)
def permission() -> None:
    if find_py_spy() is None:
        pytest.skip("py-spy is not installed")
    if reason := refusal_to_profile():
        pytest.skip(f"this machine does not permit profiling: {reason}")


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    with children() as start:
        yield start


@pytest.fixture
def source() -> Iterator[ProfileSource]:
    source = ProfileSource()
    yield source
    source.close()


def own_percent(table: TopCalls) -> dict[str, float]:
    return {call.function: call.own_percent for call in table.calls}


def agrees(table: TopCalls) -> bool:
    own = own_percent(table)
    order = [call.function for call in table.calls[:3]]
    close = all(abs(own.get(name, 0.0) - share) <= 5 for name, share in WANTED.items())
    return close and order == list(WANTED)


def test_three_functions_are_shown_with_their_shares(spawn: Spawn, source: ProfileSource) -> None:
    pid = python_child(spawn, SPLIT)
    began = time.monotonic()
    source.set_target(pid)
    table = source.sample()
    assert time.monotonic() - began < 3
    assert (table.pid, table.mode, table.errors) == (pid, "exact", 0)
    assert table.python == ".".join(map(str, sys.version_info[:3]))
    assert "def seventy" in table.command
    assert table.samples > 0
    # Few samples scatter: the sliding window gets the time in which it fills itself.
    tables = [source.sample() for _ in range(5)]
    end = time.monotonic() + 20
    while not any(agrees(table) for table in tables[1:]):
        assert time.monotonic() < end, [own_percent(table) for table in tables]
        tables.append(source.sample())
    assert sum(own_percent(tables[-1]).values()) == pytest.approx(100)
    assert tables[-1].cores == pytest.approx(0.5, abs=0.55)
    assert 4 < tables[-1].window < 8
    assert 0 < tables[-1].coverage_percent <= 100
    assert 0 < tables[-1].rate_reached <= 1.5 * tables[-1].rate_wanted
    assert (tables[-1].source, tables[-1].processes, tables[-1].since_reset) == (
        "py-spy",
        (pid,),
        False,
    )
    source.select(Selection(profile=ProfileRequest(window=0, stacks=True)))
    everything = source.sample()
    assert everything.since_reset
    assert everything.samples >= tables[-1].samples
    assert isinstance(everything.stacks, Stacks)
    callers = {
        everything.stacks.places[stack.places[-2]].function for stack in everything.stacks.stacks
    }
    assert "main" in callers
    assert sum(stack.seconds for stack in everything.stacks.stacks) == (
        pytest.approx(everything.seconds)
    )


@pytest.mark.parametrize("mode", ["auto", "exact", "safe"])
def test_threads_that_wait_do_not_look_busy(spawn: Spawn, mode: str) -> None:
    pid = python_child(spawn, IDLE_THREADS.replace("THREADS", "12"))
    source = ProfileSource(mode=mode)
    source.set_target(pid)
    try:
        # On a busy machine the first window may be over before the process ran at all.
        tables = [table for table in (source.sample() for _ in range(5)) if table.calls][:2]
    finally:
        source.close()
    assert len(tables) == 2
    for table in tables:
        assert table.mode == ("exact" if mode == "exact" else table.mode)
        assert {call.function for call in table.calls} <= {"busy", "<module>"}
        assert table.calls[0].function == "busy"


def test_very_many_threads_are_not_paused(spawn: Spawn, source: ProfileSource) -> None:
    source.set_target(python_child(spawn, IDLE_THREADS.replace("THREADS", "150")))
    table = table_within(source, 5)
    assert (table.mode, table.pause_percent) == ("approximate", 0.0)
    assert "callers may be wrong" in table.note


def test_a_process_that_waits_has_no_calls(spawn: Spawn) -> None:
    # Without pauses, since each of those wakes the process, which costs it CPU time.
    source = ProfileSource(mode="safe")
    source.set_target(python_child(spawn, "import time; time.sleep(60)"))
    try:
        tables = [source.sample() for _ in range(3)]
    finally:
        source.close()
    table = tables[-1]
    assert (table.calls, table.samples, table.cores) == ((), 0, 0.0)
    assert "no CPU time" in table.note


def test_no_process_is_chosen(source: ProfileSource) -> None:
    with pytest.raises(SourceError) as caught:
        source.sample()
    assert caught.value.absent.state is State.NOT_COLLECTED
    assert caught.value.absent.reason == "no process chosen"
    assert "--pid" in caught.value.absent.fix


def test_a_process_that_never_was(spawn: Spawn, source: ProfileSource) -> None:
    child = spawn(sys.executable, "-c", "")
    child.wait()
    source.set_target(child.pid)
    error = error_within(source, 3)
    assert error.absent.state is State.UNAVAILABLE
    assert error.absent.reason == f"process {child.pid} does not exist"


def test_a_program_that_is_not_python(spawn: Spawn, source: ProfileSource) -> None:
    child = spawn("/bin/sleep", "60")
    source.set_target(child.pid)
    error = error_within(source, 5)
    assert error.absent.state is State.UNAVAILABLE
    assert "not a Python program" in error.absent.reason
    assert not preflight(child.pid).permitted


def test_a_process_that_dies_mid_window(spawn: Spawn, source: ProfileSource) -> None:
    child = spawn(sys.executable, "-c", SPLIT)
    time.sleep(0.2)
    source.set_target(child.pid)
    source.sample()
    threading.Timer(0.4, child.kill).start()
    error = error_within(source, 5)
    assert error.absent.state is State.UNAVAILABLE
    assert error.absent.reason == f"process {child.pid} has exited"
    child.wait()
    before, began = time.process_time(), time.monotonic()
    assert error_within(source, 5).absent == error.absent
    assert error_within(source, 5).absent == error.absent
    assert time.monotonic() - began > 1.5
    assert time.process_time() - before < 0.5
    assert recordings_of(child.pid) == []


def test_a_stopped_process_comes_back(spawn: Spawn, source: ProfileSource) -> None:
    pid = python_child(spawn, SPLIT)
    source.set_target(pid)
    source.sample()
    suspend(pid)
    error = error_within(source, 6)
    assert error.absent.reason == f"process {pid} is stopped by a signal"
    assert error.absent.fix.endswith(f"kill -CONT {pid}")
    os.kill(pid, signal.SIGCONT)
    assert table_within(source, 6).calls[0].function == "seventy"


def test_a_process_that_executes_another_program(spawn: Spawn, source: ProfileSource) -> None:
    program = (
        "import os, sys, time\nend = time.monotonic() + 0.9\n"
        f"while time.monotonic() < end: pass\nos.execv(sys.executable, ['python', '-c', {SPLIT!r}])"
    )
    source.set_target(python_child(spawn, program))
    assert source.sample().calls[0].function == "<module>"
    end = time.monotonic() + 8
    while table_within(source, 5).calls[0].function != "seventy":
        assert time.monotonic() < end, "the new program never came to the top"


def test_another_target_takes_effect_at_once(spawn: Spawn, source: ProfileSource) -> None:
    first, second = (python_child(spawn, SPLIT) for _ in range(2))
    source.set_target(first)
    source.sample()
    got: list[int] = []
    reader = threading.Thread(target=lambda: got.append(source.sample().pid))
    reader.start()
    time.sleep(0.1)
    source.set_target(second)
    reader.join(5)
    assert got == [second]
    assert recordings_of(first) == []
    source.set_target(None)
    assert error_within(source, 5).absent.state is State.NOT_COLLECTED
    assert recordings_of(second) == []


def test_a_target_wakes_a_source_that_waits_for_one(spawn: Spawn, source: ProfileSource) -> None:
    pid = python_child(spawn, SPLIT)
    threading.Timer(0.1, source.set_target, (pid,)).start()
    assert source.sample().pid == pid


def test_the_mode_can_be_changed(spawn: Spawn, source: ProfileSource) -> None:
    source.set_target(python_child(spawn, SPLIT))
    assert source.sample().mode == "exact"
    source.select(Selection(profile=ProfileRequest(mode="safe")))
    table = source.sample()
    assert (table.mode, table.window < 1.5) == ("approximate", True)
    assert table.request.mode == "safe"


def test_waiting_threads_count_where_that_is_wanted(spawn: Spawn, source: ProfileSource) -> None:
    source.select(Selection(profile=ProfileRequest(idle=True)))
    source.set_target(python_child(spawn, IDLE_THREADS.replace("THREADS", "4")))
    source.sample()
    table = source.sample()
    total = {call.function: call.total for call in table.calls}
    for name in ("sleeping", "waiting", "getting", "reading", "busy"):
        assert total[name] == pytest.approx(table.seconds / 5, rel=0.2), total
    assert "waiting threads count" in table.note
    assert len(table.threads) == 5


def test_only_who_holds_the_gil(spawn: Spawn, source: ProfileSource) -> None:
    program = "import hashlib, threading\ndef hashing():\n    data = bytes(1 << 26)\n"
    program += "    while True: hashlib.sha256(data)\n"
    program += "threading.Thread(target=hashing, daemon=True).start()\n"
    source.select(Selection(profile=ProfileRequest(gil=True)))
    source.set_target(python_child(spawn, program + "while True: pass"))
    source.sample()
    table = source.sample()
    own = own_percent(table)
    assert own["<module>"] > 90
    assert "held the GIL" in table.note


def test_c_functions(spawn: Spawn, source: ProfileSource) -> None:
    source.select(Selection(profile=ProfileRequest(native=True)))
    source.set_target(python_child(spawn, "while True: sorted(range(100000), key=str)"))
    table = source.sample()
    assert any(".py" not in call.file and "string" not in call.file for call in table.calls)
    assert "C frames" in table.note
    source.select(Selection(profile=ProfileRequest(native=True, mode="safe")))
    absent = error_within(source, 3).absent
    assert "cannot be read while it runs" in absent.reason
    assert "profile.native" in absent.fix


def test_closing_ends_a_sample_and_py_spy(spawn: Spawn, source: ProfileSource) -> None:
    pid = python_child(spawn, SPLIT)
    source.set_target(pid)
    source.sample()
    errors: list[SourceError] = []

    def read() -> None:
        try:
            while True:
                source.sample()
        except SourceError as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.3)
    source.close()
    reader.join(5)
    assert [error.absent.state for error in errors] == [State.NOT_COLLECTED]
    assert recordings_of(pid) == []
    source.close()
    source.set_target(pid)
    with pytest.raises(SourceError, match="closed"):
        source.sample()


def test_a_source_that_rests_keeps_what_it_saw(spawn: Spawn, source: ProfileSource) -> None:
    pid = python_child(spawn, SPLIT)
    source.set_target(pid)
    source.select(Selection(profile=ProfileRequest(window=0)))
    before = source.sample()
    source.rest(True)
    assert "nothing shows it" in error_within(source, 3).absent.reason
    assert recordings_of(pid) == []
    source.rest(False)
    assert source.sample().samples > before.samples


def test_preflight_of_a_misleading_command_line(spawn: Spawn) -> None:
    program = '"""\nPython v9.9.9 (/x)\n\nThread 1 (active)\n    f (x.py:1)\n"""\nimport time\n'
    pid = python_child(spawn, program + "def wait(): time.sleep(60)\nwait()")
    found = preflight(pid)
    assert found.permitted
    assert found.python_version == sys.version_info[:3]
    assert (found.threads, found.frames) == (1, 2)


def test_a_killed_monitor_leaves_no_py_spy(spawn: Spawn) -> None:
    pid = python_child(spawn, SPLIT)
    program = (
        "from perftui.sources.pyspy.source import ProfileSource\n"
        f"source = ProfileSource()\nsource.set_target({pid})\n"
        "while True:\n    source.sample()\n    print('table', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as monitor:
        try:
            assert monitor.stdout is not None
            assert monitor.stdout.readline() == b"table\n"
            end = time.monotonic() + 10
            while not recordings_of(pid):
                assert time.monotonic() < end, "py-spy was never seen"
        finally:
            monitor.kill()
    end = time.monotonic() + 10
    while recordings_of(pid):
        assert time.monotonic() < end, "py-spy outlived the monitor"
        time.sleep(0.2)
