"""Alerts in the real program: they ring, they are silenced, and stay so over a restart."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from dashboard_session import Dashboard

from perftui.analysis.alerting.catalogue import catalogue

CONFIGURATION = f"""
[alerts]
bell = true
notify = true
disabled = {json.dumps([rule.id for rule in catalogue()])}

[rules.always]
expr = "resources.memory.percent > 0"
title = "Memory is in use"
severity = "critical"
hint = "wait for the end of the test"
for = 0
keep = 0
"""
NOTIFICATION = b"\x1b]9;perftui: CRIT Memory is in use"


@pytest.fixture
def _always_alarmed() -> None:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "perftui" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(CONFIGURATION)


@pytest.mark.usefixtures("_always_alarmed")
def test_an_alert_rings_once_and_its_silence_survives_a_restart() -> None:
    with Dashboard() as session:
        session.wait_for_all(20, "CRIT Memory is in use")
        assert session.raw.count(NOTIFICATION) == 1
        begin = session.raw.index(NOTIFICATION)
        end = session.raw.index(b"\x1b\\\x07", begin)
        assert b"\x1b" not in session.raw[begin + 1 : end]
        session.press("2", "a ack")
        session.press("x", "Comment")
        session.press("\t\tfor the test\r", "silenced CRIT")
        session.press("q", "")
        assert session.wait_exit(5) == 0
        assert session.raw.count(NOTIFICATION) == 1
    with Dashboard() as session:
        session.wait_for_all(20, "silenced CRIT", "none firing")
        assert NOTIFICATION not in session.raw
        session.press("2", "a ack")
        session.press("x", "for the test")
        session.press("\r", "CRIT Memory is in use")
        session.wait_for_all(5, "1 firing")
        session.press("a", "acknowledged CRIT")
        session.press("a", "1 firing")
        session.press("q", "")
        assert session.wait_exit(5) == 0
