"""CPU times of the threads of a process, as the kernel accounts them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from perftui.sources.pyspy.thread_cpu import (
    CpuReading,
    ThreadClock,
    ThreadTime,
    TreeClock,
    time_between,
)
from perftui.sources.pyspy.tree import process_tree

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/schedstat"), reason="the kernel does not tell thread times"
)


def test_a_thread_that_spins_and_one_that_waits() -> None:
    done = threading.Event()
    waiter = threading.Thread(target=done.wait)
    waiter.start()
    clock = ThreadClock(os.getpid())
    before = clock.read()
    spent = time.thread_time()
    while time.thread_time() - spent < 0.2:
        pass
    after = clock.read()
    done.set()
    waiter.join()
    used = time_between(before, after)
    assert used[os.getpid(), threading.get_native_id()].running == pytest.approx(0.2, abs=0.1)
    assert waiter.native_id is not None
    assert used[os.getpid(), waiter.native_id].running < 0.05


def test_a_process_that_is_gone_has_no_threads() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    assert ThreadClock(pid).read().threads == {}


def test_threads_that_begin_end_and_reuse_an_id() -> None:
    before = CpuReading(
        0.0, {(7, 1): ThreadTime(5.0, 1.0), (7, 2): ThreadTime(9.0, 9.0), (7, 3): ThreadTime(1, 0)}
    )
    after = CpuReading(
        1.0,
        {(7, 1): ThreadTime(5.5, 1.2), (7, 2): ThreadTime(0.3, 0.1), (8, 1): ThreadTime(0.2, 0)},
    )
    used = time_between(before, after)
    assert used == {
        (7, 1): (pytest.approx(0.5), pytest.approx(0.2)),
        (7, 2): (0.3, 0.1),
        (8, 1): (0.2, 0),
    }


def test_a_tree_is_followed_as_its_processes_come_and_go() -> None:
    program = (
        "import subprocess, sys, threading\n"
        "def start(): children.append(subprocess.Popen(['sleep', '60']))\n"
        "children = []\n"
        # The children of a thread belong to the process all the same.
        "thread = threading.Thread(target=start); thread.start(); thread.join()\n"
        "start(); print(*(child.pid for child in children), flush=True)\n"
        "sys.stdin.readline(); children[0].kill(); children[0].wait(); print('gone', flush=True)\n"
        "sys.stdin.readline(); children[1].kill()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as root:
        assert root.stdin is not None
        assert root.stdout is not None
        first, second = map(int, root.stdout.readline().split())
        clock = TreeClock(root.pid)
        assert {pid for pid, _ in clock.read().threads} == {root.pid, first, second}
        print(file=root.stdin, flush=True)
        assert root.stdout.readline() == "gone\n"
        assert {pid for pid, _ in clock.read().threads} == {root.pid, second}
        assert process_tree(root.pid) == [root.pid, second]
        print(file=root.stdin, flush=True)
    assert clock.read().threads == {}
    assert process_tree(root.pid) == []


def test_without_the_list_of_children_the_parents_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        monkeypatch.setattr("perftui.sources.pyspy.tree._tells_children", lambda: False)
        try:
            assert child.pid in process_tree(os.getpid())
            assert process_tree(child.pid) == [child.pid]
        finally:
            child.kill()
