"""The real dashboard on a real pseudo-terminal: it comes up, obeys the terminal, and leaves."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboard_session import FILLED, Dashboard
from redis_fixture import RedisProcess

SGR = re.compile(r"\x1b\[([0-9;:]*)m")
MODE = re.compile(r"\x1b\[\?([0-9;]+)h")
SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b]*\x1b\\|\x1b[ -~]"
)
COLOUR = re.compile(r"(?:^|;)(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;|$)")
BUSY = "while True: sum(range(1000))"
IDLE = "import time\nwhile True: time.sleep(0.05)"


@contextlib.contextmanager
def child(program: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """Process id of an idle Python program for the profiler to hold on to."""
    with child(IDLE) as process:
        yield str(process.pid)


def wait_profiled(session: Dashboard) -> None:
    """Wait until py-spy runs, so that there is a child to be left behind."""
    session.wait_filled()
    session.wait_until(lambda: len(session.family()) > 1, "py-spy")


def assert_left_well(session: Dashboard) -> None:
    assert session.missing_farewell() == []
    assert session.settings() == session.attributes
    session.wait_family_gone()


def test_frame_first_then_values() -> None:
    with Dashboard() as session:
        session.wait_for_all(10, "Resources", "Alerts", "Processes")
        session.wait_filled()
        session.wait_until(lambda: str(session.process.pid) in session.words("8 Processes"), "me")
        assert "no Redis is configured" in session.words("4 Cache")
        assert "no process chosen" in session.words("3 Top calls")
        session.send("q")
        assert session.wait_exit(5) == 0
        assert_left_well(session)


@pytest.mark.parametrize(
    ("way", "code"),
    [("q", 0), ("\x03", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
    ids=["q", "ctrl+c", "SIGTERM", "SIGHUP", "SIGINT"],
)
def test_ways_out(way: str | signal.Signals, code: int, target: str) -> None:
    with Dashboard("--pid", target) as session:
        wait_profiled(session)
        if isinstance(way, str):
            session.send(way)
        else:
            session.signal(way)
        assert session.wait_exit(5) == code
        assert_left_well(session)


@pytest.mark.parametrize("ignored", [False, True], ids=["SIGHUP", "SIGHUP ignored"])
def test_closed_terminal(ignored: bool, target: str) -> None:
    with Dashboard("--pid", target, ignore_hangup=ignored) as session:
        wait_profiled(session)
        session.hang_up()
        assert session.wait_exit(5) == 129
        session.wait_family_gone()


def test_signal_before_the_first_frame() -> None:
    for delay in (0.05, 0.15, 0.25):
        with Dashboard() as session:
            session.read_for(delay)
            session.signal(signal.SIGTERM)
            assert session.wait_exit(5) in (143, -signal.SIGTERM)
            if "\x1b[?1049h" in session.raw.decode("utf-8", "replace"):
                assert session.missing_farewell() == []
            assert session.settings() == session.attributes


def test_dialogs_do_not_hold_the_exit() -> None:
    with Dashboard() as session:
        session.wait_filled()
        session.press("?", "what it does")
        session.press("\x1b", "1 Resources")
        session.press("\x10", "End perftui")
        session.signal(signal.SIGTERM)
        assert session.wait_exit(5) == 143
        assert_left_well(session)


def test_keys_typed_ahead_arrive_in_order(target: str) -> None:
    with Dashboard() as session:
        session.wait_words("8 Processes", target[:1])
        # In one piece, as over a slow line. None of the letters may reach the panes behind.
        session.send(f"/x\x7f{target}q\x7f\rp")
        session.wait_for(f"profiling {target}")
        assert f"/{target} " in session.text()
        session.send("?/zoom\x15theme")
        session.wait_for("Next theme")
        session.wait_gone("Find an action")
        session.signal(signal.SIGTERM)
        assert session.wait_exit(5) == 143


def test_ctrl_c_leaves_from_inputs_too() -> None:
    for keys, text in (("/", "filter"), ("\x10", "End perftui")):
        with Dashboard() as session:
            session.wait_filled()
            session.press(keys, text)
            session.read_for(0.2)
            session.send("\x03")
            assert session.wait_exit(5) == 0
            assert session.missing_farewell() == []


def test_end_of_input(tmp_path: Path, target: str) -> None:
    # stdin must be a terminal to begin with, so it is a second one, which is then closed.
    master, slave = os.openpty()
    name = os.ttyname(slave)
    script = f'exec "$0" -m perftui --pid {target} <{name}'
    try:
        with Dashboard(script, sys.executable, command=("sh", "-c")) as session:
            wait_profiled(session)
            os.close(slave)
            os.close(master)
            master = slave = -1
            assert session.wait_exit(5) == 129
            assert session.missing_farewell() == []
            session.wait_family_gone()
    finally:
        for fd in (master, slave):
            if fd >= 0:
                os.close(fd)


def calls_of_info(server: RedisProcess) -> int:
    """How often INFO was asked for: the monitor's sampling, seen from outside."""
    return int(server.client.info("commandstats")["cmdstat_info"]["calls"])


