"""The command `profile` where standard output or error is closed, full, a pipe, or no file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from perftui.config import Settings
from perftui.profile_command import said
from perftui.profile_files import write_whole
from perftui.profiling.request import default_request
from perftui.sources.pyspy import problems
from perftui.sources.pyspy.flame_svg import FlameRecording

ROOT = Path(__file__).parents[2]
MISSING = "999999999"


def _shell(line: str) -> subprocess.CompletedProcess[str]:
    command = f'exec "{sys.executable}" -m perftui {line}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=environment, timeout=60
    )


def test_closed_standard_output_is_a_failure_in_one_line() -> None:
    done = _shell(f"profile {MISSING} >&-")
    assert done.returncode == 1
    assert done.stderr.startswith(f"perftui: process {MISSING} does not exist")
    assert "Traceback" not in done.stderr
    done = _shell("--version >&-")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "standard output is closed" in done.stderr


@pytest.mark.parametrize("where", ["&-", "/dev/full"])
def test_unwritable_standard_error_keeps_the_exit_code(where: str) -> None:
    assert _shell(f"profile 0 2>{where}").returncode == 2


@pytest.mark.parametrize("where", ["closed", "full"])
def test_notes_and_progress_never_cost_the_profile(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perftui import profile_command

    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", None if where == "closed" else full)
        profile_command._Progress(7, 2.0).clear()
        profile_command._tell_note("saved")
        monkeypatch.undo()
        # What is left in its buffer cannot be written when it is closed either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_a_link_to_a_pipe_is_written_to() -> None:
    read, write = os.pipe()
    try:
        write_whole(Path(f"/dev/fd/{write}"), b"stacks")
        assert os.read(read, 64) == b"stacks"
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("arguments", ["--output -", "--output ''", "--flame -", "--flame ''"])
def test_no_file_is_wrong_usage(arguments: str, tmp_path: Path) -> None:
    done = _shell(f"profile {MISSING} {arguments}")
    assert done.returncode == 2
    assert arguments.split()[0] in done.stderr


def test_fixes_name_no_key_of_the_screen() -> None:
    for problem in (problems.ended(7), problems.missing(7), problems.not_python(7)):
        assert "press p" not in said(7, problem)
    from perftui.snapshot import Absent, State

    thread = Absent(State.UNAVAILABLE, "a thread", "choose a Python process and press p")
    assert "pgrep" in said(7, thread)


def test_stop_never_waits_for_the_thread_that_calls_it() -> None:
    recording = FlameRecording(7, default_request(Settings().profile), 1.0)

    def held() -> None:
        with recording._lock:
            recording.stop()
            for _ in range(70_000):
                recording.stop()

    thread = threading.Thread(target=held, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
