"""Which lines of code wait and which compute."""

from __future__ import annotations

import os
import queue
import selectors
import socket
import threading
from concurrent.futures import thread as pool_thread
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.profiling.speedscope import Frame
from perftui.profiling.waiting import known_wait, waiting_line
from perftui.sources.pyspy.source_lines import SourceLines

WAITING = [
    "time.sleep(0.1)",
    "    sleep(delay)",
    "data = self._sock.recv(65536)",
    "count = sock.recv_into(buffer)",
    "ready = select.select([a], [], [], 1)",
    "self._selector.poll(timeout, max_ev)",
    "lock.acquire()",
    "with self._lock:",
    "pid, status = os.waitpid(pid, 0)",
    "connection, peer = server.accept()",
    "work_item = work_queue.get(block=True)",
    "job = jobs.get(timeout=3)",
]
COMPUTING = [
    "value = cache.get(key)",
    "text = ', '.join(names)",
    "rows = cursor.execute(query).fetchall()",
    "page = zlib.compress(text)",
    "total += price * count",
    "awaiting(1)",
    "x = compute()  # then sleep(1)",
    "with open(path) as file:",
    "asleep(3)",
    "clock = read()",
]


@pytest.mark.parametrize("line", WAITING)
def test_lines_that_wait(line: str) -> None:
    assert waiting_line(line)


@pytest.mark.parametrize("line", COMPUTING)
def test_lines_that_compute(line: str) -> None:
    assert not waiting_line(line)


@given(st.text())
def test_a_comment_never_waits(text: str) -> None:
    assert not waiting_line("#" + text)
    assert waiting_line("lock.acquire()  #" + text)


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (threading, "Condition.wait"),
        (queue, "Queue.get"),
        (selectors, "EpollSelector.select"),
        (socket, "socket.accept"),
        (pool_thread, "_worker"),
    ],
)
def test_waiting_places_of_the_library_are_known_without_text(
    module: ModuleType, function: str
) -> None:
    assert known_wait(Frame(function, str(module.__file__), 1))
    assert known_wait(Frame(function.rpartition(".")[2], str(module.__file__), 1))


@pytest.mark.parametrize(
    "frame",
    [
        Frame("wait", "/srv/app/threading.py", 1),
        Frame("_worker", "/srv/app/thread.py", 1),
        Frame("Thread.run", "/usr/lib/python3.11/threading.py", 1),
        Frame("select", "", 0),
    ],
)
def test_other_places_are_not(frame: Frame) -> None:
    assert not known_wait(frame)


def test_lines_are_read_from_the_files_of_the_process(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_bytes(b"# \xff\nimport time\ntime.sleep(1)\nwork()\n")
    lines = SourceLines(os.getpid())
    judged = [lines.waits(Frame("main", str(file), number)) for number in range(6)]
    assert judged == [False, False, False, True, False, False]
    file.unlink()
    assert lines.waits(Frame("main", str(file), 3))


def test_names_that_are_no_source_files(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.py"
    os.mkfifo(pipe)
    large = tmp_path / "large.py"
    large.write_text("time.sleep(1)\n" * 100_000)
    lines = SourceLines(os.getpid())
    for name in ("<string>", "", "a\0b.py", "/nowhere/a.py", str(pipe), str(large), "\udcff.py"):
        assert not lines.waits(Frame("main", name, 1)), name


def test_a_relative_name_belongs_to_the_directory_of_the_process() -> None:
    relative = os.path.relpath(__file__)
    number = Path(__file__).read_text().split("\n").index('    "time.sleep(0.1)",') + 1
    assert SourceLines(os.getpid()).waits(Frame("main", relative, number))
