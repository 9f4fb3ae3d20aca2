"""A monitor that is killed leaves no py-spy behind, even one that hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perftui.sources.pyspy.death_guard import death_guard

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, sys, time
from perftui.sources.pyspy.process import Recording
wake, _ = os.pipe()
Recording(sys.argv[1], os.getpid(), 100, (), wake)
print("recording", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not death_guard(), reason="needs setpriv of util-linux")
def test_a_hanging_py_spy_dies_with_the_monitor(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    hanging = tmp_path / "py-spy"
    hanging.write_text(f"#!/bin/sh\ntrap '' INT TERM\necho $$ > {mark}\nexec sleep 60\n")
    hanging.chmod(0o755)
    monitor = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(hanging)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    with monitor:
        assert monitor.stdout is not None
        monitor.stdout.readline()
        end = time.monotonic() + 20
        while not (mark.exists() and mark.read_text().strip()) and time.monotonic() < end:
            time.sleep(0.02)
        pid = int(mark.read_text())
        os.kill(monitor.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while alive(pid):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            pytest.fail("py-spy went on after its monitor was killed")
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
