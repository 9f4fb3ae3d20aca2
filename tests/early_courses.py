"""The courses of the demo begin with the session and run beside all other tests.

They take two minutes that nobody has to wait for: the tests that read what came of them run last.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import psutil
import pytest

from perftui.demo.redis_binary import find_redis_server

if TYPE_CHECKING:
    from demo_courses import Outcome

READERS = "faults/test_demo_alerts.py"
DIRECTORY = "DEMO_COURSES"
"""Name of the environment variable by which the workers of xdist know the place."""
TESTS = Path(__file__).parent
PROGRAM = "import demo_courses; demo_courses.main()"
MODULES = (TESTS.parent, TESTS / "faults", TESTS / "unit")
PATIENCE = 400.0
"""Seconds after which a course counts as hung; all its own waits together are shorter."""


class EarlyCourses:
    """Plugin of the process that starts the session, with the workers of xdist or without."""

    def __init__(self) -> None:
        # Named here, because the workers begin before it is known whether there will be courses.
        self._directory = Path(tempfile.gettempdir()) / f"pt-courses-{uuid.uuid4().hex}"
        self._process: subprocess.Popen[bytes] | None = None
        os.environ[DIRECTORY] = str(self._directory)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begin when this process runs the tests itself."""
        if not session.config.option.collectonly:
            self._begin(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Begin when the first worker knows its tests."""
        self._begin(ids)

    def pytest_unconfigure(self) -> None:
        """End what has not ended by itself, and leave nothing."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _begin(self, ids: Iterable[str]) -> None:
        wanted = any(READERS in id_ for id_ in ids)
        if self._process is not None or not wanted or find_redis_server() is None:
            return
        self._directory.mkdir(mode=0o700)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PERFTUI_") and name not in {"REDIS_URL", "NO_COLOR"}
        }
        # Silences of whoever runs the tests must not hide anything.
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            environment[name] = str(self._directory / name.lower())
        environment["PYTHONPATH"] = os.pathsep.join(map(str, MODULES))
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self._directory)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
            )
        (self._directory / "pid").write_text(str(self._process.pid))


def outcome_of(name: str) -> Outcome:
    """Wait for a course and return what came of it; fails with what its process said last."""
    directory = Path(os.environ[DIRECTORY])
    assert directory.exists(), "no course has begun"
    end = time.monotonic() + PATIENCE
    while not (directory / name).exists():
        # It may have ended between the two questions.
        if time.monotonic() > end or (not _runs(directory) and not (directory / name).exists()):
            pytest.fail(f"course {name} came to no end: {(directory / 'log').read_text()}")
        time.sleep(0.05)
    result = pickle.loads((directory / name).read_bytes())
    if isinstance(result, str):
        pytest.fail(f"course {name} ended with\n{result}")
    return cast("Outcome", result)


def _runs(directory: Path) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(int((directory / "pid").read_text()))
        return process.status() != psutil.STATUS_ZOMBIE
    return False
