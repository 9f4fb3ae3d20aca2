"""The live profile of real process trees: idle masters, workers that die, parents that are no
Python."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from py_spy_fixture import (
    SPLIT,
    Spawn,
    children,
    error_within,
    recordings_of,
    refusal_to_profile,
    table_within,
)

from perftui.snapshot import ProfileRequest, Selection, TopCalls
from perftui.sources.pyspy.source import ProfileSource, find_py_spy
from perftui.sources.pyspy.tree import process_tree

# A master that waits for its workers and replaces those that die.
MASTER = (
    "import os, signal, sys\nWORKER = "
    + repr(SPLIT)
    + """

def start():
    pid = os.fork()
    if pid == 0:
        import ctypes
        # The workers of a killed test end with their master.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        exec(compile(WORKER, "worker.py", "exec"), {})

for _ in range(2):
    start()
while True:
    os.wait()
    start()
"""
)

APPLICATION = """
def spin():
    return sum(range(3_000_000))

def app(environ, start_response):
    spin()
    start_response("200 OK", [])
    return [b"done"]
"""


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
    source = ProfileSource(subprocesses=True)
    yield source
    source.close()


def wait_for_children(pid: int, count: int) -> list[int]:
    """Return the descendants of a process once there are so many."""
    end = time.monotonic() + 10
    while len(tree := process_tree(pid)) < count + 1:
        assert time.monotonic() < end, tree
        time.sleep(0.05)
    return tree[1:]


def shares(table: TopCalls) -> dict[str, float]:
    return {call.function: call.own_percent for call in table.calls}


def test_workers_are_merged_and_their_idle_master_is_no_wait(
    spawn: Spawn, source: ProfileSource
) -> None:
    master = spawn(sys.executable, "-c", MASTER).pid
    workers = wait_for_children(master, 2)
    source.set_target(master)
    tables = [source.sample() for _ in range(5)]
    table = tables[-1]
    own = shares(table)
    assert own["seventy"] == pytest.approx(70, abs=12)
    assert own["seventy"] > own["twenty"] > own["ten"]
    assert set(table.processes) >= set(workers)
    by_process = {thread.pid: thread for thread in table.threads}
    assert set(by_process) == set(workers)
    assert isinstance(table.cores, float)
    used = [thread.cores for thread in by_process.values()]
    assert all(isinstance(cores, float) and cores > 0 for cores in used)
    assert "no process of the tree" not in table.note
    source.select(Selection(profile=ProfileRequest()))
    # On a busy machine the master may be caught at work, and then there is nothing to explain.
    notes = (source.sample().note for _ in range(10))
    assert any("2 child processes are not looked at" in note for note in notes)


def test_a_worker_that_is_replaced_does_no_harm(spawn: Spawn, source: ProfileSource) -> None:
    master = spawn(sys.executable, "-c", MASTER).pid
    workers = wait_for_children(master, 2)
    source.set_target(master)
    source.sample()
    threading.Timer(0.3, os.kill, (workers[0], signal.SIGKILL)).start()
    tables = [source.sample() for _ in range(3)]
    replaced = set(wait_for_children(master, 2)) - set(workers)
    assert replaced
    assert all(table.calls[0].function == "seventy" for table in tables if table.calls)
    end = time.monotonic() + 6
    while not replaced <= set(source.sample().processes):
        assert time.monotonic() < end, "the new worker was never seen"


def test_a_tree_whose_root_is_no_python(
    spawn: Spawn, source: ProfileSource, tmp_path: Path
) -> None:
    program = tmp_path / "split.py"
    program.write_text(SPLIT)
    shell = spawn("sh", "-c", f"{sys.executable} {program} & wait").pid
    (worker,) = wait_for_children(shell, 1)
    time.sleep(0.2)
    source.set_target(shell)
    try:
        table = table_within(source, 5)
        assert shares(table)
        assert table.processes == (worker,)
        assert table.python == ".".join(map(str, sys.version_info[:3]))
        source.select(Selection(profile=ProfileRequest()))
        assert "is not a Python program" in error_within(source, 5).absent.reason
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_tree_without_python_and_one_that_ends(spawn: Spawn, source: ProfileSource) -> None:
    shell = spawn("sh", "-c", "sleep 60; true")
    (sleeper,) = wait_for_children(shell.pid, 1)
    source.set_target(shell.pid)
    try:
        assert f"no process of the tree of {shell.pid}" in error_within(source, 5).absent.reason
    finally:
        os.kill(sleeper, signal.SIGKILL)
    master = spawn(sys.executable, "-c", MASTER)
    wait_for_children(master.pid, 2)
    source.set_target(master.pid)
    table_within(source, 5)
    master.kill()
    assert error_within(source, 5).absent.reason == f"process {master.pid} has exited"
    assert recordings_of(master.pid) == []


def test_gunicorn(spawn: Spawn, source: ProfileSource, tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "spinning.py").write_text(APPLICATION)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    master = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "spinning:app"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    try:
        workers = wait_for_children(master.pid, 2)
        source.set_target(master.pid)
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()
                except OSError:
                    time.sleep(0.1)

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            end = time.monotonic() + 15
            while (table := table_within(source, 5)).calls[:1] == () or (
                table.calls[0].function != "spin"
            ):
                assert time.monotonic() < end, table
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert set(table.processes) & set(workers)
        assert {thread.pid for thread in table.threads} <= {master.pid, *process_tree(master.pid)}
    finally:
        master.terminate()
        master.wait(10)
