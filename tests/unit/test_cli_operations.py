"""The command line where it is about operations: settings understood early, windows chosen."""

from __future__ import annotations

import json

import pytest
from operations_sample import shop

from perftui import cli
from perftui.snapshot import Snapshot


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"PERFTUI_OPERATIONS_FAILURE": "5(.."},
            "operations.failure (environment PERFTUI_OPERATIONS_FAILURE): '5(..' is not a regular",
        ),
        (
            {"PERFTUI_PROMETHEUS_MATCHER": "job=shop"},
            "prometheus.matcher (environment PERFTUI_PROMETHEUS_MATCHER): the label matcher is",
        ),
        (
            {
                "PERFTUI_PROMETHEUS_URL": "http://me:hush@prom",
                "PERFTUI_PROMETHEUS_BEARER_FILE": "/t",
            },
            "prometheus.bearer_file (environment PERFTUI_PROMETHEUS_BEARER_FILE): give either",
        ),
        (
            {"PERFTUI_PROMETHEUS_URL": "http://prom", "PERFTUI_PROMETHEUS_HEADERS": "Host: hush"},
            "prometheus.headers (environment PERFTUI_PROMETHEUS_HEADERS): the header Host cannot",
        ),
        (
            {"PERFTUI_PROMETHEUS_URL": "http://prom", "PERFTUI_PROMETHEUS_KEY_FILE": "/k"},
            "prometheus.key_file (environment PERFTUI_PROMETHEUS_KEY_FILE): a key file needs",
        ),
    ],
)
def test_settings_are_understood_before_anything_starts(
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    for command in ("once", "exporter"):
        assert cli.main([command]) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert err.startswith(f"perftui: {said}")
        assert err.count("\n") == 1
        assert "hush" not in err


@pytest.mark.parametrize(
    ("given", "expected"),
    [((), {10.0}), (("--window", "5min"), {300.0}), (("--window", "all"), {10.0, 60.0, 300.0})],
)
def test_once_shows_the_window_that_is_asked_for(
    given: tuple[str, ...],
    expected: set[float],
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    snapshot = Snapshot(1, 0.0, 0.0, services=(shop(),))
    monkeypatch.setattr("perftui.monitor.collect", lambda settings, seconds: snapshot)
    assert cli.main(["once", "--json", *given]) == 0
    found = json.loads(capfdbinary.readouterr().out)
    assert {operation["window"] for operation in found["operations"]} == expected
    monkeypatch.setenv("PERFTUI_OPERATIONS_WINDOW", "1min")
    assert cli.main(["once"]) == 0
    assert b"last 1 min" in capfdbinary.readouterr().out