def fill_terminal(session: Dashboard) -> None:
    """Have whole screens drawn until a terminal that nobody reads takes no more."""
    for _ in range(40):
        session.send("\x0c")
        time.sleep(0.02)


def test_stalled_terminal_does_not_stop_sampling(redis_server: RedisProcess) -> None:
    with Dashboard("--redis", redis_server.url, "--interval", "0.25") as session:
        session.wait_filled()
        session.wait_words("4 Cache", "commands")
        fill_terminal(session)
        time.sleep(1)
        # One INFO is that of the question.
        enough = calls_of_info(redis_server) + 8
        end = time.monotonic() + 20
        asked = 1
        while calls_of_info(redis_server) - asked < enough:
            asked += 1
            assert time.monotonic() < end, "the sampling has stopped"
            time.sleep(0.25)
        kept = session.total_bytes
        now = time.strftime("%H:%M:%S", time.gmtime())
        session.wait_until(lambda: clock(session) >= now, "time of now")
        # Not a replay of ten seconds: what the kernel held, and one or two screens.
        assert session.total_bytes - kept < 200_000
        session.send("q")
        assert session.wait_exit(5) == 0
        assert_left_well(session)


def clock(session: Dashboard) -> str:
    return session.screen.display[0].strip()[-8:]


def test_signal_during_a_stall(redis_server: RedisProcess, target: str) -> None:
    with Dashboard("--redis", redis_server.url, "--pid", target) as session:
        wait_profiled(session)
        fill_terminal(session)
        time.sleep(1)
        session.signal(signal.SIGTERM)
        assert session.wait_exit(3, reading=False) == 143
        assert session.settings() == session.attributes
        session.read_for(0.3)
        assert_left_well(session)


def tour(session: Dashboard, server: RedisProcess) -> str:
    """Open everything there is to open; returns all that was sent to the terminal."""
    server.client.set("key", "value")
    session.wait_filled()
    session.wait_words("4 Cache", "commands")
    session.press("?", "what it does")
    session.send("\x1b")
    session.wait_gone("what it does")
    session.press("\x10", "End perftui")
    # Found by the word in the footer; "Go to" stands for all that is not.
    session.send("invalidate")
    session.wait_gone("Go to")
    session.wait_for("Delete the keys")
    session.press("\x1b", "MEM")
    session.press("i", "Pattern")
    session.press("*", "match")
    session.press("\r", "to delete:")
    session.press("\x1b", "Pattern")
    session.send("\x1b")
    session.wait_gone("Pattern")
    session.press("5\r", "no service reports")
    session.press("\r", "4 Cache")
    session.press("c", "Hosts and processes")
    session.send("\x1b")
    session.wait_gone("Hosts and processes")
    session.press("8", "8 Processes")
    session.press("/", "filter Processes")
    session.press("no such thing", "nothing matches")
    session.send("\x1b")
    session.wait_gone("nothing matches")
    session.press(" ", "PAUSED")
    session.send(" 1\r")
    session.wait_gone("Processes")
    session.press("\r", "8 Processes")
    session.press("4\r", "slow log")
    session.press("\r", "8 Processes")
    session.press("t", "theme")
    session.settle()
    session.send("q")
    assert session.wait_exit(5) == 0
    return session.raw.decode()


def assert_no_motion_tracking(sent: str) -> None:
    modes = {mode for group in MODE.findall(sent) for mode in group.split(";")}
    assert not modes & {"1002", "1003"}


def test_no_color_sends_no_colour(redis_server: RedisProcess) -> None:
    env = {"NO_COLOR": "1"}
    with Dashboard("--redis", redis_server.url, "--allow-actions", env=env) as session:
        sent = tour(session, redis_server)
    sequences = set(SGR.findall(sent))
    assert sequences
    assert [sequence for sequence in sequences if COLOUR.search(sequence)] == []
    assert_no_motion_tracking(sent)


def test_linux_console(redis_server: RedisProcess) -> None:
    env = {"TERM": "linux", "COLORTERM": ""}
    with Dashboard("--redis", redis_server.url, "--allow-actions", env=env) as session:
        sent = tour(session, redis_server)
    sequences = {code for sequence in SGR.findall(sent) for code in sequence.split(";")}
    assert sequences & {"31", "32", "33", "36", "91", "92", "96"}
    assert not sequences & {"38", "48"}
    shown = set(SEQUENCE.sub("", sent))
    assert not {c for c in shown if "\u2800" <= c <= "\u28ff"}
    # Neither emoji nor eighths of a block, of which the font has none.
    assert not {c for c in shown if c > "\uffff"}
    assert not shown & set("▁▂▃▅▆▇▏▎▍▋▊▉▔╭╮╰╯")


