"""The services that README shows, run as it says, against a real Redis."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis_fixture import RedisProcess

from perftui.metrics.report import INDEX_KEY, ServiceReport, decode, report_key

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = re.compile(
    r"^<!-- example: (?P<name>\w+) -->\n```python\n"
    r"(?P<code># (?P<file>\w+\.py): (?P<command>[^\n]+)\n.*?)```$",
    re.DOTALL | re.MULTILINE,
)
SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Example:
    """A program of README, and how README says to start it."""

    file: str
    command: str
    code: str

    def arguments(self) -> list[str]:
        program, *arguments = shlex.split(self.command)
        module = [] if program == "python" else ["-m", program]
        return [sys.executable, *module, *arguments]


def examples() -> dict[str, Example]:
    text = (ROOT / "README.md").read_text()
    return {
        match["name"]: Example(match["file"], match["command"], match["code"])
        for match in EXAMPLE.finditer(text)
    }


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def room() -> Iterator[Path]:
    """Return a directory with a path short enough for a Unix socket."""
    directory = Path(tempfile.mkdtemp(prefix="pt-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def start(room: Path, redis_server: RedisProcess) -> Iterator[Start]:
    """Return a function that starts an example in the room; all its processes end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(example: Example, *more: str) -> subprocess.Popen[bytes]:
        (room / example.file).write_text(example.code)
        with (room / "log").open("wb") as log:
            process = subprocess.Popen(
                [*example.arguments(), *more],
                cwd=room,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(room),
                    "PYTHONPATH": str(ROOT),
                    "REDIS_URL": redis_server.url,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class LocalConnection(http.client.HTTPConnection):
    """HTTP to a server behind a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


def get(server: Path, path: str) -> int:
    connection = LocalConnection(server)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def wait_for_server(process: subprocess.Popen[bytes], server: Path, room: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(server))
            return
        time.sleep(0.05)
    raise AssertionError((room / "log").read_text())


def reports(redis_server: RedisProcess, service: str) -> list[ServiceReport]:
    found = []
    for key in redis_server.client.scan_iter(report_key(service, "*")):
        payload = redis_server.client.get(key)
        assert isinstance(payload, bytes)
        found.append(decode(payload))
    return found


def totals(found: list[ServiceReport]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for report in found:
        for name, operation in report.operations.items():
            counts[name] += operation.count
    return dict(counts)


def test_readme_has_the_examples_and_marks_two_lines_in_each() -> None:
    found = examples()
    assert set(found) == {"fastapi", "django", "script"}
    for example in found.values():
        assert re.findall(r"  # (\d)$", example.code, re.MULTILINE) == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "service", "socket_option", "expected"),
    [
        (
            "fastapi",
            "shop",
            "--uds={}",
            {
                "GET /users/{user}": (["/users/1", "/users/2", "/users/none"], (200, 200, 422)),
                "GET _unmatched": (["/wp-login.php", "/users"], (404, 404)),
            },
        ),
        (
            "django",
            "blog",
            "--bind=unix:{}",
            {
                "GET /articles/<int:year>/": (["/articles/1999/", "/articles/2024/"], (200, 200)),
                "GET _unmatched": (["/articles/old/", "/wp-login.php"], (404, 404)),
            },
        ),
    ],
)
def test_workers_report_every_request(
    name: str,
    service: str,
    socket_option: str,
    expected: dict[str, tuple[list[str], tuple[int, ...]]],
    start: Start,
    room: Path,
    redis_server: RedisProcess,
) -> None:
    server = room / "socket"
    process = start(examples()[name], socket_option.format(server))
    wait_for_server(process, server, room)
    rounds = 25
    for paths, statuses in expected.values():
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda path: get(server, path), paths * rounds))
        assert answers == list(statuses) * rounds
    counts = {operation: len(paths) * rounds for operation, (paths, _) in expected.items()}

    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = reports(redis_server, service)
        if len(found) == 2 and totals(found) == counts:
            break
        time.sleep(0.1)
    assert totals(found) == counts, (room / "log").read_text()
    assert len(found) == 2
    assert {report.service for report in found} == {service}
    assert process.pid not in {report.pid for report in found}
    failures = [op.failures for report in found for op in report.operations.values()]
    assert not any(failures)

    process.terminate()
    process.wait(SECONDS)
    # The last reports of the workers neither lose nor double anything, and leave no ghost.
    found = reports(redis_server, service)
    assert totals(found) == counts
    assert all(report.ended for report in found), (room / "log").read_text()
    assert redis_server.client.zcard(INDEX_KEY) == 0


def test_script_reports_its_calls(start: Start, room: Path, redis_server: RedisProcess) -> None:
    process = start(examples()["script"])
    assert process.wait(SECONDS) == 0, (room / "log").read_text()
    (report,) = reports(redis_server, "orders")
    assert totals([report]) == {"import order": 50}
    assert report.operations["import order"].seconds >= 0.5
    assert (room / "log").read_text() == ""
