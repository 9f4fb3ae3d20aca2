"""Every way out gives the terminal back, in time and with the right exit code."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from pty_session import PtySession

APP = (sys.executable, str(Path(__file__).with_name("screen_app.py")))

SIGNALS = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}


def stall(session: PtySession) -> None:
    """Let the program write more than the kernel holds while nobody reads."""
    session.send("f")
    time.sleep(1.0)


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "ctrl+c"])
def test_keys_leave_and_give_the_terminal_back(key: str) -> None:
    with PtySession(APP) as session:
        session.wait_for("steps: 0.")
        assert session.settings() != session.attributes
        session.send(key)
        assert session.wait_exit(5) == 0
        assert session.missing_farewell() == []
        assert session.settings() == session.attributes


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signals_leave_and_give_the_terminal_back(number: signal.Signals) -> None:
    with PtySession(APP) as session:
        session.wait_for("steps: 0.")
        session.signal(number)
        assert session.wait_exit(5) == SIGNALS[number]
        assert session.missing_farewell() == []
        assert session.settings() == session.attributes


def test_crash_gives_the_terminal_back() -> None:
    with PtySession(APP, rows=50, columns=120) as session:
        session.wait_for("steps: 0.")
        session.send("x")
        assert session.wait_exit(10) == 1
        assert session.missing_farewell() == []
        assert session.settings() == session.attributes
        assert "asked to crash" in session.raw.decode()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signals_end_a_blocked_event_loop(number: signal.Signals, tmp_path: Path) -> None:
    note = tmp_path / "note"
    with PtySession((*APP, "--cleanup", str(note))) as session:
        session.wait_for("steps: 0.")
        session.send("b")
        session.read_for(0.3)
        session.signal(number)
        assert session.wait_exit(6) == SIGNALS[number]
        assert session.missing_farewell() == []
        assert session.settings() == session.attributes
    assert note.read_text() == "cleaned up\n"


def test_a_signal_after_stop_and_continue_restores_the_settings() -> None:
    with PtySession(APP) as session:
        session.wait_for("steps: 0.")
        session.signal(signal.SIGSTOP)
        session.read_for(0.1)
        session.signal(signal.SIGCONT)
        session.settle()
        session.send("t")
        session.wait_for("steps: 1.")
        session.send("q")
        assert session.wait_exit(5) == 0
        assert session.settings() == session.attributes


@pytest.mark.parametrize("ignored", [False, True], ids=["SIGHUP", "SIGHUP ignored"])
@pytest.mark.parametrize("key", ["", "b"], ids=["idle", "blocked loop"])
def test_closed_terminal_ends_the_program(ignored: bool, key: str) -> None:
    with PtySession(APP, ignore_hangup=ignored) as session:
        session.wait_for("steps: 0.")
        session.settle()
        if key:
            session.send(key)
            session.read_for(0.3)
        session.hang_up()
        assert session.wait_exit(6) == 129


def test_end_of_input_ends_the_program_without_spinning(tmp_path: Path) -> None:
    fifo = tmp_path / "stdin"
    os.mkfifo(fifo)
    writing = os.open(fifo, os.O_RDWR)
    # stdin is a pipe that ends, while the terminal stays.
    with PtySession(("sh", "-c", f"exec {APP[0]} {APP[1]} <{fifo}")) as session:
        session.wait_for("steps: 0.")
        session.settle()
        before = session.cpu_seconds()
        session.read_for(0.5)
        assert session.cpu_seconds() - before < 0.25
        os.close(writing)
        assert session.wait_exit(6) == 129
        assert session.missing_farewell() == []


@pytest.mark.parametrize("arguments", [(), ("--stock",)], ids=["cells", "stock"])
def test_stalled_terminal_does_not_stop_a_signal(arguments: tuple[str, ...]) -> None:
    with PtySession((*APP, *arguments)) as session:
        session.wait_for("steps: 0.")
        stall(session)
        session.signal(signal.SIGTERM)
        assert session.wait_exit(6, reading=False) == 143
        assert session.settings() == session.attributes
        session.read_for(0.3)
        assert session.missing_farewell() == []


def test_a_stall_is_followed_by_the_newest_screen_not_by_a_replay() -> None:
    with PtySession(APP) as session:
        session.wait_for("steps: 0.")
        stall(session)
        session.send("f")
        time.sleep(0.5)
        before = session.total_bytes
        session.settle()
        # A second of flood is 50 frames of some kilobytes.
        assert session.total_bytes - before < 40_000
        caught_up = session.cells()
        session.send("\x0c")
        session.read_for(0.5)
        assert session.cells() == caught_up
        session.send("q")
        assert session.wait_exit(5) == 0
        assert session.missing_farewell() == []
