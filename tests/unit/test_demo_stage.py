"""The demo's life: start, status, restarts, and that nothing is left of it whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from demo_processes import (
    all_gone,
    directory_of,
    part,
    processes_below,
    wait_for,
    wait_until_ready,
)

from perftui.demo.messages import PartState
from perftui.demo.part_names import PARTS
from perftui.demo.private_directory import SOCKET
from perftui.demo.scenarios import WORKERS
from perftui.demo.stage import DemoStage
from perftui.metrics.report import INDEX_KEY, ServiceReport, decode, report_key
from perftui.pool.keys import POOLS_KEY, ServerLoad, ServerMeta, pool_key


@pytest.fixture
def stage() -> Iterator[DemoStage]:
    with DemoStage() as stage:
        yield stage


def supervisor_of(stage: DemoStage) -> int:
    """Return the supervisor's pid: the parent of Redis."""
    pid = wait_for(lambda: part(stage, "redis").pid)
    assert pid is not None
    return psutil.Process(pid).ppid()


def test_all_parts_become_ready_and_publish(stage: DemoStage) -> None:
    import redis

    wait_until_ready(stage)
    assert [status.part for status in stage.status()] == list(PARTS)
    assert all(status.ready_after is not None for status in stage.status())
    assert directory_of(stage).stat().st_mode & 0o777 == 0o700

    client: Any = redis.Redis.from_url(stage.redis_url)
    assert client.config_get("maxmemory")["maxmemory"] == str(64 * 1024 * 1024)

    wait_for(lambda: client.zcard(INDEX_KEY) == len(WORKERS))
    wait_for(lambda: len(client.hgetall(pool_key("web", "picks"))) == len(WORKERS))
    members = [member.decode() for member in client.zrange(INDEX_KEY, 0, -1)]
    workers = {part(stage, name).pid: part(stage, name) for name in WORKERS}

    def reports() -> list[ServiceReport]:
        found = [decode(client.get(report_key(*member.split("/", 1)))) for member in members]
        return found if all(report.operations for report in found) else []

    for report in wait_for(reports):
        assert report.service == "shop"
        assert report.pid in workers
        assert report.instance.startswith(f"{report.host}:{report.pid}:")
        assert report.resources is not None
        assert report.resources.memory_rss
        for counts in report.operations.values():
            assert sum(counts.buckets) == counts.count > 0
            assert len(counts.buckets) == len(report.bounds) + 1
            assert counts.seconds > 0
        lookups = report.caches["product"]
        assert lookups.memory_hits + lookups.memory_misses > 0
        # A look-up under way has asked its memory and not yet Redis.
        asked = lookups.redis_hits + lookups.redis_misses
        assert lookups.memory_misses / 2 < asked <= lookups.memory_misses

    assert client.smembers(POOLS_KEY) == {b"web"}
    assert set(client.zrange(pool_key("web", "ok"), 0, -1)) == {name.encode() for name in WORKERS}
    for name in WORKERS:
        meta = msgspec.json.decode(client.hget(pool_key("web", "meta"), name), type=ServerMeta)
        load = msgspec.json.decode(client.hget(pool_key("web", "load"), name), type=ServerLoad)
        assert meta.address == part(stage, name).address
        assert 0 < load.memory_usage < 90
    assert {key.split(b":")[0] for key in client.scan_iter("*:*")} == {b"shop", b"perftui"}
    client.close()


def test_first_worker_is_one_of_the_workers(stage: DemoStage) -> None:
    assert stage.first_worker_pid() is None
    pid = wait_for(stage.first_worker_pid)
    assert pid in {part(stage, name).pid for name in WORKERS}


@pytest.mark.parametrize("name", ["redis", "web-2", "traffic"])
def test_a_part_that_dies_is_started_again(stage: DemoStage, name: str) -> None:
    wait_until_ready(stage)
    first = part(stage, name).pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    reason = wait_for(lambda: part(stage, name).reason)
    assert f"{name} was ended by SIGKILL; starting it again" in reason
    wait_until_ready(stage)
    assert part(stage, name).pid != first
    assert part(stage, name).restarts == 1


def test_stop_leaves_nothing_and_a_second_start_works(stage: DemoStage) -> None:
    wait_until_ready(stage)
    for _ in range(2):
        processes = processes_below(supervisor_of(stage))
        assert len(processes) >= len(PARTS)
        stage.stop()
        assert all_gone(processes)
        assert not directory_of(stage).exists()
        assert {status.state for status in stage.status()} == {PartState.STOPPED}
        assert stage.first_worker_pid() is None
        stage.stop()
        stage.start()
        wait_until_ready(stage)


def test_stop_during_the_start_leaves_nothing() -> None:
    stage = DemoStage()
    stage.start()
    processes = processes_below(os.getpid())[1:]
    stage.stop()
    assert processes
    assert all_gone(processes)
    assert not directory_of(stage).exists()


