"""`perftui once` as a script uses it: names, numbers, truth, exit codes, pipes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis_fixture import RedisProcess

PERFTUI = (sys.executable, "-m", "perftui")
BURN = "while True: sum(range(1000))"


def once(*arguments: str, check: bool = True) -> dict[str, Any]:
    """Return the document of `perftui once --json`."""
    run = subprocess.run(
        [*PERFTUI, "once", "--json", *arguments],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        check=check,
    )
    found = json.loads(run.stdout)
    assert isinstance(found, dict)
    return found


def cpu_times() -> tuple[int, int]:
    """All ticks and idle ticks of all cores, see proc_stat(5); guest time is part of user time."""
    fields = [int(f) for f in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4]


def memory_used() -> int:
    """Bytes in use as free(1) counts them, see proc_meminfo(5)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return values["MemTotal"] - values["MemAvailable"]


@contextlib.contextmanager
def burning(count: int) -> Iterator[None]:
    """Keep so many cores busy meanwhile."""
    children = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in children:
            process.kill()
            process.wait()


def test_names_and_numbers(redis_server: RedisProcess) -> None:
    found = once("--redis", redis_server.url, "--seconds", "0.5")
    assert found["schema"] == 2
    assert found["time"].endswith("Z")
    resources = found["resources"]
    assert isinstance(resources["cpu"]["percent"], float)
    assert len(resources["cpu"]["per_core"]) == os.cpu_count()
    assert {"percent", "used", "total"} <= set(resources["memory"])
    rows = found["processes"]
    assert {"pid", "name", "cpu_percent", "memory_rss"} <= set(rows[0])
    assert os.getpid() in {row["pid"] for row in rows}
    assert found["host"]["name"] == os.uname().nodename
    assert isinstance(found["redis"], dict)
    assert found["alerts"] is not None
    assert found["pools"] == []
    assert found["top_calls"] is None
    assert found["states"]["top_calls"]["state"] == "not collected"
    assert found["states"]["top_calls"]["fix"]
    assert_every_null_is_explained(found)


def assert_every_null_is_explained(found: dict[str, Any]) -> None:
    states = found["states"]

    def walk(value: object, path: str) -> Iterator[str]:
        if path.startswith("states"):
            return
        if value is None:
            yield path
        elif isinstance(value, dict):
            for name, item in value.items():
                yield from walk(item, f"{path}.{name}" if path else name)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from walk(item, f"{path}.{index}")

    unexplained = [path for path in walk(found, "") if path not in states]
    assert unexplained == []
    for path, state in states.items():
        # The state of a limit that is not set is ok: that is a fact and not a missing value.
        words = {"ok", "stale", "denied", "unavailable", "not collected"}
        assert state["state"] in words, path
        assert state["reason"], path


def test_no_redis_is_said() -> None:
    found = once("--seconds", "0.3")
    assert found["redis"] is None
    assert found["pools"] == []
    for path in ("redis", "pools"):
        assert found["states"][path]["state"] == "not collected"
        assert "--redis" in found["states"][path]["fix"]


class Reading(NamedTuple):
    """What /proc said at one moment."""

    moment: float
    total: int
    idle: int
    used: int


def watch_proc(process: subprocess.Popen[bytes]) -> list[Reading]:
    """Read /proc again and again until the process ends."""
    readings = []
    while process.poll() is None:
        readings.append(Reading(time.monotonic(), *cpu_times(), memory_used()))
        time.sleep(0.02)
    return readings


def test_agrees_with_proc(tmp_path: Path) -> None:
    seconds = 3.0
    document = tmp_path / "document.json"
    with burning(1), document.open("wb") as output:
        time.sleep(0.3)
        command = [*PERFTUI, "once", "--json", "--seconds", str(seconds)]
        readings = watch_proc(subprocess.Popen(command, stdout=output))
    found = json.loads(document.read_text())["resources"]
    cpu, memory = found["cpu"], found["memory"]

    # Its window ended some time in the last half second, and it used memory itself until its end.
    ends = [reading for reading in readings if reading.moment > readings[-1].moment - 0.5]
    percents = []
    for end in ends:
        begin = min(readings, key=lambda r, e=end: abs(e.moment - r.moment - seconds))
        busy = 1 - (end.idle - begin.idle) / (end.total - begin.total)
        percents.append(100 * busy)
    cpu_error = min(abs(percent - cpu["percent"]) for percent in percents)
    memory_error = min(abs(end.used / memory["used"] - 1) for end in ends)
    print(f"CPU {cpu['percent']:.2f} %, off by {cpu_error:.2f} points")
    print(f"memory {memory['used']:,}, off by {100 * memory_error:.3f} %")
    assert cpu_error <= 2
    assert memory_error <= 0.01
    assert cpu["percent"] == pytest.approx(sum(cpu["per_core"]) / len(cpu["per_core"]), abs=1)
    share = 100 * memory["used"] / memory["total"]
    assert memory["percent"] == pytest.approx(share, abs=0.01)


def test_exit_code_of_an_alert() -> None:
    command = [*PERFTUI, "once", "--json", "--seconds", "1", "--fail-on"]
    with burning(2 * (os.cpu_count() or 1)):
        time.sleep(0.3)
        run = subprocess.run([*command, "critical"], stdout=subprocess.PIPE, check=False)
    alerts = json.loads(run.stdout)["alerts"]
    (cpu,) = [alert for alert in alerts if alert["rule"] == "R10"]
    assert (cpu["state"], cpu["severity"], cpu["quiet"]) == ("firing", "critical", False)
    assert run.returncode == 3


def test_exit_code_without_an_alert() -> None:
    # The rest of the machine may be busy, and then the alert is right.
    for _ in range(4):
        command = [*PERFTUI, "once", "--json", "--seconds", "0.5", "--fail-on", "warning"]
        run = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        alerts = json.loads(run.stdout)["alerts"]
        firing = [one for one in alerts if one["state"] == "firing" and not one["quiet"]]
        assert run.returncode == (3 if firing else 0)
        if not firing:
            return
    pytest.skip("something else keeps this machine busy")


@pytest.mark.parametrize("how", [("--json",), ()], ids=["json", "text"])
def test_a_reader_that_has_seen_enough(how: tuple[str, ...]) -> None:
    line = f"{' '.join(PERFTUI)} once --seconds 0.2 {' '.join(how)} | head -1"
    run = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, check=False)
    assert run.stderr == b""
    assert run.stdout.count(b"\n") == 1
    assert run.returncode == 0


def test_interrupt_is_quiet() -> None:
    process = subprocess.Popen([*PERFTUI, "once", "--seconds", "30"], stderr=subprocess.PIPE)
    time.sleep(0.7)
    process.send_signal(2)
    _, complaint = process.communicate(timeout=5)
    assert complaint == b""
    assert process.returncode == 130
