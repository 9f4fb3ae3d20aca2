"""Names made to break a screen: real ones, of a process and of a Redis key."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from dashboard_session import Dashboard
from redis_fixture import RedisProcess
from sample import HOSTILE

READABLE = r"[/x] \x1b[31m 名前\n"
ASCII = r"[/x] \x1b[31m \u540d\u524d\n"

# The kernel's name of a process is written as by PR_SET_NAME, see proc_pid_comm(5).
PROGRAM = "printf '%b' '[/x] \\033[31m 名\\n' > /proc/self/comm; read -r line"


@contextlib.contextmanager
def hostile_process() -> Iterator[int]:
    """A process with the name as command line and, cut by the kernel, as its short name."""
    process = subprocess.Popen(
        [HOSTILE, "-c", PROGRAM, HOSTILE], executable="/bin/sh", stdin=subprocess.PIPE
    )
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def frame_columns(session: Dashboard) -> list[str]:
    """Characters of the first, the middle two and the last column, in each row of the panes."""
    return ["".join(row[x].text for x in (0, 59, 60, 119)) for row in session.cells()[1:-1]]


@pytest.mark.parametrize(("option", "shown"), [((), READABLE), (("--ascii",), ASCII)])
def test_hostile_names_are_read_and_change_nothing(
    redis_server: RedisProcess, option: tuple[str, ...], shown: str
) -> None:
    redis_server.client.set(HOSTILE, "value")
    redis_server.client.set(b"\xff\x9b31m\x00", "value")
    with (
        hostile_process() as pid,
        Dashboard("--redis", redis_server.url, "--allow-actions", *option) as session,
    ):
        session.wait_filled()
        session.send("8")
        session.wait_words("8 Processes", "pid")
        before = frame_columns(session)
        session.press("/", "filter Processes")
        session.send(f"{pid}\r")
        session.wait_words("8 Processes", r"[/x] \x1b[31m")
        assert frame_columns(session) == before
        # Zoomed there is room for all of it.
        session.press("\r", shown)
        session.send("\r")
        session.press("i", "Pattern")
        session.press("*", "2 of 2 keys match")
        session.wait_for(shown)
        assert r"\xff\x9b31m\x00" in session.text()
        session.send("\x1b")
        session.wait_gone("Pattern")

        session.press(" ", "PAUSED")
        session.settle()
        picture = session.cells()
        session.send("\x0c")
        session.settle()
        assert session.cells()[1:-1] == picture[1:-1]
        session.send("q")
        assert session.wait_exit(5) == 0
        # Neither the sequence nor the single byte that means the same to some terminals.
        assert b"\x1b[31m" not in session.raw
        assert b"\x9b31m" not in session.raw


def test_hostile_names_in_reports() -> None:
    command = [sys.executable, "-m", "perftui", "once", "--seconds", "0.3"]
    with hostile_process() as pid:
        found = subprocess.run(
            [*command, "--json"], capture_output=True, check=True, stdin=subprocess.DEVNULL
        )
        rows = [row for row in json.loads(found.stdout)["processes"] if row["pid"] == pid]
        assert [HOSTILE in row["command"] for row in rows] == [True]
        text = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
        assert b"\x1b" not in text.stdout
