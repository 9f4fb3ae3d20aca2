"""Helpers for tests of the Reporter: waiting, reading its reports, running programs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from redis_fixture import RedisProcess

from perftui.metrics.report import INDEX_KEY, ServiceReport, decode, report_key
from perftui.metrics.reporter import Reporter

HANG = 15.0
"""Seconds after which a wait counts as a hang."""
FAST = 0.1
ROOT = str(Path(__file__).parents[2])


def wait_for(question: Callable[[], object]) -> None:
    """Wait until the answer is true."""
    end = time.monotonic() + HANG
    while not question():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.01)


def wait_reports(reporter: Reporter, more: int = 1) -> None:
    """Wait until so many more reports have arrived that began from now on."""
    enough = reporter.status.reports + more + 1
    wait_for(lambda: reporter.status.reports >= enough)


def members(server: RedisProcess, key: str = INDEX_KEY) -> list[str]:
    """Return the members of an index."""
    return [member.decode() for member in server.client.zrange(key, 0, -1)]


def reports(server: RedisProcess) -> list[ServiceReport]:
    """Return every report there is."""
    return [decode(server.client.get(key)) for key in server.client.keys("perftui:report:*")]


def report_of(server: RedisProcess, reporter: Reporter) -> ServiceReport:
    """Return the newest report of a reporter of this process."""
    status = reporter.status
    return decode(server.client.get(report_key(status.service, status.instance)))


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program with the package to be found; no line of it may end in a traceback."""
    done = subprocess.run(
        # Newer interpreters warn of any fork beside a thread.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        env=os.environ | {"PYTHONPATH": ROOT} | environment,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    return done
