"""What the environment says about the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pty_session import PtySession

from perftui.tui.terminal import check_terminal, colour_depth, has_braille, wants_ascii


@pytest.mark.parametrize(
    ("env", "ascii_wanted"),
    [
        ({}, False),
        ({"LANG": ""}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "POSIX"}, True),
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, True),
        ({"LANG": "C", "LC_ALL": "en_US.UTF-8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_CTYPE": "C"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C", "LC_CTYPE": "de_DE.UTF-8"}, False),
        ({"LANG": "C.UTF-8"}, False),
    ],
)
def test_wants_ascii(env: dict[str, str], ascii_wanted: bool) -> None:
    assert wants_ascii(env) is ascii_wanted


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("env", "ascii_wanted"),
    [({"LANG": "C"}, "True"), ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "False"), ({}, "False")],
)
def test_coerced_locale_is_told_from_a_chosen_one(env: dict[str, str], ascii_wanted: str) -> None:
    code = "import os; from perftui.tui.terminal import wants_ascii; print(wants_ascii(os.environ))"
    root = str(Path(__file__).resolve().parents[2])
    full = {"PATH": os.environ["PATH"], "PYTHONPATH": root, **env}
    run = subprocess.run(
        [sys.executable, "-c", code], env=full, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == ascii_wanted


@pytest.mark.parametrize(
    ("env", "depth"),
    [
        ({}, "none"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "none"),
        ({"TERM": "xterm"}, "16"),
        ({"TERM": "linux", "COLORTERM": "truecolor"}, "16"),
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "tmux-256color"}, "256"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, "truecolor"),
        ({"TERM": "xterm-kitty"}, "truecolor"),
        ({"TERM": "foot-extra"}, "truecolor"),
        ({"TERM": "xterm-direct"}, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "256"),
        ({"TERM": "xterm-mono"}, "none"),
    ],
)
def test_colour_depth(env: dict[str, str], depth: str) -> None:
    assert colour_depth(env) == depth


@pytest.mark.parametrize(
    ("env", "braille"),
    [
        ({"TERM": "linux"}, False),
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "vt220"}, False),
        ({"TERM": "xterm", "LANG": "C"}, False),
        ({}, False),
    ],
)
def test_has_braille(env: dict[str, str], braille: bool) -> None:
    assert has_braille(env) is braille


CHECK = (
    "import os; from perftui.tui.terminal import check_terminal; print(check_terminal(os.environ))"
)


@pytest.mark.parametrize(
    ("term", "said"),
    [("xterm", "None"), ("dumb", "TERM=dumb, so"), ("", "TERM is not set, so")],
)
def test_check_terminal_on_a_terminal(term: str, said: str) -> None:
    with PtySession((sys.executable, "-c", CHECK), env={"TERM": term}, columns=200) as session:
        session.wait_exit()
        assert said in session.text()


@pytest.mark.parametrize(
    ("redirection", "said"),
    [("</dev/null", "stdin is not"), ("|cat", "stdout is not"), ("2>/dev/null", "stderr is not")],
)
def test_check_terminal_names_the_stream(redirection: str, said: str) -> None:
    command = f"{sys.executable} -c '{CHECK}' {redirection}"
    with PtySession(("sh", "-c", command), columns=200) as session:
        session.wait_exit()
        assert said in session.text()
        assert "perftui once" in session.text()


def test_check_terminal_survives_closed_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdin__", None)
    assert "stdin is not a terminal" in (check_terminal({"TERM": "xterm"}) or "")