def test_killed_supervisor_takes_everything_with_it(stage: DemoStage) -> None:
    wait_until_ready(stage)
    supervisor = supervisor_of(stage)
    processes = processes_below(supervisor)
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: all_gone(processes))
    wait_for(lambda: not directory_of(stage).exists())
    wait_for(lambda: not stage.running)
    assert {status.state for status in stage.status()} == {PartState.FAILED}
    assert "supervisor ended by signal 9" in stage.status()[0].reason


def test_hung_supervisor_is_killed_by_stop(stage: DemoStage) -> None:
    wait_until_ready(stage)
    supervisor = supervisor_of(stage)
    processes = processes_below(supervisor)
    os.kill(supervisor, signal.SIGSTOP)
    stage.stop()
    wait_for(lambda: all_gone(processes))
    assert not directory_of(stage).exists()


def test_where_no_death_signal_exists_a_guard_ends_redis() -> None:
    program = "import sys, time; from perftui.demo.child import _guard_of; "
    program += "guard = _guard_of(int(sys.argv[1])); print(guard.pid, flush=True); time.sleep(60)"
    with (
        subprocess.Popen(["sleep", "60"]) as guarded,
        subprocess.Popen(
            [sys.executable, "-c", program, str(guarded.pid)], stdout=subprocess.PIPE
        ) as owner,
    ):
        assert owner.stdout is not None
        guard = psutil.Process(int(owner.stdout.readline()))
        assert guarded.poll() is None
        owner.kill()
        assert guarded.wait(15) == -signal.SIGKILL
        wait_for(lambda: all_gone([guard]))


OWNER = """
import sys, time
from perftui.demo.messages import PartState
from perftui.demo.stage import DemoStage
stage = DemoStage()
stage.start()
while any(status.state is not PartState.READY for status in stage.status()):
    time.sleep(0.02)
print(stage.directory, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_owner_leaves_no_process_and_no_directory(number: signal.Signals) -> None:
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": root},
    ) as owner:
        assert owner.stdout is not None
        directory = Path(os.fsdecode(owner.stdout.readline()).strip())
        assert (directory / SOCKET).exists()
        processes = processes_below(owner.pid)
        assert len(processes) > len(PARTS)
        owner.send_signal(number)
        wait_for(lambda: all_gone(processes))
        wait_for(lambda: not directory.exists())


def test_directory_of_a_monitor_and_supervisor_killed_together_goes_with_the_next_demo(
    stage: DemoStage,
) -> None:
    # The same place, with a lock file that nobody holds, old enough not to be just being made.
    abandoned = directory_of(stage).with_name("perftui-demo-abandoned")
    used = directory_of(stage).with_name("perftui-demo-used")
    stage.stop()
    for directory in (abandoned, used):
        directory.mkdir(mode=0o700)
        (directory / "lock").touch()
        os.utime(directory, (1, 1))
    import fcntl

    with (used / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stage.start()
        wait_for(lambda: not abandoned.exists())
        wait_until_ready(stage)
        assert used.exists()
    (used / "lock").unlink()
    used.rmdir()


def test_without_redis_the_shop_goes_on_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An interpreter elsewhere, without a server beside it, and with no distribution to be found.
    (tmp_path / "sitecustomize.py").write_text(
        "import perftui.demo.redis_binary as binary\nbinary._candidates = lambda: iter(())\n"
    )
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), root)))
    with DemoStage() as stage:
        wait_for(lambda: part(stage, "traffic").state is PartState.READY)
        redis = part(stage, "redis")
        assert redis.state is PartState.FAILED
        assert "no redis-server" in redis.reason
        assert "install" in redis.fix
        wait_for(lambda: part(stage, "web-1").cpu_percent)


def test_no_place_short_enough_is_a_failed_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perftui.demo import private_directory

    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(private_directory, "_parents", lambda: iter([deep]))
    stage = DemoStage()
    stage.start()
    assert stage.redis_url == ""
    assert {status.state for status in stage.status()} == {PartState.FAILED}
    assert "path of less than" in stage.status()[0].reason
    assert stage.status()[0].fix == "TMPDIR=/tmp perftui demo"
    stage.stop()


def test_a_long_temporary_directory_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    assert not str(directory_of(DemoStage())).startswith(str(deep))


def test_unknown_scenario_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="memory-leak"):
        DemoStage("no-such-thing")
    stage = DemoStage()
    with pytest.raises(ValueError, match="steady"):
        stage.set_scenario("no-such-thing")
    assert stage.scenario == "steady"


def test_importing_the_stage_stays_cheap() -> None:
    heavy = {"redis", "sqlite3", "psutil", "http.server", "asyncio", "textual"}
    program = "import sys, perftui.demo.stage; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not heavy & set(modules)
