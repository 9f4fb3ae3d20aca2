"""The command `alerts`: lines, JSON Lines, exit codes and every way to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alerts_sample import BEGIN, alert, every_state, snapshot

from perftui import cli
from perftui.config import Settings
from perftui.mailbox import Mailbox
from perftui.output.alert_delivery import AlertDelivery
from perftui.output.alert_follow import HURRIED_PATIENCE
from perftui.snapshot import Alert, AlertState, Severity, Snapshot

COURSE: tuple[tuple[Alert, ...], ...] = (
    (),
    (alert(state=AlertState.PENDING),),
    (alert(severity=Severity.CRITICAL),),
    (alert(severity=Severity.CRITICAL, silenced_until=BEGIN + 3600, comment="known"),),
    (),
)


class ScriptedMonitor:
    """Publishes the snapshots of a course instead of measured ones."""

    course: tuple[Snapshot, ...] = ()

    def __init__(self, settings: Settings) -> None:
        self.mailbox: Mailbox[Snapshot] = Mailbox()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stopped = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        for moment in self.course:
            self.mailbox.put(moment)
            if self._stopped.wait(0.1):
                return


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedMonitor]:
    course = tuple(snapshot(*alerts, time=second) for second, alerts in enumerate(COURSE))
    monkeypatch.setattr(ScriptedMonitor, "course", course)
    monkeypatch.setattr("perftui.output.alert_follow.Monitor", ScriptedMonitor)
    monkeypatch.setenv("PERFTUI_CONFIG", os.devnull)
    return ScriptedMonitor


def follow(*arguments: str) -> int:
    return cli.main(["alerts", "--seconds", "0.9", *arguments])


def test_a_line_for_each_change(
    scripted: type[ScriptedMonitor], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert follow() == 0
    captured = capfdbinary.readouterr()
    what = "R10  host: CPU 91.5 %, above 80 %"
    assert captured.out.decode().splitlines() == [
        f"2023-11-14T22:13:21.000Z  pending     WARN  {what}",
        f"2023-11-14T22:13:22.000Z  firing      CRIT  {what}",
        f"2023-11-14T22:13:23.000Z  firing      CRIT  {what}, "
        "silenced until 2023-11-14T23:13:20.000Z (known)",
        f"2023-11-14T22:13:24.000Z  ended       CRIT  {what}",
    ]
    assert captured.err == b"perftui: following alerts, Ctrl-C ends\n"


def test_json_lines(
    scripted: type[ScriptedMonitor], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert follow("--json") == 0
    found = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [(one["previous"], one["change"]) for one in found] == [
        ("ok", "pending"), ("pending", "firing"), ("firing", "firing"), ("firing", "ended"),
    ]  # fmt: skip
    assert [one["time"][17:19] for one in found] == ["21", "22", "23", "24"]
    assert found[2]["alert"]["silenced_until"] == BEGIN + 3600
    assert found[1]["alert"]["silenced_until"] is None
    assert found[1]["states"]["alert.silenced_until"]["state"] == "ok"


@pytest.mark.parametrize(
    ("severity", "fail_on", "code"),
    [
        (Severity.CRITICAL, "critical", 3),
        (Severity.WARNING, "warning", 3),
        (Severity.WARNING, "critical", 0),
        (Severity.CRITICAL, None, 0),
        (None, "warning", 0),
    ],
)
def test_exit_code_of_what_has_fired(
    scripted: type[ScriptedMonitor],
    severity: Severity | None,
    fail_on: str | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quiet = alert(severity=Severity.CRITICAL, acknowledged_by="ann")
    pending = alert("b", severity=Severity.CRITICAL, state=AlertState.PENDING)
    fired = () if severity is None else (alert("c", severity=severity, origin="prometheus"),)
    course = (snapshot(quiet, pending, *fired), snapshot(time=2))
    monkeypatch.setattr(scripted, "course", course)
    assert follow(*(("--fail-on", fail_on) if fail_on else ())) == code


def test_a_command_is_told_and_flags_come_before_settings(
    scripted: type[ScriptedMonitor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFTUI_ALERTS_EXEC", "/nowhere/from-settings")
    monkeypatch.setenv("PERFTUI_ALERTS_MIN_INTERVAL", "0")
    file = tmp_path / "told"
    command = f'{sys.executable} -c \'import os; open("{file}", "a").write(os.environ'
    command += '["PERFTUI_ALERT_CHANGE"] + " ")\''
    assert follow("--exec", command) == 0
    assert file.read_text() == "firing ended "


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--exec", "'open"), "alerts.exec (flag --exec): the quotes of the command are wrong"),
        (("--webhook", "http://u:secret@:1/x"), "alerts.webhook (flag --webhook): the "),
        (("--webhook", "ftp://x/secret"), "--webhook"),
        (("--seconds", "0"), "--seconds is '0'; it must be a number of at least 0.1"),
        (("--seconds", "nan"), "--seconds is 'nan'"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PERFTUI_CONFIG", os.devnull)
    assert cli.main(["alerts", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "secret" not in said
    assert said.count("\n") == 1


def test_output_is_ascii_where_that_is_wanted(
    scripted: type[ScriptedMonitor],
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    course = (snapshot(alert("名\x1b[2J\n", message="é\udcff")), every_state())
    monkeypatch.setattr(scripted, "course", course)
    assert follow("--ascii") == 0
    out = capfdbinary.readouterr().out
    assert out.isascii()
    assert out.startswith(b"2023-11-14T22:13:20.000Z  firing      WARN  R10  \\u540d\\x1b[2J\\n: ")


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "perftui", "alerts", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PERFTUI_CONFIG": os.devnull, "PERFTUI_MONITOR_SOURCES": "host"},
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == b"perftui: following alerts, Ctrl-C ends\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signals_end_it(number: signal.Signals, code: int) -> None:
    with running() as process:
        process.send_signal(number)
        assert process.wait(10) == code
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_it_ends_when_nobody_reads_any_more() -> None:
    with running() as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_it_ends_after_its_seconds() -> None:
    begin = time.monotonic()
    with running("--seconds", "0.5") as process:
        assert process.wait(10) == 0
    assert time.monotonic() - begin >= 0.5


def test_a_hang_up_ends_it_and_nohup_does_not() -> None:
    with running() as process:
        process.send_signal(signal.SIGHUP)
        assert process.wait(10) == 0
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with running("--seconds", "1.5") as process:
            process.send_signal(signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            assert process.wait(10) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_who_interrupts_waits_a_moment_for_what_is_still_to_be_told(
    scripted: type[ScriptedMonitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    patience: list[float] = []

    def interrupt(_: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(AlertDelivery, "close", lambda self, seconds: patience.append(seconds))
    monkeypatch.setattr(cli, "_write", interrupt)
    assert follow("--exec", "true") == 130
    assert patience == [HURRIED_PATIENCE]
    assert 0 < HURRIED_PATIENCE <= 2
