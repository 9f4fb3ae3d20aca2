"""The writer counts, keeps the order, and never waits for a terminal that stalls."""

from __future__ import annotations

import fcntl
import os
import select
import threading
import time
from collections.abc import Iterator

import pytest

from perftui.tui.terminal import RESET_SEQUENCE, force_reset
from perftui.tui.terminal_meter import TerminalMeter
from perftui.tui.terminal_writer import TerminalWriter


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    yield master, slave
    os.close(slave)
    os.close(master)


def read_all(master: int, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += os.read(master, 65536)
    return got


def test_counts_and_keeps_the_order(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    meter = TerminalMeter()
    writer = TerminalWriter(slave, meter)
    writer.start()
    for index in range(100):
        writer.write(f"{index} é\udce9;")
    expected = "".join(f"{index} é?;" for index in range(100)).encode()
    assert read_all(master, len(expected)) == expected
    assert meter.total_bytes == len(expected)
    assert writer.stop(5.0)
    assert writer.backlog == writer.backlog_bytes == 0


def test_stalled_terminal(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    writer = TerminalWriter(slave, TerminalMeter())
    writer.start()
    start = time.monotonic()
    for _ in range(200):
        writer.write("x" * 1000)
    assert time.monotonic() - start < 2
    time.sleep(0.2)
    assert writer.backlog_bytes > 100_000
    assert writer.backlog >= 1
    drained = threading.Event()
    writer.call_when_drained(drained.set)
    assert not drained.is_set()
    # The shell's own descriptor must not have become non-blocking.
    assert not fcntl.fcntl(slave, fcntl.F_GETFL) & os.O_NONBLOCK
    read_all(master, 200_000)
    assert drained.wait(5)
    assert writer.stop(5.0)


def test_stop_gives_a_stalled_terminal_up_and_resets_it(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    writer = TerminalWriter(slave, TerminalMeter())
    writer.start()
    writer.write("x" * 200_000)
    assert not writer.stop(0.1)
    assert not writer.is_alive()
    writer.write("late")
    assert force_reset(slave, None)
    got = b""
    while select.select([master], [], [], 0.2)[0]:
        got += os.read(master, 65536)
    assert got.endswith(RESET_SEQUENCE.encode())
    assert len(got) < 200_000


def test_hang_up_drops_what_waits() -> None:
    master, slave = os.openpty()
    writer = TerminalWriter(slave, TerminalMeter())
    writer.start()
    os.close(master)
    writer.write("x")
    assert not writer.stop(5.0)
    assert writer.backlog_bytes == 0
    os.close(slave)
