"""HAProxy in the report, on the page of metrics and in the doctor's findings."""

from __future__ import annotations

import json
import subprocess
import sys

from haproxy_fixture import Haproxy


def perftui(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "perftui", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_once_shows_the_backend(haproxy: Haproxy) -> None:
    text = perftui("once", "--haproxy", haproxy.socket(), "--seconds", "1").stdout
    rows = [line.split()[:3] for line in text.splitlines() if line.split()[:1] == ["api"]]
    assert rows == [["api", name, "ready"] for name in "abc"]
    told = json.loads(
        perftui("once", "--json", "--haproxy", haproxy.socket(), "--seconds", "1").stdout
    )
    assert [each["id"] for each in told["haproxy"][0]["servers"]] == ["a", "b", "c"]
    assert told["haproxy"][0]["servers"][0]["cpu_usage"] is None
    assert told["pools"] == []
    assert told["states"]["pools"]["state"] == "not collected"


def test_once_tells_what_is_wrong_with_a_socket(tmp_path: object) -> None:
    text = perftui("once", "--haproxy", f"{tmp_path}/no.sock", "--seconds", "0.5").stdout
    assert f"{tmp_path}/no.sock" in text
    assert "stats socket" in text


def test_doctor_tells_the_levels(haproxy: Haproxy) -> None:
    admin = perftui("doctor", "--json", "--haproxy", haproxy.socket())
    (found,) = [
        each for each in json.loads(admin.stdout)["findings"] if each["subject"] == "haproxy"
    ]
    assert found["verdict"] == "ok"
    assert "1 backend with 3 servers, level admin" in found["what"]
    user = perftui("doctor", "--json", "--haproxy", haproxy.socket("user"))
    (noted,) = [
        each for each in json.loads(user.stdout)["findings"] if each["subject"] == "haproxy"
    ]
    assert noted["verdict"] == "note"
    assert "level admin" in noted["fix"]
