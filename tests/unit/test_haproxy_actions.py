"""State and weight of servers in a real HAProxy, and its table of statistics."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.pool.haproxy_actions import HaproxyActions, consequence
from perftui.pool.haproxy_socket import HaproxyError, HaproxyRefusedError, HaproxyTarget, ask
from perftui.sources.haproxy.statistics import ServerLine, StatisticsError, server_lines

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
CONFIG = """
global
  stats socket {0}/admin.sock mode 600 level admin
  stats socket {0}/operator.sock mode 600 level operator
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend web
  bind unix@{0}/web.sock
  default_backend api
backend api
  server a 127.0.0.1:1 weight 100
  server b 127.0.0.1:1 weight 100
  server c 127.0.0.1:1 weight 100
"""


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Path]:
    if HAPROXY is None:
        pytest.skip("haproxy is not installed")
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(tmp_path))
    process = subprocess.Popen([HAPROXY, "-db", "-f", config], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while True:
            try:
                ask(HaproxyTarget(str(tmp_path / "admin.sock")), "show info")
                break
            except HaproxyError:
                assert time.monotonic() < end
                time.sleep(0.02)
        yield tmp_path
    finally:
        process.kill()
        process.wait()


def server(path: Path, name: str) -> ServerLine:
    lines = server_lines(ask(HaproxyTarget(str(path / "admin.sock")), "show stat"))
    return next(line for line in lines if line.text("svname") == name)


def test_state_and_weight_are_seen_in_show_stat(haproxy: Path) -> None:
    actions = HaproxyActions(HaproxyTarget.parse(str(haproxy / "admin.sock")))
    assert actions.level() == "admin"
    actions.set_state("api", "a", "drain")
    assert server(haproxy, "a").text("status").split()[0] == "DRAIN"
    actions.set_state("api", "a", "maint")
    assert server(haproxy, "a").text("status") == "MAINT"
    actions.set_state("api", "a", "ready")
    assert server(haproxy, "a").text("status") == "no check"
    actions.set_weight("api", "b", 30)
    assert server(haproxy, "b").number("weight") == 30
    actions.set_weight("api", "b", "50%")
    assert server(haproxy, "b").number("weight") == 50
    with pytest.raises(HaproxyRefusedError, match=r"^No such server\.$"):
        actions.set_state("api", "nobody", "drain")


def test_an_operator_is_refused_in_haproxys_words(haproxy: Path) -> None:
    actions = HaproxyActions(HaproxyTarget.parse(str(haproxy / "operator.sock")))
    assert actions.level() == "operator"
    with pytest.raises(HaproxyRefusedError, match=r"^Permission denied$"):
        actions.set_state("api", "a", "drain")
    assert server(haproxy, "a").text("status") == "no check"


@pytest.mark.parametrize("name", ["a;show info", "a\nb", "", "a b", "a/b"])
def test_no_name_ends_the_command(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a server"):
        HaproxyActions(HaproxyTarget("/nowhere")).set_state("api", name, "drain")


def test_consequence() -> None:
    states = {"a": "ready", "b": "ready"}
    assert consequence(states, ("a",), "drain") == "leaves 1 of 2 servers ready, now 2"
    assert consequence(states, ("a", "b"), "maint").endswith("no server is left to take requests")


@given(st.text(max_size=300), st.booleans())
def test_any_answer_is_a_table_or_said_to_be_none(text: str, headed: bool) -> None:
    head = "# pxname,svname,type,status,weight,\n" if headed else ""
    try:
        lines = list(server_lines(head + text))
    except StatisticsError:
        return
    assert all(line.text("type") == "2" for line in lines)
    for line in lines:
        line.number("weight")
