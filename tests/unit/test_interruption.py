"""A command that is interrupted at any moment ends at once, without a word and with its code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]

COMMAND = """
import os, signal, sys, time
sys.path.insert(0, DIRECTORY)
from perftui.interruption import ending_quietly
def command():
    BODY
    return 0
sys.exit(ending_quietly(command))
"""


def run(directory: Path, body: str) -> subprocess.CompletedProcess[str]:
    source = COMMAND.replace("DIRECTORY", repr(str(directory))).replace("BODY", body)
    return subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_ends_the_command_and_lets_it_clean_up(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    body = (
        f"\n    try: os.kill(os.getpid(), {int(number)}); time.sleep(60)"
        "\n    finally: print('cleaned up')"
    )
    done = run(tmp_path, body)
    assert (done.returncode, done.stdout, done.stderr) == (code, "cleaned up\n", "")


@pytest.mark.parametrize(("number", "code"), CODES)
def test_an_import_is_not_interrupted_but_what_follows_is(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    # Longer than the signal is put off for once.
    Path(tmp_path, "slowly_loaded.py").write_text(
        f"import os, time\nos.kill(os.getpid(), {int(number)})\n"
        "end = time.monotonic() + 0.1\nwhile time.monotonic() < end: pass\n"
        "print('whole', flush=True)\n"
    )
    body = "\n    import slowly_loaded\n    time.sleep(60)\n    print('went on')"
    done = run(tmp_path, body)
    assert (done.returncode, done.stdout, done.stderr) == (code, "whole\n", "")


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_after_the_end_finds_nobody_who_complains(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    body = (
        "\n    import atexit\n"
        f"    atexit.register(lambda: (os.kill(os.getpid(), {int(number)}), time.sleep(60)))"
    )
    done = run(tmp_path, body)
    assert (done.returncode, done.stderr) == (code, "")


def test_what_was_ignored_stays_ignored(tmp_path: Path) -> None:
    source = COMMAND.replace("DIRECTORY", repr(str(tmp_path))).replace(
        "BODY", "os.kill(os.getpid(), signal.SIGINT); print('went on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import signal\nsignal.signal(2, signal.SIG_IGN)\n{source}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_profile_that_is_interrupted_while_it_loads_ends_without_a_word(
    number: signal.Signals, code: int
) -> None:
    # The moments lie all over the imports, of which one took the interpreter down.
    for module in ("perftui.cli", "msgspec", "perftui.profiling.speedscope", "tempfile"):
        source = (
            "import os, sys\n"
            "class Finder:\n"
            "    def find_spec(self, name, path, target=None):\n"
            f"        if name == {module!r}: os.kill(os.getpid(), {int(number)})\n"
            "from perftui.__main__ import main\n"
            "sys.meta_path.insert(0, Finder())\n"
            "sys.argv[1:] = ['profile', str(os.getppid()), '--flame', '/dev/null']\n"
            "sys.exit(main())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", source],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (code, "", ""), module