def test_ascii(redis_server: RedisProcess) -> None:
    redis_server.client.set("名前 é", "value")
    with Dashboard("--redis", redis_server.url, "--allow-actions", "--ascii") as session:
        sent = tour(session, redis_server)
    assert sorted({character for character in sent if not character.isascii()}) == []
    assert "\\u540d" in sent


def test_ascii_by_locale() -> None:
    with Dashboard(env={"LANG": "C"}) as session:
        session.wait_filled()
        session.press("\x10", "End perftui")
        session.signal(signal.SIGTERM)
        assert session.wait_exit(5) == 143
        assert session.raw.isascii()


def test_256_colours(redis_server: RedisProcess) -> None:
    env = {"COLORTERM": ""}
    with Dashboard("--redis", redis_server.url, "--allow-actions", env=env) as session:
        sent = tour(session, redis_server)
    sequences = set(SGR.findall(sent))
    assert any("38;5;" in sequence for sequence in sequences)
    assert [s for s in sequences if re.search(r"(?:^|;)[34]8;2;", s)] == []
    assert_no_motion_tracking(sent)


def test_dumb_terminal_is_refused() -> None:
    with Dashboard(env={"TERM": "dumb"}, columns=200) as session:
        assert session.wait_exit(10) == 1
        sent = session.raw.decode()
    assert sent.startswith("perftui: TERM=dumb")
    assert "perftui once" in sent
    assert "\x1b" not in sent


@pytest.mark.parametrize(
    ("arguments", "wanted"), [((), {"1000", "1006"}), (("--no-mouse",), set())]
)
def test_mouse_modes(arguments: tuple[str, ...], wanted: set[str]) -> None:
    with Dashboard(*arguments) as session:
        session.wait_filled()
        session.send("q")
        assert session.wait_exit(5) == 0
        modes = {m for group in MODE.findall(session.raw.decode()) for m in group.split(";")}
    assert modes & {"9", "1000", "1001", "1002", "1003", "1005", "1006", "1015", "1016"} == wanted


def test_resize_storm() -> None:
    sizes = [(1, 1), (2, 1), (1, 2), (500, 3), (3, 200), (19, 5), (20, 6), (300, 100), (79, 23)]
    sizes += [(80 + 7 * n % 130, 1 + 5 * n % 60) for n in range(30)]
    with Dashboard() as session:
        session.wait_filled()
        for number, (columns, rows) in enumerate(sizes):
            session.resize(columns, rows)
            session.read_for(0.02 if number % 3 else 0.1)
        session.resize(1, 1)
        session.read_for(1.3)
        session.resize(120, 40)
        session.wait_for_all(10, "1 Resources", "2 Alerts", "8 Processes", "? help")
        session.wait_filled()
        session.press(" ", "PAUSED")
        session.settle()
        before = session.cells()
        session.send("\x0c")
        session.settle()
        # A picture that a full repaint does not change had no cell wrong.
        assert different(before, session.cells()) == []
        session.send("q")
        assert session.wait_exit(5) == 0
        assert_left_well(session)


def different(before: list[list[object]], after: list[list[object]]) -> list[object]:
    """Cells that changed, but those of the clock and of the monitor's own cost."""
    return [
        (x, y, old, new)
        for y, (old_row, new_row) in enumerate(zip(before, after, strict=True))
        if 0 < y < len(before) - 1
        for x, (old, new) in enumerate(zip(old_row, new_row, strict=True))
        if old != new
    ]


def tabs(session: Dashboard) -> str:
    """The tab strip, wherever the alert lines above it have moved it; empty when there is none."""
    lines = session.screen.display
    return next((one for one in lines if " 1 Res" in one and "8 Procs" in one), "")


@pytest.mark.parametrize("dialog", [False, True], ids=["alone", "under a dialog"])
def test_one_resize_changes_the_layout(dialog: bool) -> None:
    with Dashboard(columns=80, rows=24) as session:
        session.wait_filled()
        assert tabs(session)
        # Paused, so that no later snapshot repairs what the resize left wrong.
        session.press(" ", "PAUSED")
        for columns, rows in ((120, 40), (80, 24), (120, 40)):
            if dialog:
                session.press("?", "what it does")
            session.resize(columns, rows)
            if dialog:
                session.settle()
                session.send("\x1b")
                session.wait_gone("what it does")
            if columns == 120:
                session.wait_for_all(5, "2 Alerts", "3 Top calls", "6 Servers", "? help")
                session.wait_until(
                    lambda: bool(FILLED.search(" ".join(session.pane("1 Resources")))), "gauges"
                )
            else:
                session.wait_until(lambda: bool(tabs(session)), "tabs")
                session.wait_until(lambda: bool(session.pane("8 Processes")), "pane")
                assert "3 Top calls " not in session.text().replace(tabs(session), "")
        session.send("q")
        assert session.wait_exit(5) == 0


def test_small_terminal_names_everything() -> None:
    with Dashboard(columns=80, rows=24) as session:
        session.wait_for_all(20, "CPU", "MEM", "Processes")
        session.press("1", "1 Resources")
        session.send("q")
        assert session.wait_exit(5) == 0
