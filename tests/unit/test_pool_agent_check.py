"""Agent checks: the answers, hostile clients, the pool in Redis, and a real HAProxy."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis_fixture import RedisProcess

from perftui.pool import agent_check
from perftui.pool.agent_check import AgentCheck
from perftui.pool.agent_check_answer import Answer, CheckReading, Steering
from perftui.pool.agent_check_connections import MOST_CONNECTIONS, MOST_PEERS, ReadyPeers
from perftui.pool.agent_check_machine import MachineShare
from perftui.pool.agent_check_sources import LocalSource, RegistrySource
from perftui.pool.eligibility import EligibilityRules
from perftui.pool.errors import PoolUnavailableError
from perftui.pool.haproxy_actions import HaproxyActions
from perftui.pool.haproxy_socket import HaproxyError, HaproxyTarget, ask
from perftui.pool.registry import PoolRegistry
from perftui.pool.server_usage import ServerUsage
from perftui.sources.haproxy.statistics import ServerLine, server_lines

ROOT = str(Path(__file__).parents[2])
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
CONFIG = """
global
  stats socket {0}/admin.sock mode 600 level admin
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
backend api
  server a 127.0.0.1:1 weight 100 agent-check agent-addr 127.0.0.1 agent-port {1} agent-inter 50ms
