"""A Redis that is away, dies, freezes or refuses: said with its fix, and over when it is over."""

from __future__ import annotations

from collections.abc import Callable

import redis
from dashboard_session import Dashboard
from redis_fixture import RedisProcess

WELL = "ping"


def await_progress(session: Dashboard) -> None:
    """The other panes go on: the clock, which is the time of the snapshot, moves twice."""
    for _ in range(2):
        shown = session.screen.display[0][-10:]
        session.wait_until(lambda s=shown: session.screen.display[0][-10:] != s, "new snapshot", 5)
    assert "CPU" in session.words("1 Resources")
    session.send("8")
    session.wait_words("8 Processes", "pid")


def test_absent_then_killed_then_frozen(redis_server: RedisProcess) -> None:
    redis_server.kill()
    with Dashboard("--redis", redis_server.url) as session:
        session.wait_filled()
        said = session.wait_words("4 Cache", "refused the connection")
        assert "unavailable: Redis at" in said
        assert "fix: start it (systemctl start redis)" in said
        assert "redis" in session.screen.display[0]
        session.wait_words("6 Servers", "unavailable")
        await_progress(session)

        redis_server.start()
        session.wait_words("4 Cache", WELL)
        session.wait_words("6 Servers", "no pool is registered")

        redis_server.kill()
        session.wait_words("4 Cache", "refused the connection")
        await_progress(session)
        redis_server.start()
        session.wait_words("4 Cache", WELL)

        redis_server.freeze()
        said = session.wait_words("4 Cache", "did not answer")
        assert "fix: see whether it is stopped" in said
        await_progress(session)
        redis_server.thaw()
        session.wait_words("4 Cache", WELL)

        session.send("q")
        assert session.wait_exit(5) == 0


def test_a_frozen_redis_does_not_hold_the_exit(redis_server: RedisProcess) -> None:
    with Dashboard("--redis", redis_server.url, "--allow-actions") as session:
        session.wait_words("4 Cache", WELL)
        redis_server.freeze()
        session.press("i", "Pattern")
        session.press("*", "estimating")
        session.read_for(0.5)
        session.send("\x1b")
        session.wait_gone("Pattern")
        session.send("q")
        assert session.wait_exit(3) == 0
        assert session.missing_farewell() == []
        redis_server.thaw()


def test_wrong_password_then_the_right_one(
    start_redis: Callable[..., RedisProcess],
) -> None:
    server = start_redis(requirepass="s3cret-right")
    admin = redis.Redis(unix_socket_path=server.socket, password="s3cret-right")
    url = server.url.replace("unix://", "unix://:s3cret-typed@")
    with Dashboard("--redis", "unix:///nowhere", env={"REDIS_URL": url}) as session:
        session.wait_words("4 Cache", "does not exist")
        session.send("q")
        assert session.wait_exit(5) == 0
    with Dashboard(env={"REDIS_URL": url}) as session:
        session.wait_filled()
        said = session.wait_words("4 Cache", "denied: Redis at")
        assert "refused the user name or password" in said
        assert "fix: put the right ones in the Redis URL" in said
        await_progress(session)
        admin.config_set("requirepass", "s3cret-typed")
        session.wait_words("4 Cache", WELL)
        session.send("q")
        assert session.wait_exit(5) == 0
        assert b"s3cret" not in session.raw


def test_password_is_wanted(start_redis: Callable[..., RedisProcess]) -> None:
    server = start_redis(requirepass="s3cret-right")
    with Dashboard("--redis", server.url) as session:
        session.wait_filled()
        said = session.wait_words("4 Cache", "wants a password")
        assert "fix: put it in the Redis URL: redis://:PASSWORD@HOST:PORT" in said


def test_rights_are_missing_then_granted(redis_server: RedisProcess) -> None:
    rights = ("on", ">pw", "~*", "+@all", "-info")
    redis_server.client.execute_command("ACL", "SETUSER", "seer", *rights)
    url = redis_server.url.replace("unix://", "unix://seer:pw@")
    with Dashboard(env={"REDIS_URL": url}) as session:
        session.wait_filled()
        said = session.wait_words("4 Cache", "does not allow user seer to run INFO")
        assert "ACL SETUSER seer +info" in said
        redis_server.client.execute_command("ACL", "SETUSER", "seer", "+info")
        session.wait_words("4 Cache", WELL)
