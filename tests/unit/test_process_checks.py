"""What the screen learns of real processes without ever waiting for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from py_spy_fixture import children, python_child, refusal_to_profile

from perftui.profiling.profilable import verdict
from perftui.profiling.thread_dump import ThreadDump
from perftui.tui.process_checks import ProcessChecks
from perftui.tui.stack_dumps import StackDumps


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that a thread does."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_estimate_and_attempt_agree_on_a_child_and_on_what_is_no_python() -> None:
    refusal = refusal_to_profile()
    if refusal:
        pytest.skip(refusal)
    checks = ProcessChecks()
    with children() as spawn:
        python = (python_child(spawn, "import time\nwhile True: time.sleep(0.01)"), 1.0)
        sleeper = (spawn("sleep", "60").pid, 2.0)
        gone = (2**22 + 9, 3.0)
        checks.want([python, sleeper, gone])
        assert checks.subject(python) is None
        until(checks.poll)
        subject, viewer = checks.subject(python), checks.viewer
        assert subject is not None
        assert viewer is not None
        assert verdict(subject, viewer).permitted
        dead = checks.subject(gone)
        assert dead is not None
        assert dead.state == "X"
        for key in (python, sleeper):
            assert checks.check(key)
            assert checks.is_trying(key)
            assert not checks.check(python)
            until(checks.poll)
        found = checks.checked(python)
        assert found is not None
        assert found.problem is None
        assert found.python.startswith("3.")
        other = checks.checked(sleeper)
        assert other is not None
        assert other.problem is not None
        assert "not a Python program" in other.problem.reason
        job = StackDumps(python[0]).take()
        assert job.wait(20)
        assert isinstance(job.result, ThreadDump)
