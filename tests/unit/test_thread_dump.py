"""Dumps of threads: what py-spy prints, sorting and folding, and every way it fails."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_spy_fixture import children, python_child, refusal_to_profile, suspend

from perftui.profiling.thread_dump import (
    MOST_VALUE,
    DumpedFrame,
    DumpedThread,
    ThreadDump,
    ThreadGroup,
    grouped,
    parse_dump,
    stack_text,
    waiting_place,
)
from perftui.snapshot import Absent, State
from perftui.sources.pyspy.dump import ATTEMPTS, DumpReader

THREADING = "/usr/lib/python3.11/threading.py"
RECORDED = (Path(__file__).parent / "recorded" / "py_spy_dump.json").read_bytes()
"""A main thread that reads its input, and three workers that wait for a queue."""

MOVED = "Error: Failed to find a python interpreter in the .data section"


def thread(tid: int, name: str = "", *frames: DumpedFrame, **more: bool) -> DumpedThread:
    return DumpedThread(
        tid, tid, name, more.get("active", False), more.get("owns_gil", False), frames
    )


def frame(function: str, file: str = "/srv/a.py", line: int = 1) -> DumpedFrame:
    return DumpedFrame(function, file, line)


def test_a_recorded_dump() -> None:
    threads = parse_dump(RECORDED)
    assert [one.name for one in threads] == ["worker-2", "worker-1", "worker-0", "MainThread"]
    assert threads[0].tid == 10730
    assert threads[0].ident == 139834924443328
    assert not threads[0].active
    top = threads[0].frames[0]
    assert (top.function, top.line) == ("Condition.wait", 327)
    assert top.file.endswith("/threading.py")
    groups = grouped(threads)
    assert [len(group.threads) for group in groups] == [1, 3]
    assert groups[0].first.name == "MainThread"
    place = waiting_place(groups[1].frames)
    assert place is not None
    assert place.function == "Queue.get"


def test_local_variables_are_cut() -> None:
    value = "x" * 5000
    document = json.dumps([{
        "thread_id": 1, "os_thread_id": None, "thread_name": None, "active": True,
        "frames": [{"name": "f", "filename": "a.py", "line": 3, "locals": [
            {"name": "token", "addr": 1, "arg": True, "repr": value},
            {"name": "rest", "addr": 1, "arg": False, "repr": None},
        ]}],
    }]).encode()  # fmt: skip
    (found,) = parse_dump(document)
    first, second = found.frames[0].variables
    assert len(first.value) == MOST_VALUE
    assert first.argument
    assert (second.name, second.value) == ("rest", "")
    assert found.key == 1


@pytest.mark.parametrize("document", [b"", b"{}", b"[{}]", b"[1]", RECORDED[:400], b"\xff[]"])
def test_what_is_no_dump_is_told(document: bytes) -> None:
    with pytest.raises(ValueError, match="no dump of threads"):
        parse_dump(document)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
)
_frames = st.lists(
    st.fixed_dictionaries(
        {"name": st.text(), "filename": st.text(), "line": st.integers(-2, 10**6)}
    ),
    max_size=4,
)
_threads = st.lists(
    st.fixed_dictionaries(
        {
            "thread_id": st.integers(0, 2**63),
            "os_thread_id": st.none() | st.integers(1, 10**6),
            "thread_name": st.none() | st.text(),
            "active": st.booleans(),
            "owns_gil": st.booleans(),
            "frames": _frames,
            "unknown": _json,
        }
    ),
    max_size=6,
)


@given(_threads)
def test_every_thread_is_in_one_group_and_only_waiting_ones_are_folded(
    threads: list[dict[str, Any]],
) -> None:
    parsed = parse_dump(json.dumps(threads).encode())
    groups = grouped(parsed)
    assert sorted((one for group in groups for one in group.threads), key=repr) == sorted(
        parsed, key=repr
    )
    order = [(not g.first.owns_gil, not (g.first.active or g.first.owns_gil)) for g in groups]
    assert order == sorted(order)
    for group in groups:
        assert len({one.frames for one in group.threads}) == 1
        if len(group.threads) > 1:
            assert not any(one.active or one.owns_gil for one in group.threads)
        assert stack_text(group).isprintable() or "\n" in stack_text(group)


@given(st.binary(max_size=60) | _json.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_threads_or_told(document: bytes) -> None:
    try:
        found = parse_dump(document)
    except ValueError:
        return
    assert all(isinstance(one, DumpedThread) for one in found)


def test_the_order_is_holder_running_main_then_the_largest_group() -> None:
    queue = (frame("get", "/x/queue.py"),)
    groups = grouped(
        [
            thread(9, "b", *queue),
            thread(8, "a", *queue),
            thread(7, "alone", frame("recv")),
            thread(1, "MainThread", frame("join")),
            thread(5, "busy", frame("work"), active=True),
            thread(6, "holder", frame("work"), owns_gil=True),
            thread(4, "reader", frame("work"), active=True),
        ]
    )
    assert [[one.name for one in group.threads] for group in groups] == [
        ["holder"], ["reader"], ["busy"], ["MainThread"], ["a", "b"], ["alone"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ((), None),
        ((frame("Condition.wait", THREADING), frame("Queue.get", "/x/queue.py")), "Queue.get"),
        ((frame("Condition.wait", THREADING), frame("Thread.run", THREADING)), "Condition.wait"),
        ((frame("wait", "/srv/app/threading.py"),), "wait"),
    ],
)
def test_the_frame_that_tells_where_a_thread_waits(
    frames: tuple[DumpedFrame, ...], expected: str | None
) -> None:
    place = waiting_place(frames)
    assert (None if place is None else place.function) == expected


def test_a_copied_stack_holds_nothing_that_acts_on_a_terminal() -> None:
    group = ThreadGroup((thread(3, "a\x1b[31m\nb", frame("f\r", "/srv/\x07.py", 4)),))
    assert stack_text(group).split("\n") == [
        'Thread 3 (idle): "a\\x1b[31m\\nb"', "    f\\r (/srv/\\x07.py:4)",
    ]  # fmt: skip


# py-spy


def fake(directory: Path, script: str) -> str:
    """Write a program that is called like py-spy and keeps its arguments in `calls`."""
    path = directory / "py-spy"
    path.write_text(f'#!/bin/sh\necho "$*" >> {directory}/calls\n{script}\n')
    path.chmod(0o755)
    return str(path)


def calls(directory: Path) -> list[str]:
    return (directory / "calls").read_text().splitlines()


def replay(directory: Path) -> str:
    (directory / "dump.json").write_bytes(RECORDED)
    return f"cat {directory}/dump.json"


def test_a_dump_of_the_stand_in(tmp_path: Path) -> None:
    reader = DumpReader(os.getpid(), fake(tmp_path, replay(tmp_path)))
    dump = reader.take()
    assert isinstance(dump, ThreadDump)
    assert len(dump.threads) == 4
    assert (dump.exact, dump.variables, dump.attempts) == (False, False, 1)
    assert abs(dump.taken - time.time()) < 60
    assert isinstance(reader.take(exact=True, variables=True), ThreadDump)
    assert calls(tmp_path) == [
        f"dump --json --pid {os.getpid()} --nonblocking",
        f"dump --json --pid {os.getpid()} --locals",
    ]


@pytest.mark.parametrize("message", [MOVED, "Error: Bad address (os error 14)"])
def test_a_process_that_moved_on_is_read_again(tmp_path: Path, message: str) -> None:
    script = f"""
        if [ $(wc -l < {tmp_path}/calls) -lt 4 ]; then echo '{message}' >&2; exit 1; fi
        {replay(tmp_path)}
    """
    dump = DumpReader(os.getpid(), fake(tmp_path, script)).take()
    assert isinstance(dump, ThreadDump)
    assert dump.attempts == 4


def test_one_that_never_stands_still_is_told(tmp_path: Path) -> None:
    program = fake(tmp_path, f"echo '{MOVED}' >&2; exit 1")
    problem = DumpReader(os.getpid(), program).take()
    assert isinstance(problem, Absent)
    assert "changed its stacks" in problem.reason
    assert "press x" in problem.fix
    assert len(calls(tmp_path)) == ATTEMPTS


@pytest.mark.parametrize(
    ("script", "state", "reason"),
    [
        ("echo 'Permission Denied: Try running again' >&2; exit 1", State.DENIED, "not permitted"),
        ("echo 'Error: Unsupported version of Python: 4.1' >&2; exit 1", State.UNAVAILABLE,
         "Python 4.1"),
        ("echo 'not json'", State.UNAVAILABLE, "no readable stacks"),
        ("exit 101", State.UNAVAILABLE, "py-spy failed"),
    ],
)  # fmt: skip
def test_failures_are_told_at_once(tmp_path: Path, script: str, state: State, reason: str) -> None:
    problem = DumpReader(os.getpid(), fake(tmp_path, script)).take()
    assert isinstance(problem, Absent)
    assert problem.state is state
    assert reason in problem.reason
    assert len(calls(tmp_path)) == 1


def test_one_that_hangs_is_killed(tmp_path: Path) -> None:
    program = fake(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    problem = DumpReader(os.getpid(), program, patience=0.3).take()
    assert isinstance(problem, Absent)
    assert "did not answer" in problem.reason
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_dump_that_nobody_wants_any_more_is_ended(tmp_path: Path) -> None:
    program = fake(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    reader = DumpReader(os.getpid(), program, patience=30)
    found: list[object] = []
    worker = threading.Thread(target=lambda: found.append(reader.take()))
    worker.start()
    until = time.monotonic() + 10
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.01)
    reader.cancel()
    worker.join(10)
    assert isinstance(found[0], Absent)
    assert isinstance(reader.take(), Absent)
    assert len(calls(tmp_path)) == 1


def test_without_a_process_or_py_spy(tmp_path: Path) -> None:
    problem = DumpReader(2**22 + 7, "/nowhere/py-spy").take()
    assert isinstance(problem, Absent)
    assert "does not exist" in problem.reason
    problem = DumpReader(os.getpid(), "/nowhere/py-spy").take()
    assert isinstance(problem, Absent)
    assert "cannot be started" in problem.reason


PROGRAM = """
import queue, threading
def wait(items, token="secret-%s" % ("x" * 400)):
    items.get()
