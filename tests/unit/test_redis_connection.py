"""Redis URLs, and why a server cannot be read, against real servers and sockets."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis_fixture import RedisProcess

from perftui.snapshot import State
from perftui.sources.redis.connection import Link, RedisTarget, connect, failure
from perftui.sources.source import SourceError

SECRET = "hunter2-s3cr3t"


def _error(target: RedisTarget, *command: str, timeout: float = 0.5) -> SourceError:
    with pytest.raises(SourceError) as caught, Link(target, timeout).use() as client:
        client.execute_command(*(command or ("PING",)))
    return caught.value


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", "localhost:6379"),
        ("redis://cache.example:6380/2", "cache.example:6380/2"),
        ("redis://cache.example/0?socket_timeout=5", "cache.example:6379"),
        (f"rediss://ann:{SECRET}@[::1]:7000/?db=3", "[::1]:7000/3"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
        (f"unix://:{SECRET}@/run/redis.sock?db=4", "/run/redis.sock db 4"),
    ],
)
def test_shows_the_place_without_the_secret(url: str, address: str) -> None:
    target = RedisTarget.parse(url)
    assert target.address == address
    assert SECRET not in f"{target!r} {target} {target.command}"


def test_reads_all_parts_of_a_url() -> None:
    target = RedisTarget.parse(
        "rediss://ann:p%40ss%2F1@h:1/5?ssl_ca_certs=/ca&ssl_certfile=/c&ssl_keyfile=/k"
        "&ssl_cert_reqs=none"
    )
    assert target == RedisTarget(
        "rediss", "h", 1, "", 5, "ann", "p@ss/1", "/ca", "/c", "/k", "none"
    )


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"http://:{SECRET}@h", "starts with redis://"),
        (f"{SECRET}@h:6379", "starts with redis://"),
        (f"redis://:{SECRET}#tail@h:6379/0", "port"),
        (f"redis://:a/{SECRET}@h:6379/0", "port"),
        (f"redis://h:{SECRET}", "port"),
        ("redis://h:0", "port"),
        ("redis://h:70000", "port"),
        (f"redis://[{SECRET}", "host or port"),
        (f"redis://:pw@h/{SECRET}", "database"),
        ("redis://h/-1", "database"),
        (f"redis://h/0#{SECRET}", "#"),
        (f"redis://h?{SECRET}=1", "unknown option"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix://", "names no socket"),
    ],
)
def test_names_what_is_wrong_with_a_url(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        RedisTarget.parse(url)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text(max_size=8), st.text(max_size=8))
def test_no_url_makes_it_print_the_password(before: str, after: str) -> None:
    shown = ""
    try:
        shown = repr(RedisTarget.parse(f"redis://ann:{before}{SECRET}{after}@h:6379/1"))
    except ValueError as error:
        shown = str(error)
    assert SECRET not in shown


def test_importing_the_sources_does_not_import_the_client() -> None:
    code = (
        "import sys, perftui.sources.redis.server, perftui.sources.services.source;"
        "import perftui.sources.pools;"
        "assert 'redis' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def test_names_itself_to_the_server(redis_server: RedisProcess) -> None:
    client = connect(RedisTarget.parse(redis_server.url))
    assert client.client_getname() in ("perftui", b"perftui")
    client.close()


def test_a_user_without_the_client_command_can_connect(redis_server: RedisProcess) -> None:
    redis_server.client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "+ping")
    target = RedisTarget(scheme="unix", path=redis_server.socket, username="ann", password="pw")
    with Link(target).use() as client:
        assert client.execute_command("PING") in (b"PONG", "PONG", True)


def test_refused_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = taken.getsockname()[1]
        start = time.monotonic()
        absent = _error(RedisTarget(host="127.0.0.1", port=port)).absent
    assert absent.state is State.UNAVAILABLE
    assert absent.reason == f"Redis at 127.0.0.1:{port} refused the connection"
    assert time.monotonic() - start < 2


def test_no_such_socket_and_no_such_host() -> None:
    absent = _error(RedisTarget(scheme="unix", path="/nonexistent/redis.sock")).absent
    assert absent.reason == "Redis socket /nonexistent/redis.sock does not exist"
    absent = _error(RedisTarget(host="no-such-host.invalid"), timeout=2).absent
    assert "cannot be resolved" in absent.reason


def test_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        start = time.monotonic()
        absent = _error(RedisTarget(host="127.0.0.1", port=port), timeout=0.2).absent
    assert absent.reason == f"Redis at 127.0.0.1:{port} did not answer within 0.2 s"
    assert time.monotonic() - start < 2


def test_wrong_and_missing_password(start_redis: Callable[..., RedisProcess]) -> None:
    server = start_redis(requirepass=SECRET)
    absent = _error(RedisTarget(scheme="unix", path=server.socket)).absent
    assert absent.state is State.DENIED
    assert "wants a password" in absent.reason
    wrong = RedisTarget(scheme="unix", path=server.socket, password="wr0ng-one")
    absent = _error(wrong).absent
    assert absent.state is State.DENIED
    assert "refused the user name or password of user default" in absent.reason
    assert "wr0ng-one" not in absent.reason + absent.fix
    right = RedisTarget(scheme="unix", path=server.socket, password=SECRET)
    with Link(right).use() as client:
        client.execute_command("PING")


def test_a_password_where_none_is_set(redis_server: RedisProcess) -> None:
    target = RedisTarget(scheme="unix", path=redis_server.socket, password=SECRET)
    absent = _error(target).absent
    assert "has no password, but the Redis URL gives one" in absent.reason


def test_names_the_command_that_is_not_allowed(redis_server: RedisProcess) -> None:
    redis_server.client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "+ping", "+get")
    target = RedisTarget(scheme="unix", path=redis_server.socket, username="ann", password="pw")
    absent = _error(target, "INFO").absent
    assert absent.state is State.DENIED
    assert "does not allow user ann to run INFO" in absent.reason
    assert absent.fix == f"redis-cli -s {redis_server.socket} ACL SETUSER ann +info"
    absent = _error(target, "GET", "perftui:x").absent
    assert "keys under perftui:" in absent.reason
    # The fix it gives is a command that Redis takes and that helps.
    redis_server.client.execute_command("ACL", "SETUSER", "ann", "+info", "~perftui:*")
    with Link(target).use() as client:
        client.execute_command("INFO")
        client.execute_command("GET", "perftui:x")


def test_maximum_number_of_clients(start_redis: Callable[..., RedisProcess]) -> None:
    server = start_redis(maxclients="1")
    server.client.ping()
    target = RedisTarget(scheme="unix", path=server.socket)
    absent = _error(target).absent
    # The server closes at once; whether its words are read first is a matter of timing.
    assert "maxclients" in absent.fix
    said = failure(redis.ConnectionError("max number of clients reached"), target)
    assert "maximum number of clients" in said.absent.reason


def test_no_such_database(redis_server: RedisProcess) -> None:
    absent = _error(RedisTarget(scheme="unix", path=redis_server.socket, db=999)).absent
    assert "has no database 999" in absent.reason


def test_tls_to_a_server_without_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        target = RedisTarget(scheme="rediss", host="127.0.0.1", port=port)
        link = Link(target, 2)

        def answer() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(b"-ERR unknown command\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SourceError) as caught, link.use() as client:
            client.execute_command("PING")
        thread.join()
    assert "does not speak TLS" in caught.value.absent.reason


def test_texts_of_servers_in_trouble() -> None:
    target = RedisTarget(password=SECRET)
    loading = failure(redis.BusyLoadingError("Redis is loading the dataset in memory"), target)
    assert "still loading" in loading.absent.reason
    other = failure(redis.ConnectionError(f"strange {SECRET}\r\nthing"), target)
    assert other.absent.reason == "Redis at localhost:6379: strange *** thing"


def test_waits_longer_between_attempts_and_comes_back(redis_server: RedisProcess) -> None:
    now = [100.0]
    link = Link(RedisTarget.parse(redis_server.url), clock=lambda: now[0])

    def ping() -> str:
        try:
            with link.use() as client:
                client.execute_command("PING")
        except SourceError as error:
            return error.absent.reason
        return ""

    assert ping() == ""
    redis_server.kill()
    assert ping() != ""
    redis_server.start()
    refused = ping()
    assert refused != "", "it must not try again at once"
    now[0] += 0.6
    assert ping() == ""
    redis_server.kill()
    for _ in range(8):
        ping()
        now[0] += 5.1
    redis_server.start()
    assert ping() == ""
    link.close()
    assert "is closed" in ping()
