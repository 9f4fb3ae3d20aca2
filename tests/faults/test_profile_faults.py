"""Top calls of a program with known shares, and of programs that end, refuse or are no Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from dashboard_session import Dashboard
from py_spy_fixture import SPLIT, Spawn, children, python_child, refusal_to_profile

IDLE = "import time\nwhile True: time.sleep(0.05)"
SHARES = {"seventy": 70.0, "twenty": 20.0, "ten": 10.0}
ROW = re.compile(r"^ *(\d+\.\d) +\d+\.\d +(\w+)", re.MULTILINE)

pytestmark = pytest.mark.skipif(bool(refusal := refusal_to_profile()), reason=refusal)


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Return a function that starts children, which end with the test."""
    with children() as start:
        yield start


def own_shares(session: Dashboard) -> dict[str, float]:
    """Own percent by function, in the order of the pane."""
    rows = ROW.findall("\n".join(session.pane("3 Top calls")))
    return {name: float(percent) for percent, name in rows}


def are_right(shares: dict[str, float]) -> bool:
    """Whether the order is right and every share near what it is; the benchmark says how near."""
    return list(shares)[:3] == list(SHARES) and all(
        abs(shares[name] - share) <= 10 for name, share in SHARES.items()
    )


def test_shares_and_order_of_a_known_program(spawn: Spawn) -> None:
    pid = python_child(spawn, SPLIT)
    with Dashboard("--pid", str(pid)) as session:
        begin = time.monotonic()
        session.wait_until(lambda: are_right(own_shares(session)), "shares of 70, 20, 10", 15)
        print(f"after {time.monotonic() - begin:.2f} s: {own_shares(session)}")
        # More samples make it better, not worse.
        session.read_for(3)
        assert are_right(own_shares(session))


def test_exit_of_the_target_then_another_one(spawn: Spawn) -> None:
    first = spawn(sys.executable, "-c", SPLIT)
    time.sleep(0.2)
    second = python_child(spawn, SPLIT)
    with Dashboard("--pid", str(first.pid)) as session:
        session.wait_words("3 Top calls", "seventy")
        first.kill()
        first.wait()
        said = session.wait_words("3 Top calls", f"process {first.pid} has exited")
        assert "fix: choose another process and press p" in said
        session.press("8/", "filter Processes")
        session.send(f"{second}\r")
        session.wait_words("8 Processes", str(second))
        session.press("p", f"profiling {second}")
        session.wait_words("3 Top calls", "seventy")
        assert f"pid {second}" in session.words("3 Top calls")
        session.send("P")
        session.wait_words("3 Top calls", "no process chosen")
        session.send("q")
        assert session.wait_exit(5) == 0
        session.wait_family_gone()


def test_target_that_is_stopped_and_goes_on(spawn: Spawn) -> None:
    pid = python_child(spawn, SPLIT)
    os.kill(pid, 19)
    with Dashboard("--pid", str(pid)) as session:
        session.wait_filled()
        session.wait_words("3 Top calls", "3 Top calls")
        os.kill(pid, 18)
        session.wait_words("3 Top calls", "seventy", 20)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda spawn: spawn("sleep", "60").pid, "is not a Python program"),
        (lambda spawn: 2**22 - 1, "does not exist"),
        (lambda spawn: 2, "is a thread of the kernel"),
    ],
    ids=["sleep", "nobody", "kernel"],
)
def test_no_python(spawn: Spawn, make: object, reason: str) -> None:
    pid = make(spawn)  # type: ignore[operator]
    if pid == 2 and not os.path.exists("/proc/2/stat"):
        pytest.skip("no kernel threads to be seen here")
    with Dashboard("--pid", str(pid)) as session:
        session.wait_filled()
        said = session.wait_words("3 Top calls", reason)
        assert "unavailable:" in said
        assert "fix: choose a" in said


def test_p_on_a_process_that_is_not_python(spawn: Spawn) -> None:
    pid = spawn("sleep", "60").pid
    with Dashboard() as session:
        session.wait_words("8 Processes", "pid")
        session.press("8/", "filter Processes")
        session.send(f"{pid}\r")
        session.wait_words("8 Processes", "sleep")
        session.press("p", "is not a Python process")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_not_permitted(spawn: Spawn) -> None:
    pid = python_child(spawn, IDLE)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
    as_nobody = (*nobody, sys.executable, "-m", "perftui")
    if subprocess.run([*as_nobody, "--version"], capture_output=True).returncode != 0:
        pytest.skip("another user cannot run this interpreter or read this package")
    env = {"XDG_CONFIG_HOME": "/nonexistent", "HOME": "/nonexistent"}
    with Dashboard("--pid", str(pid), command=as_nobody, env=env) as session:
        session.wait_filled()
        said = session.wait_words("3 Top calls", "denied: reading the memory of process")
        assert f"process {pid} is not permitted" in said
        assert "fix: start perftui with sudo, or: sudo setcap cap_sys_ptrace=ep" in said
        # Everything that needs no right is there.
        assert "CPU" in session.words("1 Resources")
        assert "pid" in session.words("8 Processes")
        session.send("q")
        assert session.wait_exit(5) == 0
        assert session.missing_farewell() == []
