"""CPU times of the threads of a process, as the kernel accounts them."""

from __future__ import annotations

import os
import threading
import time

import pytest

from perftui.sources.pyspy.thread_cpu import CpuReading, ThreadClock, ThreadTime, time_between

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
    assert used[threading.get_native_id()].running == pytest.approx(0.2, abs=0.1)
    assert waiter.native_id is not None
    assert used[waiter.native_id].running < 0.05


def test_a_process_that_is_gone_has_no_threads() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    assert ThreadClock(pid).read().threads == {}


def test_threads_that_begin_end_and_reuse_an_id() -> None:
    before = CpuReading(
        0.0, {1: ThreadTime(5.0, 1.0), 2: ThreadTime(9.0, 9.0), 3: ThreadTime(1, 0)}
    )
    after = CpuReading(
        1.0, {1: ThreadTime(5.5, 1.2), 2: ThreadTime(0.3, 0.1), 4: ThreadTime(0.2, 0)}
    )
    used = time_between(before, after)
    assert used == {
        1: (pytest.approx(0.5), pytest.approx(0.2)),
        2: (0.3, 0.1),
        4: (0.2, 0),
    }