for number in range(5):
    threading.Thread(target=wait, args=(queue.Queue(),), name=f"worker-{number}").start()
def main():
    while True:
        sum(range(1000))
main()
"""


def test_a_real_process() -> None:
    refusal = refusal_to_profile()
    if refusal:
        pytest.skip(refusal)
    with children() as spawn:
        pid = python_child(spawn, PROGRAM)
        reader = DumpReader(pid, patience=10)
        dump = reader.take()
        assert isinstance(dump, ThreadDump), dump
        groups = grouped(dump.threads)
        assert [len(group.threads) for group in groups] == [1, 5]
        assert groups[0].first.name == "MainThread"
        assert groups[0].frames[-1].function == "<module>"
        place = waiting_place(groups[1].frames)
        assert place is not None
        assert "get" in place.function
        assert not any(one.variables for group in groups for one in group.frames)
        told = reader.take(exact=True, variables=True)
        assert isinstance(told, ThreadDump), told
        values = {
            variable.name: variable.value
            for one in told.threads
            for place in one.frames
            for variable in place.variables
        }
        assert values["token"].startswith("'secret-") or values["token"].startswith('"secret-')
        assert len(values["token"]) <= MOST_VALUE
        suspend(pid)
        stopped = reader.take(exact=True)
        assert isinstance(stopped, Absent), stopped
        assert "stopped" in stopped.reason
