"""Servers behind a real HAProxy: states, weights, rates, levels of the socket, and its failures."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from haproxy_fixture import Haproxy
from hypothesis import given
from hypothesis import strategies as st

from perftui.config.settings import Haproxy as HaproxySettings
from perftui.pool.haproxy_actions import HaproxyActions
from perftui.pool.haproxy_socket import HaproxyTarget
from perftui.snapshot import Absent, Pool, PoolServer, State
from perftui.sources.haproxy.counters import CounterHistory, Counters
from perftui.sources.haproxy.servers import pools_of
from perftui.sources.haproxy.source import HaproxySource
from perftui.sources.haproxy.statistics import server_lines
from perftui.sources.source import SourceError

HEAD = (
    "# pxname,svname,type,status,addr,scur,qcur,stot,lbtot,weight,uweight,econ,eresp,hrsp_5xx,"
    "rtime,lastchg,chkfail,chkdown,throttle,check_status,last_chk,last_agt,req_tot,\n"
)


def source_of(*sockets: str) -> HaproxySource:
    return HaproxySource(HaproxySettings(sockets=sockets, timeout=5.0))


def only(pools: tuple[Pool, ...]) -> Pool:
    assert [pool.name for pool in pools] == ["api"]
    return pools[0]


def servers(source: HaproxySource) -> dict[str, PoolServer]:
    return {server.id: server for server in only(source.sample()).servers}


def wait_for(true: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.03)


def line(**columns: object) -> str:
    names = HEAD[2:].strip().strip(",").split(",")
    values = {"pxname": "api", "svname": "a", "type": "2", "status": "UP", **columns}
    return HEAD + ",".join(str(values.get(name, "")) for name in names) + ",\n"


def parsed(text: str) -> Pool:
    return only(pools_of(tuple(server_lines(text)), CounterHistory(), "/s", "admin"))


def test_a_backend_is_a_pool(haproxy: Haproxy) -> None:
    source = source_of(haproxy.socket())
    wait_for(lambda: all("L7OK" in each.last_check for each in servers(source).values()))
    pool = only(source.sample())
    assert (pool.origin, pool.endpoint, pool.level) == ("haproxy", haproxy.socket(), "admin")
    assert [server.id for server in pool.servers] == ["a", "b", "c"]
    for server, backend in zip(pool.servers, haproxy.backends, strict=True):
        assert server.address == f"127.0.0.1:{backend.port}"
        assert (server.state, server.weight, server.weight_set) == ("ready", 100, 100)
        assert isinstance(server.cpu_usage, Absent)
        assert isinstance(server.memory_usage, Absent)
        assert isinstance(server.response_p95, Absent)


def test_picks_requests_and_errors_are_counted(haproxy: Haproxy) -> None:
    source = source_of(haproxy.socket())
    wait_for(lambda: only(source.sample()).eligible == 3)
    haproxy.backends[0].status = 500
    haproxy.get(30)
    now = servers(source)
    assert sum(server.picks for server in now.values()) == 30  # type: ignore[misc]
    a, b = now["a"], now["b"]
    assert isinstance(a.error_percent, float)
    assert a.error_percent > 50
    assert b.error_percent == 0.0
    assert isinstance(a.requests_per_second, float)
    assert a.requests_per_second > 0
    assert abs(a.picks_percent - 100 / 3) < 1  # type: ignore[operator]
    assert abs(a.picks_expected_percent - 100 / 3) < 0.01  # type: ignore[operator]


@pytest.mark.parametrize("level", ["user", "operator", "admin"])
def test_levels_are_told_apart(haproxy: Haproxy, level: str) -> None:
    pool = only(source_of(haproxy.socket(level)).sample())
    assert pool.level == level
    assert bool(pool.servers[0].address) == (level != "user")


def test_what_an_operator_does_is_seen(haproxy: Haproxy) -> None:
    source = source_of(haproxy.socket())
    actions = HaproxyActions(HaproxyTarget.parse(haproxy.socket()))
    wait_for(lambda: only(source.sample()).eligible == 3)
    actions.set_state("api", "a", "drain")
    actions.set_state("api", "b", "maint")
    actions.set_weight("api", "c", 50)
    now = servers(source)
    assert [now[name].state for name in "abc"] == ["drain", "maint", "ready"]
    assert [now[name].decided for name in "abc"] == ["drain", "maint", ""]
    assert now["c"].weight == 50
    assert only(source.sample()).eligible == 1


def test_a_server_that_dies_is_down_with_the_words_of_the_check(haproxy: Haproxy) -> None:
    source = source_of(haproxy.socket())
    wait_for(lambda: only(source.sample()).eligible == 3)
    haproxy.backends[1].close()
    wait_for(lambda: servers(source)["b"].state == "down")
    b = servers(source)["b"]
    # Which of the two depends on whether a connection was open at that moment.
    assert b.reason.startswith(("L4CON", "SOCKERR"))
    assert b.checks_down == 1
    assert b.eligible is False


def test_a_new_process_gives_no_negative_rate(haproxy: Haproxy) -> None:
    source = source_of(haproxy.socket())
    wait_for(lambda: only(source.sample()).eligible == 3)
    haproxy.get(20)
    source.sample()
    haproxy.stop()
    with pytest.raises(SourceError):
        source.sample()
    haproxy.start()
    first = servers(source)
    assert all(isinstance(server.requests_per_second, Absent) for server in first.values())
    second = servers(source)
    assert all(server.requests_per_second >= 0 for server in second.values())  # type: ignore[operator]


def test_one_dead_socket_does_not_hide_the_other(haproxy: Haproxy, tmp_path: Path) -> None:
    dead = str(tmp_path / "dead.sock")
    found = source_of(dead, haproxy.socket()).sample()
    assert [pool.name for pool in found] == [dead, "api"]
    assert isinstance(found[0].eligible, Absent)
    assert found[0].servers == ()
    assert "admin" in found[0].eligible.fix


def test_nothing_there_is_said_with_its_fix(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as raised:
        source_of(str(tmp_path / "no.sock")).sample()
    absent = raised.value.absent
    assert absent.state is State.UNAVAILABLE
    assert str(tmp_path / "no.sock") in absent.reason
    assert absent.fix.startswith("start haproxy with: stats socket")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open any socket")
def test_no_permission_is_denied(haproxy: Haproxy) -> None:
    Path(haproxy.socket()).chmod(0)
    with pytest.raises(SourceError) as raised:
        source_of(haproxy.socket()).sample()
    assert raised.value.absent.state is State.DENIED


@pytest.mark.parametrize(
    "answer", [b"\n", b"HTTP/1.1 400 Bad request\r\n\r\n", b"# a,b\n\n", b"\xff"]
)
def test_what_is_not_haproxy_is_named(tmp_path: Path, answer: bytes) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            link, _ = listener.accept()
            link.recv(1000)
            link.sendall(answer)
            link.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(SourceError, match="no stats socket of HAProxy"):
            source_of(path).sample()
        thread.join()


@pytest.mark.parametrize(
    ("status", "state", "detail"),
    [
        ("UP", "ready", ""),
        ("UP 1/3", "ready", "1/3"),
        ("DOWN 1/2", "down", "1/2"),
        ("DOWN (agent)", "down", "(agent)"),
        ("DRAIN (agent)", "drain", "(agent)"),
        ("MAINT (via api/a)", "maint", "(via api/a)"),
        ("MAINT (resolution)", "maint", "(resolution)"),
        ("NOLB", "down", ""),
        ("no check", "ready", "no check"),
        ("WHATEVER 7", "down", "WHATEVER 7"),
    ],
)
def test_open_ended_states(status: str, state: str, detail: str) -> None:
    server = parsed(line(status=status, weight=1)).servers[0]
    assert (server.state, server.detail) == (state, detail)


def test_an_agent_that_took_it_out_is_the_reason() -> None:
    told = line(status="DOWN (agent)", weight=1, last_agt="cpu 93 % > 80 %")
    server = parsed(told).servers[0]
    assert server.reason == "cpu 93 % > 80 %"
    assert server.decided == ""


def test_slow_start_is_told() -> None:
    server = parsed(line(weight=6, uweight=100, throttle=6)).servers[0]
    assert server.detail == "slow start: 6 % of its weight"
    assert (server.weight, server.weight_set) == (6, 100)


def test_an_idle_server_has_no_old_response_time() -> None:
    assert isinstance(parsed(line(rtime=0, stot=0)).servers[0].response_mean, Absent)
    assert parsed(line(rtime=7, stot=3)).servers[0].response_mean == 0.007


def test_cleared_counters_give_no_rate() -> None:
    history = CounterHistory()
    for now, count in ((0.0, 10), (1.0, 0), (2.0, 5)):
        history.add(now, "p", {("api", "a"): Counters(count, count, 0)})
    assert (
        history.grown(("api", "a"), 0.0) is None or history.grown(("api", "a"), 0.0)[1].picks >= 0
    )  # type: ignore[index]


@given(
    st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20), st.text(max_size=8)), max_size=8)
)
def test_any_names_and_states_make_pools(rows: list[tuple[str, str, str]]) -> None:
    text = HEAD + "".join(
        '"{}","{}",2,"{}",\n'.format(*(part.replace('"', '""') for part in row)) for row in rows
    )
    pools = pools_of(tuple(server_lines(text)), CounterHistory(), "/s", "")
    for pool in pools:
        for server in pool.servers:
            assert server.state in ("ready", "drain", "maint", "down")
