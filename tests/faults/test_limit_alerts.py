"""A process limited to half a core and throttled: the alerts speak of the limit, not of the host.

Once on a tree of files that looks like a control group, once in a real one where this user may make
one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_cgroup_source import Tree, container, cpu_stat

from perftui.config import Monitor as MonitorSettings
from perftui.config import Settings
from perftui.config.rule_settings import RuleSettings
from perftui.monitor import Monitor
from perftui.snapshot import Absent, AlertState, Snapshot
from perftui.sources.host import HostSource

ROOT = Path(__file__).resolve().parents[2]
V1 = Path("/sys/fs/cgroup/cpu")
V2 = Path("/sys/fs/cgroup")
SECONDS = 5
PERIODS = 20
"""What the rule is content with here: there are ten a second, fewer while others hold the CPUs."""
SPEAKING = ("R10", "R12", "R12b", "R14")


@contextlib.contextmanager
def computing(tree: Tree, cores: float, throttled: float) -> Iterator[None]:
    """Let a control group use so many cores, throttled in that part of its periods."""
    ended = threading.Event()

    def count() -> None:
        begun = time.monotonic()
        while not ended.wait(0.02):
            seconds = time.monotonic() - begun
            periods = int(1000 * seconds)
            stat = cpu_stat(int(1e6 * cores * seconds), periods, int(throttled * periods))
            # Replaced at once, as the kernel's own file is read.
            new = tree.root / "new"
            new.write_text(stat)
            new.rename(tree.root / "sys/fs/cgroup/cpu.stat")

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def judged(tree: Tree, accept: Any) -> Snapshot:
    rules = {name: RuleSettings(hold=0.0, smoothing=0.0) for name in ("R10", "R12", "R14")}
    settings = Settings(monitor=MonitorSettings(interval=0.25), rules=rules)
    monitor = Monitor(settings, sources=lambda _: [HostSource(0.25), tree.source()])
    monitor.start()
    try:
        snapshot = monitor.mailbox.wait(20.0, accept)
    finally:
        monitor.stop()
    assert snapshot is not None
    return snapshot


def firing(snapshot: Snapshot) -> set[str]:
    return {
        alert.rule
        for alert in snapshot.alerts
        if alert.state is AlertState.FIRING and alert.rule in SPEAKING
    }


def test_a_throttled_group_speaks_of_its_limit(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    container(tree)
    with computing(tree, cores=0.49, throttled=0.8):
        snapshot = judged(tree, lambda s: {"R10", "R14"} <= firing(s))

    alerts = {alert.rule: alert for alert in snapshot.alerts if alert.rule in SPEAKING}
    assert {alert.subject for alert in alerts.values()} == {"cgroup limit"}
    assert "of the limit" in alerts["R10"].message
    assert "the control group may use 0.5 cores" in alerts["R10"].evidence
    assert "80 % of the periods" in alerts["R14"].message


def test_a_group_that_stays_below_its_limit_is_silent(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    container(tree)
    with computing(tree, cores=0.1, throttled=0.0):
        begun = time.monotonic()
        snapshot = judged(tree, lambda s: time.monotonic() - begun > 2)

    assert not firing(snapshot)
    cgroup = snapshot.resources.cgroup
    assert not isinstance(cgroup, Absent)
    assert isinstance(cgroup.cpu_percent, float)
    assert 0 < cgroup.cpu_percent < 80


@pytest.fixture
def half_a_core() -> Iterator[Path]:
    """Make a real control group of half a core, and give the file to write process ids to."""
    name = f"perftui-test-{os.getpid()}"
    group = (V1 if V1.is_dir() else V2) / name
    try:
        group.mkdir()
        if V1.is_dir():
            (group / "cpu.cfs_period_us").write_text("100000")
            (group / "cpu.cfs_quota_us").write_text("50000")
            shares, most = group / "cpu.shares", "262144"
        else:
            (group / "cpu.max").write_text("50000 100000")
            shares, most = group / "cpu.weight", "10000"
        # Where others want the CPUs too it would never come to its limit.
        shares.write_text(most)
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error.strerror}")
    yield group / "cgroup.procs"
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            break


def test_a_real_limit(half_a_core: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[rules.R14]\nmin_n = {PERIODS}\n")

    def limit() -> None:
        half_a_core.write_text(str(os.getpid()))

    end = SECONDS + 8
    program = f"import time\nend = time.monotonic() + {end}\nwhile time.monotonic() < end: pass"
    busy = subprocess.Popen([sys.executable, "-c", program], preexec_fn=limit)
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "perftui",
                "--config",
                str(config),
                "once",
                "--json",
                "--seconds",
                str(SECONDS),
            ],
            preexec_fn=limit,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
            check=True,
        )
    finally:
        busy.send_signal(signal.SIGKILL)
        busy.wait()
    document = json.loads(done.stdout)
    alerts = {alert["rule"]: alert for alert in document["alerts"] if alert["rule"] in SPEAKING}
    assert {"R10", "R14"} <= alerts.keys()
    assert {alert["subject"] for alert in alerts.values()} == {"cgroup limit"}
    assert alerts["R14"]["n"] >= PERIODS
    assert "the control group may use 0.5 cores" in alerts["R10"]["evidence"]