"""


class Told:
    """A source that says what the test sets, or raises it."""

    def __init__(self) -> None:
        self.says: CheckReading | Exception = CheckReading(cpu=10.0)

    async def read(self) -> CheckReading:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def aclose(self) -> None:
        pass


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def check(told: Told) -> Iterator[AgentCheck]:
    check = AgentCheck(told, interval=0.05, drain_seconds=20, settle_seconds=0.1).start()
    yield check
    check.stop(drain=False)


def wait(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def asked(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.settimeout(20)
        return client.makefile("rb").read()


def percent(cpu: float, **more: float) -> int:
    said = Steering(10).answer(CheckReading(cpu=cpu, **more)).percent  # type: ignore[arg-type]
    assert said is not None
    return said


def test_the_weight_falls_around_the_threshold_and_stays_at_the_floor() -> None:
    assert [percent(cpu) for cpu in (0, 68, 72, 80, 88, 92, 100)] == [100, 100, 93, 55, 17, 10, 10]
    # Memory cannot pass 100 %: the floor is there, not behind it.
    assert percent(0, memory=100.0) == 10
    assert percent(0, requests=5000.0) == 10
    assert percent(50, share=0.5) == 50
    assert percent(50, share=0.0) == 0
    assert percent(100, share=0.01) == 1


LOADS = st.none() | st.floats(0, 1e6)


@given(LOADS, LOADS, LOADS, st.floats(0, 100), st.integers(1, 100), st.booleans(), st.text())
def test_every_answer_is_one_short_line_and_never_takes_a_server_out_unasked(
    cpu: float | None,
    memory: float | None,
    requests: float | None,
    threshold: float,
    floor: int,
    down_above: bool,
    reason: str,
) -> None:
    reading = CheckReading(cpu, memory, requests, threshold, reason=reason)
    answer = Steering(floor, down_above).answer(reading)
    assert answer.up or down_above
    assert not answer.up or floor <= (answer.percent or 0) <= 100
    for said in (answer, replace(answer, admin="drain", reason=reason)):
        line = said.line(ready=True)
        assert line.endswith(b"\n")
        assert len(line) < 200
        assert all(32 <= byte < 127 for byte in line[:-1])


@given(st.floats(0, 150), st.floats(0, 150))
def test_more_load_is_never_more_weight(one: float, other: float) -> None:
    assert percent(min(one, other)) >= percent(max(one, other))


def test_down_only_when_asked_and_until_well_below() -> None:
    def said(steering: Steering, cpu: float) -> bytes:
        return steering.answer(CheckReading(cpu=cpu)).line(ready=False)

    assert said(Steering(10), 93) == b"up 10% #cpu 93% > 80%\n"
    steering = Steering(10, down_above=True)
    assert said(steering, 93) == b"down #cpu 93% > 80%\n"
    assert said(steering, 75) == b"down #cpu 75% of 80%\n"
    assert said(steering, 72) == b"up 93% #cpu 72% of 80%\n"


@pytest.mark.parametrize("floor", [0, 101, True])
def test_a_wrong_floor_is_named(floor: int) -> None:
    with pytest.raises(ValueError, match="floor is"):
        Steering(floor)


def test_ready_is_said_to_each_haproxy_for_a_while() -> None:
    peers = ReadyPeers()
    assert [peers.hears("a", now) for now in (0, 10, 31, 60, 61)] == [True] * 3 + [False] * 2
    assert peers.hears("b", 3600), "one that could not ask for an hour"
    peers.forget()
    assert peers.hears("a", 62)
    for number in range(2 * MOST_PEERS):
        peers.hears(str(number), 63)
    assert len(peers._peers) == MOST_PEERS


def test_it_answers_without_input_and_to_any_input(check: AgentCheck) -> None:
    assert asked(check.port) == b"ready up 100%\n"
    with socket.create_connection(("127.0.0.1", check.port), 20) as client:
        client.sendall(b"\0\xff GET / HTTP/1.1\r\n" * 50)
        assert client.makefile("rb").readline() == b"ready up 100%\n"
    with socket.create_connection(("127.0.0.1", check.port), 20) as client:
        client.settimeout(20)
        # One that never ends is cut off.
        with pytest.raises(ConnectionError):
            client.sendall(bytes(200_000_000))


def test_silent_clients_in_numbers_neither_block_it_nor_stay(check: AgentCheck) -> None:
    clients: list[socket.socket] = []
    try:
        while len(clients) < 2 * MOST_CONNECTIONS:
            clients += [socket.create_connection(("127.0.0.1", check.port), 20)]
        assert asked(check.port).startswith(b"ready up 100%")
        assert len(check._connections) <= MOST_CONNECTIONS
        wait(lambda: not len(check._connections), "silent clients are cut off")
    finally:
        for client in clients:
            client.close()


def test_what_cannot_be_read_changes_nothing_for_a_while_and_then_is_up(
    check: AgentCheck, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.says = CheckReading(cpu=80.0)
    wait(lambda: check.answer.percent == 55, "a weight")
    told.says = CheckReading(admin="drain", reason="kernel")
    wait(lambda: check.answer.admin == "drain", "a drain")
    told.says = PoolUnavailableError("nobody listens")
    wait(lambda: check._trouble == "nobody listens", "trouble")
    assert asked(check.port) == b"drain up #kernel\n"
    monkeypatch.setattr(agent_check, "LAST_KNOWN", 0.0)
    wait(lambda: check.answer.admin == "", "the end of what is known")
    # Neither ready nor drain: HAProxy keeps the drain that it was told.
    assert asked(check.port) == b"up 55% #last weight, nothing known: nobody listens\n"
    told.says = CheckReading(cpu=1.0)
    wait(lambda: check.answer.percent == 100, "back")
    assert asked(check.port) == b"ready up 100%\n"


def test_it_drains_until_no_request_is_at_work(told: Told) -> None:
    told.says = CheckReading(cpu=1.0, in_flight=2)

    async def leave() -> tuple[Answer, bool, bool]:
        check = AgentCheck(told, interval=0.05, drain_seconds=20, settle_seconds=0.0)
        async with check:
            leaving = asyncio.create_task(check.drain())
            while check.answer.admin != "drain":
                await asyncio.sleep(0)
            answer, early = check.answer, leaving.done()
            told.says = CheckReading(cpu=1.0, in_flight=0)
            return answer, early, await leaving

    answer, early, empty = asyncio.run(leave())
    assert answer.reason == "the server is shutting down, 2 requests at work"
    assert (early, empty) == (False, True)


def test_a_place_that_is_taken_is_said(check: AgentCheck, told: Told) -> None:
    with pytest.raises(OSError, match="in use"):
        AgentCheck(told, port=check.port).start()


async def test_local_loads_are_smoothed() -> None:
    uses = iter([ServerUsage(None, 50.0), ServerUsage(90.0, None)])
    source = LocalSource(lambda: next(uses), in_flight=lambda: 3)
    first, second = await source.read(), await source.read()
    assert (first.cpu, first.memory, first.in_flight) == (None, 50.0, 3)
    assert (second.cpu, second.memory) == (90.0, 50.0)


def test_a_container_is_measured_by_its_own_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("100000 100000\n")
    (group / "cpu.stat").write_text("usage_usec 1000000\nuser_usec 5\n")
    (group / "memory.max").write_text("1000\n")
    (group / "memory.current").write_text("700\n")
    (group / "memory.stat").write_text("anon 500\ninactive_file 200\n")
    module = "perftui.pool.agent_check_machine"
    monkeypatch.setattr(f"{module}.memory_limit_of_machine", lambda: 1000)
    monkeypatch.setattr(f"{module}.cpus_of_machine", lambda: 1.0)
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(f"{module}.time.monotonic", lambda: next(clock))
    share = MachineShare(tmp_path)
    assert share() == ServerUsage(None, 50.0)
    (group / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 5\n")
    assert share().cpu == pytest.approx(25.0)


def test_a_machine_without_limits_is_measured(tmp_path: Path) -> None:
    share = MachineShare(tmp_path)
    memory = share().memory
    assert memory is not None
    assert 0 < memory <= 100
    wait(lambda: (share().cpu or 0.0) > 0, "CPU use of the machine")


async def test_what_the_pool_says_of_a_server(redis_server: RedisProcess) -> None:
    rules = EligibilityRules(smoothing=0.0, cpu_threshold=50.0)
    async with PoolRegistry(redis_server.url, "web", rules=rules, timeout=5.0) as registry:
        source, steering = RegistrySource(registry, "a"), Steering(10)

        async def said() -> bytes:
            return steering.answer(await source.read(), 70).line(ready=False)

        assert await said() == b"up 70% #no a in the pool web\n"
        await registry.register("a", "x:1", 10)
        await registry.heartbeat("a", 50.0, 1.0, None, 4)
        assert await said() == b"up 55% #cpu 50% of 50%\n"
        assert (await source.read()).in_flight == 4
        await registry.set_weight("a", 5)
        await registry.heartbeat("a", 1.0, 1.0, None, 4)
        assert await said() == b"up 50% #weight set by an operator\n"
        await registry.set_state("a", "drain", "kernel; b\u00e4r\n")
        assert await said() == b"drain up #kernel; b?r\n"
        await registry.set_state("a", "maint", "disk")
        assert await said() == b"maint up #disk\n"
        await registry.set_state("a", "ready", "done")
        await registry.set_weight("a", 0)
        assert (await said()).startswith(b"up 0% #weight 0")
        await registry.set_weight("a", None)
        await registry.heartbeat("a", 1.0, 1.0, None, 4, leaving=True)
        assert await said() == b"drain up #the server is shutting down\n"
        await registry.heartbeat("a", 1.0, 1.0, None, 4)
        redis_server.client.zincrby("perftui:pool:{web}:seen", -12, "a")
        assert (await said()).startswith(b"up 10% #no heartbeat for 12 s")


async def test_stored_limits_hold(redis_server: RedisProcess) -> None:
    async with PoolRegistry(redis_server.url, "web", timeout=5.0) as registry:
        assert await registry.limits() == registry.rules
        stored = EligibilityRules(cpu_threshold=33.0, strict=True, calm_beats=4)
        await PoolRegistry(redis_server.url, "web", timeout=5.0).set_limits(stored)
        assert await registry.limits() == stored
        redis_server.client.hset("perftui:pool:{web}:limits", "cpu_threshold", "many")
        assert await registry.limits() == registry.rules


@pytest.fixture
def haproxy(tmp_path: Path, check: AgentCheck) -> Iterator[HaproxyTarget]:
    if HAPROXY is None:
        pytest.skip("haproxy is not installed")
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(tmp_path, check.port))
    target = HaproxyTarget(str(tmp_path / "admin.sock"))
    process = subprocess.Popen([HAPROXY, "-db", "-f", config], stderr=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            return bool(ask(target, "show info"))
        except HaproxyError:
            return False

    try:
        wait(answers, "HAProxy answers")
        yield target
    finally:
        process.kill()
        process.wait()


def line_of(target: HaproxyTarget) -> ServerLine:
    return next(iter(server_lines(ask(target, "show stat"))))


def test_a_real_haproxy_follows_and_shows_why(
    haproxy: HaproxyTarget, check: AgentCheck, told: Told
) -> None:
    def becomes(status: str, weight: int, reason: str) -> None:
        def reached() -> bool:
            line = line_of(haproxy)
            return (
                line.text("status") == status
                and line.number("weight") == weight
                and reason in line.text("last_agt")
            )

        wait(reached, f"{status} {weight} {reason}")

    told.says = CheckReading(cpu=80.0)
    becomes("no check", 55, "up (cpu 80% of 80%)")
    told.says = CheckReading(cpu=99.0)
    becomes("no check", 10, "up (cpu 99% > 80%)")
    told.says = CheckReading(admin="drain", reason="kernel")
    becomes("DRAIN (agent)", 10, "up (kernel)")
    told.says = CheckReading(admin="maint", reason="disk")
    becomes("MAINT", 10, "up (disk)")
    told.says = CheckReading(cpu=1.0)
    becomes("no check", 100, "up")


def test_an_operators_drain_in_haproxy_is_left_alone(
    haproxy: HaproxyTarget, check: AgentCheck, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perftui.pool.agent_check_connections.READY_FOR", 0.0)
    wait(lambda: b"ready" not in check.line("127.0.0.1"), "ready was said often enough")
    HaproxyActions(haproxy).set_state("api", "a", "drain")
    told.says = CheckReading(cpu=80.0)
    wait(lambda: line_of(haproxy).number("weight") == 55, "a weight")
    assert line_of(haproxy).text("status").startswith("DRAIN")


def test_down_in_a_real_haproxy(haproxy: HaproxyTarget, check: AgentCheck, told: Told) -> None:
    check._steering = Steering(10, down_above=True)
    told.says = CheckReading(cpu=93.0)
    wait(lambda: line_of(haproxy).text("status") == "DOWN (agent)", "down")
    assert "cpu 93% > 80%" in line_of(haproxy).text("last_agt")
    told.says = CheckReading(cpu=10.0)
    wait(lambda: line_of(haproxy).text("status") == "no check", "up again")


def started(*words: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "perftui", "agent-check", "--listen", "127.0.0.1:0", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "answering agent checks" in line, line
    return process, int(line.rpartition(":")[2])


async def test_the_command_drains_at_sigterm_until_no_request_is_at_work(
    redis_server: RedisProcess,
) -> None:
    async with PoolRegistry(redis_server.url, "web", timeout=5.0) as registry:
        await registry.register("a", "x:1")
        await registry.heartbeat("a", 1.0, 1.0, None, 0)
        await registry.set_state("a", "maint", "disk")
    process, port = started("--redis", redis_server.url, "--pool", "web", "--server", "a")
    try:
        assert asked(port) == b"maint up #disk\n"
        process.send_signal(signal.SIGTERM)
        wait(lambda: asked(port).startswith(b"drain up #the server is shutting down"), "a drain")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_a_second_sigterm_ends_a_local_one_at_once() -> None:
    process, port = started("--local", "--drain-seconds", "600", "--floor", "30")
    try:
        assert asked(port).startswith(b"ready up ")
        process.send_signal(signal.SIGTERM)
        wait(lambda: asked(port).startswith(b"drain"), "a drain")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say where to listen: --listen HOST:PORT"),
        (("--listen", ":0"), "say which server: --local"),
        (("--listen", ":0", "--local", "--pool", "web"), "leave out --pool"),
        (("--listen", ":0", "--pool", "web", "--server", "a"), "no Redis is named"),
        (("--listen", ":0", "--local", "--floor", "0"), "--floor is '0'"),
        (("--listen", ":0", "--local", "--floor", "1.5"), "a whole number"),
        (("--listen", "80", "--local"), "--listen is '80'"),
    ],
)
def test_wrong_usage_is_said_in_one_line(
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from perftui.cli import main

    monkeypatch.delenv("REDIS_URL", raising=False)
    assert main(["agent-check", *words]) == 2
    told = capfd.readouterr().err
    assert said in told
    assert told.count("\n") == 1
