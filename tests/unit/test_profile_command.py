"""The command `profile`: its forms, what it says when it cannot, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from py_spy_fixture import (
    HEADER,
    SPLIT,
    Spawn,
    children,
    python_child,
    recordings_of,
    refusal_to_profile,
    replay,
    stand_in,
)

from perftui import cli
from perftui.profile_command import said
from perftui.profiling.speedscope import parse_speedscope
from perftui.sources.pyspy import flame_svg, problems
from perftui.sources.pyspy import session as pyspy_session

ROOT = Path(__file__).parents[2]

WINDOW = {
    "profiles": [
        {"name": 'Thread 7 "worker; \x1b[1m"', "samples": [[0, 1], [0, 1], [0, 2], [0, 1]]},
        {"name": 'Thread 8 "other"', "samples": [[0, 2]]},
    ],
    "shared": {
        "frames": [
            {"name": "main", "file": "/app/a.py", "line": 9},
            {"name": "work\x1b[2J", "file": "/app/a.py", "line": 3},
            {"name": "rest", "file": "/app/b.py", "line": 5},
        ]
    },
}
KEYS = ["pid", "seconds", "rate", "samples", "lost", "calls"]
CALL_KEYS = {"function", "file", "line", "own", "total", "own_percent", "total_percent"}


@pytest.fixture(scope="module")
def permitted() -> None:
    refusal = refusal_to_profile()
    if refusal:
        pytest.skip(refusal)


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    with children() as start:
        yield start


@pytest.fixture
def target(spawn: Spawn) -> int:
    return python_child(spawn, "import time; time.sleep(60)")


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main(["profile", *map(str, arguments)])
        said_here = capsys.readouterr()
        return code, said_here.out, said_here.err

    return call


@pytest.fixture
def replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a py-spy in place that finds the same in every window; its directory is returned."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program = stand_in(directory, replay(WINDOW, "Samples: 5 Errors: 1"))
    monkeypatch.setattr(pyspy_session, "find_py_spy", lambda: program)
    return directory


@pytest.mark.usefixtures("replayed")
def test_json_has_the_promised_keys_and_the_table_the_same_rows(run: Call, target: int) -> None:
    code, out, err = run(target, "--seconds", 0.5, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert [key for key in document if key in KEYS] == KEYS
    assert document["pid"] == target
    assert document["rate"] == pytest.approx(100, rel=0.1)
    assert document["samples"] % 5 == 0
    assert document["lost"] == document["samples"] / 5
    assert {frozenset(call) for call in document["calls"]} == {frozenset(CALL_KEYS)}
    shares = {call["function"]: call["own_percent"] for call in document["calls"]}
    assert shares == pytest.approx({"work\x1b[2J": 60.0, "rest": 40.0, "main": 0.0})
    # The threads of the recording are none of this machine.
    assert [thread["cores"] for thread in document["threads"]] == [None, None]
    assert set(document["states"]) == {"threads.0.cores", "threads.1.cores"}
    assert document["states"]["threads.0.cores"]["state"] == "unavailable"

    code, out, err = run(target, "--seconds", 0.5)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.split("\n\n")[1].splitlines()[1:]]
    assert [(float(row[0]), row[4], row[-1]) for row in rows] == [
        (60.0, "work\\x1b[2J", "/app/a.py:3"),
        (40.0, "rest", "/app/b.py:5"),
        (0.0, "main", "/app/a.py:9"),
    ]
    assert "\x1b" not in out


@pytest.mark.usefixtures("replayed")
def test_rows_by_line_file_module_and_thread(run: Call, target: int) -> None:
    _, out, _ = run(target, "--seconds", 0.5, "--json", "--by", "file")
    assert {call["function"] for call in json.loads(out)["calls"]} == {"a.py", "b.py"}
    _, out, _ = run(target, "--seconds", 0.5, "--json", "--threads", "--limit", 2)
    calls = json.loads(out)["calls"]
    assert len(calls) == 2
    assert calls[0]["thread"] == "worker; \x1b[1m"
    _, out, _ = run(target, "--seconds", 0.5, "--limit", 1, "--by", "line")
    assert out.splitlines()[-1] == "and 2 more: --limit N shows N"


@pytest.mark.usefixtures("replayed")
def test_collapsed_and_speedscope_can_be_read_by_others(run: Call, target: int) -> None:
    code, out, err = run(target, "--seconds", 0.5, "--collapsed")
    assert (code, err) == (0, "")
    stacks = dict(line.rsplit(" ", 1) for line in out.splitlines())
    assert set(stacks) == {
        "main (/app/a.py:9);work\\x1b[2J (/app/a.py:3)",
        "main (/app/a.py:9);rest (/app/b.py:5)",
    }
    code, out, _ = run(target, "--seconds", 0.5, "--collapsed", "--threads")
    assert {line.split(";")[0] for line in out.splitlines()} == {"worker\\x3b \\x1b[1m", "other"}
    code, out, err = run(target, "--seconds", 0.5, "--speedscope")
    assert (code, err) == (0, "")
    profile = parse_speedscope(out.encode())
    assert {frame.name for frame in profile.frames} == {"main", "work\x1b[2J", "rest"}
    assert [thread.tid for thread in profile.threads] == [7, 8]


def test_a_file_gets_the_data_and_standard_output_nothing(
    run: Call, target: int, replayed: Path
) -> None:
    path = replayed / "profile.json"
    path.write_text("old")
    path.chmod(0o640)
    code, out, err = run(target, "--seconds", 0.5, "--json", "--output", path)
    assert (code, out) == (0, "")
    assert str(path) in err
    assert json.loads(path.read_text())["pid"] == target
    assert path.stat().st_mode & 0o777 == 0o640
    assert [name for name in os.listdir(replayed) if name.startswith(".")] == []


def test_a_file_that_cannot_be_written_is_found_out_before_sampling(
    run: Call, target: int, replayed: Path
) -> None:
    for option in ("--output", "--flame"):
        code, out, err = run(target, option, replayed / "no" / "where")
        assert (code, out) == (1, "")
        assert err == f"perftui: there is no directory {replayed}/no: mkdir -p {replayed}/no\n"
        code, _, err = run(target, option, replayed)
        assert code == 1
        assert "is a directory: name a file in it" in err
    assert not (replayed / "recordings").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say which process: perftui profile PID"),
        (["shop"], "PID is 'shop'"),
        (["0"], "PID is '0'"),
        (["1", "2"], "argument 2 does not belong here"),
        (["1", "--seconds", "0.4"], "--seconds is '0.4'; it must be a number from 0.5 to 3600"),
        (["1", "--rate", "0"], '--rate is "0"; it must be a number from 1 to 1000'),
        (["1", "--by", "class"], "--by cannot be 'class'"),
        (["1", "--json", "--collapsed"], "choose one of --json, --collapsed"),
        (["1", "--collapsed", "--by", "file"], "--by belongs to the table"),
        (["1", "--flame", "a", "--output", "b"], "leave --output out"),
        (["1", "--gil", "--idle"], "--gil and --idle exclude each other"),
        (["1", "--limit", "0"], "--limit is '0'"),
    ],
)
def test_wrong_usage_is_exit_2(run: Call, arguments: list[str], words: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_process_that_is_not_there(run: Call, spawn: Spawn) -> None:
    gone = spawn(sys.executable, "-c", "")
    gone.wait()
    for form in ("--json", "--collapsed"):
        code, out, err = run(gone.pid, form)
        assert (code, out) == (1, "")
        assert err == (
            f"perftui: process {gone.pid} does not exist: "
            "pgrep -a python lists the Python processes of this machine\n"
        )


def test_a_process_that_is_not_python(run: Call, spawn: Spawn, permitted: None) -> None:
    sleeping = spawn("sleep", "60")
    code, out, err = run(sleeping.pid)
    assert (code, out) == (1, "")
    assert f"process {sleeping.pid} is not a Python program" in err
    assert "press p" not in err


def test_a_refusal_names_the_exact_fix(
    run: Call, target: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = 'echo "Permission Denied: Try running again with elevated permissions" >&2; exit 1'
    program = stand_in(tmp_path, refusal, refusal)
    monkeypatch.setattr(pyspy_session, "find_py_spy", lambda: program)
    monkeypatch.setattr(flame_svg, "find_py_spy", lambda: program)
    expected = f"perftui: {said(target, problems.denied(target, program))}\n"
    assert "is not permitted: " in expected
    assert run(target) == (1, "", expected)
    assert run(target, "--flame", tmp_path / "flame.svg") == (1, "", expected)
    assert not (tmp_path / "flame.svg").exists()


def test_fixes_are_those_of_a_command_line() -> None:
    for problem in (
        problems.missing(7),
        problems.ended(7),
        problems.not_python(7),
        problems.no_python_in_tree(7),
        problems.native_needs_pauses(7),
        problems.refused_pause(7),
    ):
        told = said(7, problem)
        assert told.startswith(problem.reason)
        assert "press p" not in told
        assert "profile.mode" not in told


def test_a_target_that_ends_is_no_failure(run: Call, permitted: None, spawn: Spawn) -> None:
    pid = python_child(
        spawn, "import time\nend = time.monotonic() + 1.5\nwhile time.monotonic() < end: pass"
    )
    code, out, err = run(pid, "--seconds", 30, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["samples"] > 10
    assert f"process {pid} has exited before the 30 s were over" in document["note"]


def test_shares_are_those_of_the_program(run: Call, permitted: None, spawn: Spawn) -> None:
    pid = python_child(spawn, SPLIT)
    code, out, _ = run(pid, "--seconds", 4, "--json")
    assert code == 0
    document = json.loads(out)
    shares = {call["function"]: call["own_percent"] for call in document["calls"]}
    assert shares["seventy"] == pytest.approx(70, abs=12)
    assert shares["twenty"] == pytest.approx(20, abs=12)
    assert document["seconds"] == pytest.approx(4, abs=1)
    assert document["rate"] <= 100.5
    assert document["pause_percent"] <= 2.05
    assert recordings_of(pid) == []


def start(*arguments: object, **streams: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "perftui", "profile", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},  # type: ignore[call-overload]
    )


def test_options_that_exclude_each_other_are_wrong_usage(run: Call) -> None:
    for words in ((1, "--native", "--mode", "safe"), (4711, "--pid", 4712)):
        code, out, err = run(*words)
        assert (code, out, err.count("\n")) == (2, "", 1), words
    assert "one process at a time: PID is 4711, --pid is 4712" in err


def test_a_directory_that_takes_no_files_is_found_out_before(
    run: Call, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever is root may write everywhere, as far as the rights go.
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    for option in ("--flame", "--output"):
        code, out, err = run(target, "--seconds", 60, option, "/proc/x.svg")
        assert (code, out) == (1, "")
        assert err.startswith("perftui: no file can be made in /proc: "), err


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_prints_what_was_sampled(
    permitted: None, spawn: Spawn, number: signal.Signals
) -> None:
    pid = python_child(spawn, SPLIT)
    with start(pid, "--seconds", 60, "--json") as process:
        wait_for(lambda: recordings_of(pid))
        time.sleep(1.0)
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert err == ""
    document = json.loads(out)
    assert document["samples"] > 0
    assert "interrupted before the 60 s were over" in document["note"]
    wait_for(lambda: not recordings_of(pid))


def test_a_reader_that_went_away_is_no_error(permitted: None, spawn: Spawn) -> None:
    pid = python_child(spawn, SPLIT)
    with start(pid, "--seconds", 0.5) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_flame_graph_is_drawn_by_py_spy(
    run: Call, permitted: None, spawn: Spawn, tmp_path: Path
) -> None:
    pid = python_child(spawn, SPLIT)
    path = tmp_path / "flame.svg"
    code, out, err = run(pid, "--seconds", 1, "--flame", path)
    assert (code, out) == (0, "")
    assert f"of process {pid}: {path}" in err
    text = path.read_text()
    assert "<svg" in text
    assert "seventy" in text
    assert recordings_of(pid) == []


def test_flame_graph_of_an_interrupted_recording(
    permitted: None, spawn: Spawn, tmp_path: Path
) -> None:
    pid = python_child(spawn, SPLIT)
    path = tmp_path / "flame.svg"
    with start(pid, "--seconds", 60, "--flame", path) as process:
        wait_for(lambda: recordings_of(pid))
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "seventy" in path.read_text()
    wait_for(lambda: not recordings_of(pid))


def test_py_spy_ends_with_a_killed_recording(permitted: None, spawn: Spawn, tmp_path: Path) -> None:
    pid = python_child(spawn, SPLIT)
    with start(pid, "--seconds", 60, "--flame", tmp_path / "flame.svg") as process:
        wait_for(lambda: recordings_of(pid))
        time.sleep(0.3)
        process.kill()
        process.communicate()
    wait_for(lambda: not recordings_of(pid), 5)


def test_a_process_without_cpu_time_has_no_flame_graph(
    run: Call, target: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = (
        f"trap 'stop=1' INT\necho '{HEADER}'\nwhile [ -z \"$stop\" ]; do sleep 0.02; done\n"
        "echo 'Error: No stack counts found' >&2; exit 1"
    )
    program = stand_in(tmp_path, record)
    monkeypatch.setattr(flame_svg, "find_py_spy", lambda: program)
    code, _, err = run(target, "--seconds", 0.5, "--flame", tmp_path / "a.svg")
    assert code == 1
    assert err == (
        f"perftui: process {target} used no CPU time worth a sample: "
        "count waiting threads too (--idle), or sample longer\n"
    )


def test_options_reach_py_spy(
    run: Call, target: int, replayed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = str(replayed / "py-spy")
    monkeypatch.setattr(flame_svg, "find_py_spy", lambda: program)
    run(target, "--seconds", 0.5, "--gil", "--mode", "safe", "--rate", 40)
    run(target, "--seconds", 0.5, "--idle", "--subprocesses", "--flame", replayed / "a.svg")
    lines = (replayed / "recordings").read_text().splitlines()
    first, last = lines[0].split(), lines[-1].split()
    assert {"--gil", "--nonblocking", "speedscope"} <= set(first)
    assert first[first.index("--rate") + 1] == "40"
    assert {"--idle", "--subprocesses", "flamegraph"} <= set(last)
