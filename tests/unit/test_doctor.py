"""The doctor: what it finds on a real machine, a real Redis and a broken configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_server import free_port, shop_page, starting

from perftui import doctor
from perftui.analysis.alerting.configured import configured_rules
from perftui.config import ConfigError, Loaded, load_settings
from perftui.doctor_alerts import alert_findings


def loader(tmp_path: Path, **environ: str) -> Callable[[], Loaded]:
    home = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    return lambda: load_settings(None, None, {**home, **environ})


def by_subject(findings: list[doctor.Finding]) -> dict[str, doctor.Finding]:
    return {finding.subject: finding for finding in findings}


def test_plain_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    found = by_subject(doctor.examine(loader(tmp_path)))
    assert found["python"].verdict == "ok"
    assert found["configuration"].what.endswith("perftui/config.toml does not exist")
    assert found["theme"].verdict == "ok"
    assert found["redis"].verdict == "note"
    assert "REDIS_URL" in found["redis"].fix
    assert "profiler" in found
    assert "cgroup" in found
    for finding in found.values():
        assert finding.fix or finding.verdict == "ok", finding


def test_real_redis(tmp_path: Path, redis_server: Any) -> None:
    found = by_subject(doctor.examine(loader(tmp_path, REDIS_URL=redis_server.url)))
    assert found["redis"].verdict == "ok"
    assert found["redis"].what.startswith(f"{redis_server.socket} answers in ")
    assert found["redis version"].verdict == "ok"
    assert found["redis rights"].what == "user default may read what the panes show"


def test_rights_that_lack_are_named_with_the_rule(tmp_path: Path, redis_server: Any) -> None:
    rights = ("on", ">hush", "~app:*", "-@all", "+ping", "+client", "+time", "+@read")
    redis_server.client.execute_command("ACL", "SETUSER", "low", *rights)
    url = f"unix://low:hush@{redis_server.socket}"
    found = by_subject(doctor.examine(loader(tmp_path, REDIS_URL=url)))
    assert found["redis"].verdict == "ok"
    finding = found["redis rights"]
    assert finding.verdict == "problem"
    assert finding.what == "user low may not use INFO, ZRANGE, MGET, SMEMBERS"
    assert finding.fix.endswith("ACL SETUSER low +info '~perftui:*'")
    # The advice works when it is followed.
    rules = ("+info", "~perftui:*")
    redis_server.client.execute_command("ACL", "SETUSER", "low", *rules)
    found = by_subject(doctor.examine(loader(tmp_path, REDIS_URL=url)))
    assert found["redis rights"].verdict == "ok"
    assert "hush" not in doctor.text_of(list(found.values()))


def test_redis_that_is_not_there(tmp_path: Path) -> None:
    findings = doctor.examine(loader(tmp_path, REDIS_URL=f"unix://u:hush@{tmp_path}/no.sock"))
    finding = by_subject(findings)["redis"]
    assert finding.verdict == "problem"
    assert finding.fix
    assert doctor.has_problem(findings)
    assert "hush" not in doctor.text_of(findings)


def of_subject(findings: list[doctor.Finding], subject: str) -> list[doctor.Finding]:
    return [finding for finding in findings if finding.subject == subject]


def test_nothing_is_said_of_pages_and_servers_that_nobody_configured(tmp_path: Path) -> None:
    findings = doctor.examine(loader(tmp_path))
    assert of_subject(findings, "scrape") == of_subject(findings, "prometheus") == []


def test_pages_of_metrics_one_of_which_is_gone(tmp_path: Path) -> None:
    page = shop_page()
    gone = f"http://u:hush@127.0.0.1:{free_port()}/metrics"
    try:
        urls = f"http://{page.address}/metrics,{gone}"
        findings = doctor.examine(loader(tmp_path, PERFTUI_SCRAPE_URLS=urls))
    finally:
        page.close()
    found, missing = of_subject(findings, "scrape")
    assert found.verdict == "ok"
    assert found.what.startswith(f"http://{page.address}/metrics (service ")
    assert found.what.endswith(": 3 operations")
    assert missing.verdict == "problem"
    assert missing.fix
    assert "hush" not in doctor.text_of(findings)


def test_a_page_without_operations_says_how_to_name_them(tmp_path: Path) -> None:
    page = shop_page()
    environ = {
        "PERFTUI_SCRAPE_URLS": f"http://{page.address}/metrics",
        "PERFTUI_OPERATIONS_PRESETS": "celery",
    }
    try:
        (finding,) = of_subject(doctor.examine(loader(tmp_path, **environ)), "scrape")
    finally:
        page.close()
    assert finding.verdict == "note"
    assert f"http://{page.address}/metrics (service " in finding.what
    assert "operations.metric" in finding.fix


def test_a_prometheus_server(tmp_path: Path) -> None:
    page = shop_page()
    config = (
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: web, static_configs: [{{targets: ['{page.address}']}}]}}]\n"
    )
    try:
        with starting() as start_prometheus:
            server = start_prometheus(config)
            server.wait_for("rate(operation_execution_time_seconds_count[4s]) > 0")
            load = loader(tmp_path, PERFTUI_PROMETHEUS_URL=server.url)
            found = of_subject(doctor.examine(load), "prometheus")
    finally:
        page.close()
    assert found[0].verdict == "ok"
    assert found[0].what.startswith(f"{server.url}, version ")
    assert " operations" in found[0].what


def test_a_prometheus_server_that_is_not_there(tmp_path: Path) -> None:
    url = f"http://me:hush@127.0.0.1:{free_port()}"
    findings = doctor.examine(loader(tmp_path, PERFTUI_PROMETHEUS_URL=url))
    (finding,) = of_subject(findings, "prometheus")
    assert finding.verdict == "problem"
    assert finding.fix
    assert "hush" not in doctor.text_of(findings)


@pytest.mark.parametrize(
    ("variable", "value", "subject"),
    [
        ("SCRAPE_URLS", "http://h:port", "scrape.urls"),
        ("PROMETHEUS_MATCHER", "job=shop", "prometheus.matcher"),
        ("OPERATIONS_FAILURE", "5(", "operations.failure"),
    ],
)
def test_settings_that_cannot_be_used(
    tmp_path: Path, variable: str, value: str, subject: str
) -> None:
    environ = {"PERFTUI_PROMETHEUS_URL": f"http://127.0.0.1:{free_port()}"}
    environ[f"PERFTUI_{variable}"] = value
    (finding,) = of_subject(doctor.examine(loader(tmp_path, **environ)), subject)
    assert finding.verdict == "problem"
    assert finding.what
    assert finding.fix


def test_broken_configuration_does_not_stop_the_rest(tmp_path: Path) -> None:
    def load() -> Loaded:
        raise ConfigError("config.toml line 3: unknown key")

    findings = doctor.examine(load)
    found = by_subject(findings)
    assert found["configuration"].verdict == "problem"
    assert found["configuration"].what == "config.toml line 3: unknown key"
    assert "cgroup" in found


def test_wrong_theme_is_a_problem(tmp_path: Path) -> None:
    found = by_subject(doctor.examine(loader(tmp_path, PERFTUI_SCREEN_THEME="nigth")))
    assert found["theme"].verdict == "problem"
    assert "did you mean night?" in found["theme"].what


def test_missing_profiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perftui.sources.pyspy.process.find_py_spy", lambda: None)
    finding = by_subject(doctor.examine(loader(tmp_path)))["profiler"]
    assert (finding.verdict, finding.fix) == ("problem", "pip install py-spy")


def test_profiling_of_a_process_that_does_not_exist(tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    found = by_subject(doctor.examine(loader(tmp_path, PERFTUI_PROFILE_PID=str(child.pid))))
    assert found["profiling"].verdict == "problem"
    assert str(child.pid) in found["profiling"].what


def test_text_and_json_of_findings() -> None:
    findings = [
        doctor.Finding("ok", "python", "3.11"),
        doctor.Finding("problem", "redis", "no\x1b[2J", "start it"),
    ]
    assert doctor.text_of(findings) == (
        "ok       python         3.11\n"
        "problem  redis          no\\x1b[2J\n"
        "                        fix: start it\n"
        "1 problem\n"
    )
    document = json.loads(doctor.json_of(findings))
    assert document["problems"] == 1
    assert document["findings"][0] == {
        "verdict": "ok", "subject": "python", "what": "3.11", "fix": "",
    }  # fmt: skip


@pytest.mark.parametrize(("url", "code"), [("", 0), ("unix:///nowhere/redis.sock", 1)])
def test_exit_code(tmp_path: Path, url: str, code: int) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(tmp_path),
        "REDIS_URL": url,
        "TERM": "dumb",
    }
    result = subprocess.run(
        [sys.executable, "-m", "perftui", "doctor", "--json"],
        capture_output=True,
        env=environ,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == code, result.stdout
    assert (json.loads(result.stdout)["problems"] > 0) is bool(code)


def with_config(tmp_path: Path, text: str) -> Callable[[], Loaded]:
    (tmp_path / "perftui").mkdir(exist_ok=True)
    (tmp_path / "perftui" / "config.toml").write_text(text)
    return loader(tmp_path)


def alerts_of(load: Callable[[], Loaded]) -> dict[str, doctor.Finding]:
    return by_subject(list(alert_findings(load())))


def test_rules_that_are_fine_are_counted(tmp_path: Path) -> None:
    text = (
        '[alerts]\ndisabled = ["R10"]\n[rules.R09]\nwarn = "85%"\n'
        '[rules.mine]\nexpr = "redis.latency > 5ms"\n'
    )
    found = by_subject(doctor.examine(with_config(tmp_path, text)))["rules"]
    assert found.verdict == "ok"
    usual = configured_rules(loader(tmp_path / "none")().settings)
    off = sum(not rule.enabled for rule in usual)
    expected = f"{len(usual) + 1} rules, 1 of your own, {off + 1} switched off"
    assert found.what == expected


def test_every_wrong_rule_is_a_problem_with_its_line_and_fix(tmp_path: Path) -> None:
    text = '[rules.R10]\nwarn = "9s"\n\n[rules.mine]\nexpr = "redis.latency > 5MB"\n'
    findings = doctor.examine(with_config(tmp_path, text))
    wrong = of_subject(findings, "rules")
    assert [finding.verdict for finding in wrong] == ["problem", "problem"]
    shown = doctor.text_of(wrong)
    assert "line 2" in shown
    assert "line 5" in shown
    assert "rules.mine.expr" in shown
    assert "rules.R10.warn" in shown
    assert "perftui rules check shows the place" in shown
    assert doctor.has_problem(findings)


def test_rules_that_are_switched_off_are_a_note(tmp_path: Path) -> None:
    found = alerts_of(with_config(tmp_path, "[alerts]\nenabled = false\n"))["rules"]
    assert found.verdict == "note"
    assert found.fix == "remove alerts.enabled = false"


def test_who_is_told_of_alerts_is_looked_at(tmp_path: Path) -> None:
    text = '[alerts]\nexec = "{}"\nwebhook = "https://u:hush@chat.example/hook/hush?t=hush"\n'
    found = alerts_of(with_config(tmp_path, text.format("no-such-program now")))
    assert found["alerts.exec"].verdict == "problem"
    assert "no-such-program is not a program on PATH" in found["alerts.exec"].what
    assert found["alerts.webhook"].what == "https://chat.example:443"
    assert "hush" not in doctor.text_of(list(found.values()))
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    found = alerts_of(with_config(tmp_path, text.format(script)))
    assert found["alerts.exec"].fix.startswith(f"chmod +x {script}")
    script.chmod(0o700)
    found = alerts_of(with_config(tmp_path, text.format(script)))
    assert found["alerts.exec"].what == f"runs {script}"
    found = alerts_of(with_config(tmp_path, text.format("echo 'open")))
    assert found["alerts.exec"].verdict == "problem"
    assert "quotes" in found["alerts.exec"].what


def test_silences_that_cannot_be_kept_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = alerts_of(loader(tmp_path))["silences"]
    assert found.what == f"kept in {tmp_path}/state/perftui/silences.json"
    assert not (tmp_path / "state").exists()
    (tmp_path / "state").write_text("")
    found = alerts_of(loader(tmp_path))["silences"]
    assert found.verdict == "problem"
    assert "XDG_STATE_HOME" in found.fix
    (tmp_path / "state").unlink()
    (tmp_path / "state" / "perftui").mkdir(parents=True)
    broken = tmp_path / "state" / "perftui" / "silences.json"
    broken.write_text("{")
    assert alerts_of(loader(tmp_path))["silences"].fix == f"correct or remove {broken}"
