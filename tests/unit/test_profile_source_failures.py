"""What the profile source says when py-spy is missing, hangs, fails or writes nonsense."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from py_spy_fixture import (
    HEADER,
    Spawn,
    children,
    error_within,
    python_child,
    recordings_of,
    replay,
    stand_in,
    table_within,
)

from perftui.snapshot import Absent, ProfileRequest, Selection, State
from perftui.sources.pyspy import preflight as pyspy_preflight
from perftui.sources.pyspy import problems as pyspy_problems
from perftui.sources.pyspy import session as pyspy_session
from perftui.sources.pyspy.problems import ProcessState, explain, process_state
from perftui.sources.pyspy.source import ProfileSource, find_py_spy, preflight

WINDOW = {
    "profiles": [
        {"name": 'Thread 999999 "worker; \x1b[1m"', "samples": [[0, 1], [0, 1], [0, 2], [0, 1]]}
    ],
    "shared": {
        "frames": [
            {"name": "main", "file": "/app/a.py", "line": 9},
            {"name": "work", "file": "/app/a.py", "line": 3},
            {"name": "rest", "file": "/app/a.py", "line": 5},
        ]
    },
}


class Use(Protocol):
    """Makes a source that finds the given program, or none, in the place of py-spy."""

    def __call__(
        self, program: str | None, mode: str = "auto", window: float = 5.0, refresh: float = 1.0
    ) -> ProfileSource: ...


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    with children() as start:
        yield start


@pytest.fixture
def target() -> Iterator[int]:
    with children() as spawn:
        yield python_child(spawn, "import time; time.sleep(60)")


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, target: int) -> Iterator[Use]:
    made: list[ProfileSource] = []

    def with_program(
        program: str | None, mode: str = "auto", window: float = 5.0, refresh: float = 1.0
    ) -> ProfileSource:
        for module in (pyspy_session, pyspy_preflight):
            monkeypatch.setattr(module, "find_py_spy", lambda: program)
        source = ProfileSource(mode=mode, window=window, refresh=refresh)
        made.append(source)
        source.set_target(target)
        return source

    yield with_program
    for source in made:
        source.close()


def test_a_replayed_window(use: Use, tmp_path: Path, target: int) -> None:
    log = "1.25s behind in sampling. Samples: 4 Errors: 1"
    source = use(stand_in(tmp_path, replay(WINDOW, log)))
    table = source.sample()
    assert (table.pid, table.python, table.mode) == (target, "3.11.7", "exact")
    assert (table.samples, table.errors) == (4, 1)
    rows = [(call.function, call.file, call.line, call.own_percent) for call in table.calls]
    assert rows == [
        ("work", "/app/a.py", 3, pytest.approx(75)),
        ("rest", "/app/a.py", 5, pytest.approx(25)),
        ("main", "/app/a.py", 9, 0.0),
    ]
    assert "1.2 s behind" in table.note
    assert "20 % of the samples failed" in table.note


def test_the_sliding_window_forgets(use: Use, tmp_path: Path) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)), window=1.0, refresh=0.4)
    tables = [source.sample() for _ in range(7)]
    assert tables[1].samples == 8
    assert max(table.samples for table in tables) <= 16
    assert tables[-1].window < 2.5


def test_py_spy_is_missing(use: Use, target: int) -> None:
    error = error_within(use(None), 3)
    assert error.absent.state is State.UNAVAILABLE
    assert error.absent.reason == "py-spy is not installed"
    assert "pip install py-spy" in error.absent.fix
    assert preflight(target).problem == error.absent


def test_py_spy_cannot_be_started(use: Use, tmp_path: Path) -> None:
    broken = tmp_path / "py-spy"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    error = error_within(use(str(broken)), 3)
    assert error.absent.state is State.UNAVAILABLE
    assert error.absent.reason.startswith("py-spy cannot be started: ")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (replay('{"profiles": [{"na'), "wrote no readable profile"),
        (replay(""), "wrote no readable profile"),
        ("head -c 200000 /dev/urandom; exit 0", "wrote no readable profile"),
        ("exit 0", "wrote no readable profile"),
        (
            "echo \"thread 'main' panicked at src/config.rs\" >&2; exit 101",
            "thread 'main' panicked at src/config.rs",
        ),
        ("exit 101", "exit status 101"),
        (f"echo '{HEADER}'; echo 'Error: Broken pipe (os error 32)' >&2; exit 1", "Broken pipe"),
    ],
)
def test_py_spy_fails(use: Use, tmp_path: Path, record: str, reason: str) -> None:
    error = error_within(use(stand_in(tmp_path, record)), 6)
    assert error.absent.state is State.UNAVAILABLE
    assert reason in error.absent.reason


@pytest.mark.parametrize(
    "record",
    ["exec sleep 60", f"trap '' INT; echo '{HEADER}'; exec sleep 60"],
    ids=["never attaches", "never ends"],
)
def test_py_spy_hangs(use: Use, tmp_path: Path, target: int, record: str) -> None:
    source = use(stand_in(tmp_path, record))
    error = error_within(source, 10)
    assert error.absent.state is State.UNAVAILABLE
    assert "did not answer" in error.absent.reason
    source.close()
    assert recordings_of(target) == []


def test_preflight_hangs(use: Use, tmp_path: Path) -> None:
    source = use(stand_in(tmp_path, "exit 1", dump="exec sleep 60"))
    assert "did not answer" in error_within(source, 10).absent.reason


def test_the_table_comes_back_by_itself(use: Use, tmp_path: Path) -> None:
    refusal = 'echo "Permission Denied: Try running again with elevated permissions" >&2; exit 1'
    source = use(stand_in(tmp_path, "exit 1", dump=refusal))
    assert error_within(source, 3).absent.state is State.DENIED
    stand_in(tmp_path, replay(WINDOW))
    assert table_within(source, 5).samples == 4


def test_a_program_that_restarts_itself_for_ever_is_told(
    use: Use, tmp_path: Path, spawn: Spawn
) -> None:
    script = tmp_path / "again.py"
    script.write_text(
        "import os, sys, time\ntime.sleep(0.15)\nos.execv(sys.executable, sys.orig_argv)\n"
    )
    source = use(stand_in(tmp_path, replay(WINDOW)))
    source.set_target(spawn(sys.executable, str(script)).pid)
    # A source that goes on in silence would never return: closing ends its wait.
    threading.Timer(15, source.close).start()
    assert "again and again" in error_within(source, 10).absent.reason


def test_another_process_with_the_same_id_is_not_profiled(
    use: Use, tmp_path: Path, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = use(stand_in(tmp_path, replay(WINDOW)))
    assert source.sample().pid == target

    def born_later(pid: int) -> ProcessState | None:
        state = process_state(pid)
        return state and state._replace(started=state.started + 1)

    monkeypatch.setattr(pyspy_session, "process_state", born_later)
    assert "has exited" in error_within(source, 3).absent.reason
    source.select(Selection(profile=ProfileRequest(mode="safe")))
    assert "has exited" in error_within(source, 3).absent.reason, "another mode, the same process"
    source.set_target(target)
    assert table_within(source, 5).pid == target, "who chooses it again means the new one"


def test_a_refused_pause_falls_back_to_reading_without(use: Use, tmp_path: Path) -> None:
    refusal = (
        'case "$*" in *--nonblocking*) ;; *) '
        "printf 'Error: Failed to suspend process\\n\\nCaused by:\\n"
        "    EPERM: Operation not permitted\\n' >&2; exit 1;; esac\n"
    )
    program = stand_in(tmp_path, replay(WINDOW))
    text = Path(program).read_text()
    Path(program).write_text(text.replace("while [ $#", refusal + "while [ $#", 1))
    table = use(program).sample()
    assert (table.mode, table.samples) == ("approximate", 4)
    assert "another program traces it" in table.note

    error = error_within(use(program, mode="exact"), 5)
    assert error.absent.state is State.DENIED
    assert "cannot be paused" in error.absent.reason


PTRACE_EPERM = "Error: Failed to suspend process\n\nCaused by:\n    EPERM: Operation not permitted"
NO_TREE = "Error: No python processes found in process 9 or any of its subprocesses"
NO_EXECUTABLE = (
    "Error: Failed to get process executable name. Check that the process is running.\n\n"
    "Caused by:\n    0: {cause}\n    1: {cause}"
)


@pytest.mark.parametrize(
    ("log", "state", "part"),
    [
        ("Permission Denied: Try running again with", State.DENIED, "is not permitted"),
        (
            NO_EXECUTABLE.format(cause="Permission denied (os error 13)"),
            State.DENIED,
            "is not permitted",
        ),
        (PTRACE_EPERM, State.DENIED, "cannot be paused"),
        (
            "Error: Failed to suspend process\nunexpected waitpid result PtraceEvent(Pid(9), "
            "SIGSTOP, 128) to 9",
            State.UNAVAILABLE,
            "is stopped by a signal",
        ),
        (NO_TREE, State.UNAVAILABLE, "no process of the tree of"),
        (
            "This program requires root on OSX.\nTry running again with elevated permissions",
            State.DENIED,
            "is not permitted",
        ),
        (
            NO_EXECUTABLE.format(cause="No such file or directory (os error 2)"),
            State.UNAVAILABLE,
            "could not open process",
        ),
        (
            "Error: Failed to copy memory\nCaused by:\n    0: process_vm_readv",
            State.DENIED,
            "is not permitted",
        ),
        (
            "Error: Unsupported version of Python: 4.2.0",
            State.UNAVAILABLE,
            "Python 4.2.0, which this py-spy does not know",
        ),
        (
            "Error: Failed to find python version from target process",
            State.UNAVAILABLE,
            "not a Python program",
        ),
        ("py-spy> hello\nError: something else", State.UNAVAILABLE, "something else"),
    ],
)
def test_messages_of_py_spy(log: str, state: State, part: str) -> None:
    absent = explain(os.getpid(), "/opt/py-spy", log, 1)
    assert absent.state is state
    assert part in absent.reason


def test_messages_about_a_process_that_is_gone(target: int) -> None:
    gone = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(gone, 0)
    for log in (NO_EXECUTABLE.format(cause="No such file or directory"), NO_TREE, PTRACE_EPERM):
        assert explain(gone, "/opt/py-spy", log, 1).reason == f"process {gone} has exited"
    zombie = os.posix_spawn("/bin/true", ["true"], {})
    time.sleep(0.1)
    try:
        log = NO_EXECUTABLE.format(cause="No such file or directory")
        assert explain(zombie, "/opt/py-spy", log, 1).reason == f"process {zombie} has exited"
        assert preflight(zombie).problem == explain(zombie, "/opt/py-spy", log, 1)
    finally:
        os.waitpid(zombie, 0)


def test_a_py_spy_without_c_frames() -> None:
    log = "error: unexpected argument '--native' found\n\nUsage: py-spy record"
    absent = explain(os.getpid(), "/opt/py-spy", log, 2)
    assert absent.state is State.UNAVAILABLE
    assert "cannot read C frames on" in absent.reason
    assert absent.fix == "leave profile.native off"


@pytest.mark.parametrize(
    ("user", "scope", "capable", "fix"),
    [
        (1000, 1, False, "sudo sysctl kernel.yama.ptrace_scope=0"),
        (1000, 0, False, "sudo setcap cap_sys_ptrace=ep /opt/py-spy"),
        (1000, 3, False, "until a reboot"),
        (0, 0, False, "docker run --cap-add SYS_PTRACE"),
        (0, 0, True, "container or user namespace"),
    ],
)
def test_every_refusal_has_its_fix(
    monkeypatch: pytest.MonkeyPatch, user: int, scope: int, capable: bool, fix: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(pyspy_problems, "_ptrace_scope", lambda: scope)
    monkeypatch.setattr(pyspy_problems, "_has_ptrace_capability", lambda: capable)
    monkeypatch.setattr(pyspy_problems, "_owner", lambda pid: user)
    absent: Absent = pyspy_problems.denied(4711, "/opt/py-spy")
    assert absent.state is State.DENIED
    assert "4711" in absent.reason
    assert fix in absent.fix


def test_py_spy_is_found_beside_this_python_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    beside, elsewhere = tmp_path / "beside", tmp_path / "elsewhere"
    for directory in (beside, elsewhere):
        directory.mkdir()
        stand_in(directory, "exit 0")
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setenv("PATH", str(elsewhere))
    assert find_py_spy() == str(beside / "py-spy")
    (beside / "py-spy").unlink()
    assert find_py_spy() == str(elsewhere / "py-spy")
    (elsewhere / "py-spy").unlink()
    assert find_py_spy() is None


@pytest.mark.parametrize(
    "settings", [{"mode": "fast"}, {"rate": 0}, {"refresh": 0.01}, {"window": 31}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not"):
        ProfileSource(**settings)  # type: ignore[arg-type]
