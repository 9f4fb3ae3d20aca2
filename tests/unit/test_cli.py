"""The command line as a shell sees it: exit codes, streams, imports, completions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from perftui import cli, demo_command
from perftui.commands import COMMANDS
from perftui.config import Settings
from perftui.manual import command_manual, manual
from perftui.options import GLOBAL_OPTIONS
from perftui.snapshot import Alert, Severity, Snapshot
from perftui.version import __version__

ROOT = Path(__file__).parents[2]
HEAVY = {"textual", "redis", "prometheus_client", "psutil", "rich"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LD_LIBRARY_PATH")}
    return {
        **kept,
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": "80",
    }


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "perftui", *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            env={**environ, **variables},
            timeout=60,
        )

    return call


def test_version_is_that_of_the_project(run: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    result = run("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"perftui {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["once", "--help"]])
def test_version_and_help_import_nothing_heavy(arguments: list[str], environ) -> None:
    code = (
        "import sys; from perftui.__main__ import main; code = main(sys.argv[1:]);"
        "print(code, *sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environ
    )
    exit_code, *modules = result.stderr.split()
    assert exit_code == "0"
    assert "perftui" in modules
    assert not HEAVY & set(modules)
    assert "msgspec" not in modules or arguments != ["--version"]


def test_reading_the_settings_imports_nothing_heavy(environ) -> None:
    code = (
        "import sys; from perftui.config import load_settings; load_settings();"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True
    )
    unwanted = {"textual", "redis", "prometheus_client", "psutil", "rich", "tomllib", "argparse"}
    assert not unwanted & set(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["onec"], "unknown command 'onec'; did you mean once?"),
        (["--thme", "x"], "unknown option --thme; did you mean --theme?"),
        (["once", "--scenario", "steady"], "option --scenario does not belong here"),
        (["once", "more"], "argument more does not belong here"),
        (["config"], "say what to do: perftui config show|schema|path"),
        (["config", "shwo"], "WHAT cannot be 'shwo'; did you mean show?"),
        (["completion", "csh"], "SHELL cannot be 'csh'"),
        (["--interval"], "--interval expected one argument"),
        (["once", "--interval", "0"], '--interval is "0"; it must be a number from 0.25 to 60'),
        (["once", "--seconds", "x"], "--seconds is 'x'; it must be a number from 0.1 to 3600"),
        (["once", "--fail-on", "fire"], "--fail-on cannot be 'fire'"),
        (["once", "--redis", "redis://h:port"], "redis.url (flag --redis): "),
        (["once", "--window", "1h"], "--window cannot be '1h' (10s, 1min, 5min, all)"),
        (["once", "--scrape", "a:80"], "--scrape is ['a:80']; it must be a list, each item"),
        (
            ["once", "--scrape", "http://a", "--scrape", "http://h:port/"],
            "scrape.urls (flag --scrape): number 2 of 2: the host or port of the URL cannot be",
        ),
        (["once", "--prometheus", "http://"], "prometheus.url (flag --prometheus): the URL names"),
        (["exporter", "--listen", "nine"], "--listen is 'nine'; it must be HOST:PORT"),
        (["exporter", "--listen", "9465"], "--listen is '9465'; write :9465 for every address"),
        (["exporter", "--json"], "option --json does not belong here"),
        (["demo", "--json", "--scenario", "stedy"], "did you mean steady?"),
        (["once", "--config", "/nowhere/x.toml"], "/nowhere/x.toml: no such file"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(run: Run, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("perftui: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def test_dashboard_without_a_terminal_fails_with_advice(run: Run) -> None:
    for arguments in ([], ["demo"]):
        result = run(*arguments, TERM="xterm")
        assert result.returncode == 1
        assert result.stdout == ""
        assert "is not a terminal" in result.stderr
        assert "perftui once" in result.stderr


def test_secrets_and_escapes_stay_out_of_errors(run: Run) -> None:
    result = run("once", "--redis", "http://me:hush@host/\x1b[2J")
    assert result.returncode == 2
    assert "hush" not in result.stderr
    assert "\x1b" not in result.stderr
    assert "***" in result.stderr


def test_global_options_before_and_after_the_command(run: Run) -> None:
    for arguments in (["--theme", "day", "config", "show"], ["config", "show", "--theme=day"]):
        result = run(*arguments, "--no-mouse", "--allow-actions", PERFTUI_MONITOR_INTERVAL="2")
        assert result.returncode == 0
        assert 'theme = "day"  # flag --theme\n' in result.stdout
        assert "mouse = false  # flag --no-mouse\n" in result.stdout
        assert "allow = true  # flag --allow-actions\n" in result.stdout
        assert "interval = 2.0  # environment PERFTUI_MONITOR_INTERVAL\n" in result.stdout
        assert tomllib.loads(result.stdout)["screen"]["theme"] == "day"


def test_config_schema_and_path(run: Run, tmp_path: Path) -> None:
    assert json.loads(run("config", "schema").stdout)["title"] == "perftui configuration"
    assert run("config", "path").stdout == f"{tmp_path}/perftui/config.toml\n"
    assert run("config", "path", PERFTUI_CONFIG="/x.toml").stdout == "/x.toml\n"


def test_key_of_an_unknown_action(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("[keys]\n'app.qiut' = 'q'\n")
    result = run("config", "show", "--config", str(path))
    assert result.returncode == 2
    assert "app.qiut" in result.stderr
    assert "did you mean app.quit?" in result.stderr


@pytest.mark.parametrize("width", [40, 80, 96])
def test_manual_fits_the_width_and_names_everything(width: int) -> None:
    text = manual(width)
    for option in (option for _, group in GLOBAL_OPTIONS for option in group):
        assert option.flag in text
    for word in ("REDIS_URL", "NO_COLOR", "config.toml", "Exit codes", "Examples"):
        assert word in text
    for command in COMMANDS:
        assert f"\n  {command.name} " in text
        own = command_manual(command, width)
        assert all(option.flag in own for option in command.options)
        assert all(choice in own for choice in command.choices)
        text += own
    # Commands to copy and names of settings are not broken.
    unbroken = ("perftui ", "/run/", "$XDG", "PERFTUI_", "perftui.", "http://", '"resources.')
    wide = [line for line in text.splitlines() if len(line) > width]
    assert all(line.strip().startswith(unbroken) for line in wide), wide


def test_help_goes_to_standard_output(run: Run) -> None:
    for arguments in (["--help"], ["-h"], ["demo", "--help"], ["--help", "--wrong"]):
        result = run(*arguments)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith("perftui")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh"])
def test_completion_script(run: Run, shell: str) -> None:
    result = run("completion", shell)
    assert (result.returncode, result.stderr) == (0, "")
    words = ("once", "doctor", "exporter", "slow-operation", "allow-actions", "fail-on")
    for word in (*words, "scrape", "prometheus", "listen", "5min"):
        assert word in result.stdout
    if shell == "bash":
        checked = subprocess.run(["bash", "-n"], input=result.stdout, text=True, check=False)
        assert checked.returncode == 0


def bash_completes(script: str, *words: str) -> list[str]:
    code = (
        f"{script}\nCOMP_WORDS=({' '.join(repr(w) for w in words)})\n"
        f"COMP_CWORD={len(words) - 1}\n_shtab_perftui\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    result = subprocess.run(["bash"], input=code, text=True, capture_output=True, check=True)
    return result.stdout.split()


def test_bash_really_completes(run: Run) -> None:
    script = run("completion", "bash").stdout
    assert bash_completes(script, "perftui", "onc") == ["once"]
    assert bash_completes(script, "perftui", "demo", "--scenario", "mem") == ["memory-leak"]
    assert bash_completes(script, "perftui", "config", "sch") == ["schema"]
    assert bash_completes(script, "perftui", "expo") == ["exporter"]
    assert bash_completes(script, "perftui", "exporter", "--li") == ["--listen"]
    assert bash_completes(script, "perftui", "once", "--window", "5") == ["5min"]
    assert sorted(bash_completes(script, "perftui", "--pro")) == ["--profile-mode", "--prometheus"]


def test_once_text_and_json_agree_on_the_host(run: Run) -> None:
    text = run("once", "--seconds", "0.3")
    assert (text.returncode, text.stderr) == (0, "")
    assert text.stdout.startswith("Host\n")
    result = run("once", "--json", "--seconds", "0.3")
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert document["operations"] == []
    assert "--scrape" in document["states"]["scrape"]["fix"]
    assert "--prometheus" in document["states"]["prometheus"]["fix"]
    assert f"name      {document['host']['name']}\n" in text.stdout
    assert isinstance(document["resources"]["cpu"]["percent"], float)
    assert document["states"]["redis"]["fix"]


def test_once_in_ascii(run: Run) -> None:
    arguments = ["once", "--seconds", "0.2"]
    assert run(*arguments, "--ascii").stdout.isascii()
    assert run(*arguments, PYTHONIOENCODING="ascii").stdout.isascii()


@pytest.mark.parametrize(
    ("severity", "fail_on", "code"),
    [
        (None, "warning", 0),
        (Severity.WARNING, None, 0),
        (Severity.WARNING, "critical", 0),
        (Severity.WARNING, "warning", 3),
        (Severity.CRITICAL, "critical", 3),
        (Severity.CRITICAL, "warning", 3),
    ],
)
def test_once_fails_on_alerts(
    severity: Severity | None,
    fail_on: str | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    alerts = ()
    if severity is not None:
        alerts = (Alert("R", severity, "cpu", 1, 0, "%", 0.0, "is full", "", "resources"),)

    def collect(settings: Settings, seconds: float) -> Snapshot:
        assert seconds == 0.5
        return Snapshot(1, 0.0, 0.0, alerts=alerts)

    monkeypatch.setattr("perftui.monitor.collect", collect)
    arguments = ["once", "--json", "--seconds", "0.5"]
    assert cli.main([*arguments, "--fail-on", fail_on] if fail_on else arguments) == code
    assert len(json.loads(capfdbinary.readouterr().out)["alerts"]) == len(alerts)


def test_reader_that_leaves_early_is_no_error(environ) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb") as gone:
        result = subprocess.run(
            [sys.executable, "-m", "perftui", "--help"],
            stdout=gone,
            stderr=subprocess.PIPE,
            env=environ,
        )
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full of Linux")
def test_full_disk_is_a_failure(environ) -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "perftui", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environ,
        )
    assert result.returncode == 1
    assert result.stderr == b"perftui: standard output cannot be written: No space left on device\n"


def test_interrupt_is_130_and_silent(environ) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c",
         "import sys; from perftui import cli, monitor\n"
         "def collect(settings, seconds):\n"
         "    print('ready', file=sys.stderr, flush=True); import time; time.sleep(30)\n"
         "monitor.collect = collect\n"
         "sys.exit(cli.main(['once']))"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=10)
    assert (process.returncode, out, rest) == (130, "", "")


class Stage:
    """Stands in for the demo: no processes, one part that failed."""

    redis_url = "unix:///demo.sock"

    def __init__(self, scenario: str) -> None:
        self.log = [scenario]

    def start(self) -> None:
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")

    def first_worker_pid(self) -> int:
        return 42

    def status(self):
        from perftui.demo.messages import PartState, PartStatus

        failed = PartStatus("redis", PartState.FAILED, reason="no server", fix="install it")
        return (PartStatus("web-1", PartState.READY), failed)


def test_demo_measures_its_own_redis_and_worker_and_stops(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stages: list[Stage] = []

    def stage(scenario: str) -> Stage:
        stages.append(Stage(scenario))
        return stages[-1]

    seen: list[Settings] = []

    def collect(settings: Settings, seconds: float) -> Snapshot:
        seen.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("perftui.demo.stage.DemoStage", stage)
    monkeypatch.setattr("perftui.monitor.collect", collect)
    with pytest.raises(KeyboardInterrupt):
        demo_command.measure(Settings(), "cache-stampede", 1.0)
    assert stages[0].log == ["cache-stampede", "start", "stop"]
    assert seen[0].redis.url == "unix:///demo.sock"
    assert seen[0].profile.pid == 42
    assert seen[0].actions.allow
    said = capfd.readouterr().err
    assert said == "perftui: demo: redis is failed: no server; install it\n"
