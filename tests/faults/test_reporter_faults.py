"""The Reporter when Redis is away, hangs, refuses or is a cluster, and when its process dies."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis_fixture import RedisProcess
from reporter_checks import FAST, HANG, ROOT, reports, wait_for

from perftui.metrics.execution import ExecutionMetrics
from perftui.metrics.report import ENDED_KEY, INDEX_KEY, decode, report_key
from perftui.metrics.reporter import Reporter


@pytest.fixture
def metrics() -> ExecutionMetrics:
    return ExecutionMetrics(registry=CollectorRegistry())


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts Python programs, all of them ended after the test."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | {"PYTHONPATH": ROOT} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


SERVICE = """
import logging, sys, time
logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
from perftui import ExecutionMetrics, Reporter
metrics = ExecutionMetrics()
reporter = Reporter(service="shop", interval=0.1)
begun = time.monotonic()
reporter.start()
assert time.monotonic() - begun < 0.3, "start waited for Redis"
metrics.record_execution("a", 0.01, True)
print("up", flush=True)
sys.stdin.readline()
for _ in range(7): metrics.record_execution("a", 0.01, True)
ended = time.monotonic()
import atexit
"""
# Handlers run in the reverse order, so this one, which is the first, runs last.
AT_EXIT = "import atexit, time; atexit.register(lambda: print(time.monotonic() - ended))\n"


def test_redis_that_goes_and_comes_back_is_one_line_each(
    redis_server: RedisProcess, metrics: ExecutionMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.record_execution("a", 0.1, True)
    with (
        caplog.at_level(logging.INFO, "perftui"),
        Reporter(
            redis_server.url, "shop", interval=FAST, longest_pause=0.4, metrics=metrics
        ) as reporter,
    ):
        wait_for(lambda: reporter.status.reports)
        redis_server.kill()
        wait_for(lambda: reporter.status.state == "failing")
        time.sleep(1.0)
        status = reporter.status
        assert redis_server.socket in status.error
        assert status.last_success is not None
        assert status.last_success > 0.9
        redis_server.start()
        before = status.reports
        wait_for(lambda: reporter.status.reports > before)
        assert reporter.status.error == ""
        [report] = reports(redis_server)
        assert report.operations["a"].count == 1
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "service shop cannot report" in caplog.records[0].getMessage()
    assert "service shop reports again" in caplog.records[1].getMessage()


def test_attempts_become_rare_while_redis_is_away(
    metrics: ExecutionMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"

        def refuse() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    attempts.append(time.monotonic())
                    connection.close()

        threading.Thread(target=refuse, daemon=True).start()
        reporter = Reporter(url, "shop", interval=FAST, metrics=metrics).start()
        wait_for(lambda: len(attempts) >= 5)
        reporter.stop()
        server.close()
    # Pauses of 0.1, 0.2, 0.4 and 0.8 s, each with a quarter of jitter.
    early, late = attempts[2] - attempts[0], attempts[4] - attempts[2]
    assert late > 1.5 * early
    assert late > 0.6


def test_no_secret_in_log_or_status(
    start_redis: Callable[..., RedisProcess],
    metrics: ExecutionMetrics,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = start_redis(requirepass="right")
    url = f"unix://:s3cret@{server.socket}"
    with Reporter(url, "shop", interval=FAST, metrics=metrics) as reporter:
        wait_for(lambda: reporter.status.state == "failing")
        error = reporter.status.error
    assert server.socket in error
    assert "refused to log in" in error
    for text in (error, caplog.text, repr(reporter), repr(reporter.status)):
        assert "s3cret" not in text


def test_a_user_with_few_rights_is_enough(
    start_redis: Callable[..., RedisProcess], metrics: ExecutionMetrics
) -> None:
    server = start_redis()
    rights = "~perftui:* +set +zadd +zrem +zremrangebyscore +expire +time"
    server.client.execute_command(
        "ACL", "SETUSER", "app", "on", ">pw", "resetkeys", "-@all", *rights.split()
    )
    url = f"unix://app:pw@{server.socket}"
    with Reporter(url, "shop", interval=FAST, metrics=metrics) as reporter:
        wait_for(lambda: reporter.status.reports >= 2)
    assert reporter.status.error == ""
    assert server.client.zcard(ENDED_KEY) == 1
    server.client.execute_command("ACL", "SETUSER", "app", "-zadd")
    with Reporter(url, "shop", interval=FAST, metrics=metrics) as reporter:
        wait_for(lambda: reporter.status.state == "failing")
        assert "does not allow it" in reporter.status.error
        assert "zadd" in reporter.status.error
        server.client.execute_command("ACL", "SETUSER", "app", "+zadd")
        wait_for(lambda: reporter.status.state == "reporting")


def test_a_client_lends_its_settings_but_not_its_pool(
    start_redis: Callable[..., RedisProcess], metrics: ExecutionMetrics
) -> None:
    server = start_redis(requirepass="pw")
    pool = redis.BlockingConnectionPool(
        connection_class=redis.UnixDomainSocketConnection,
        path=server.socket,
        password="pw",
        db=3,
        max_connections=1,
        timeout=1,
        decode_responses=True,
        protocol=3,
        retry=Retry(NoBackoff(), 50),
        retry_on_error=[redis.TimeoutError],
    )
    client = redis.Redis(connection_pool=pool)
    with client.pubsub() as subscriber:
        subscriber.subscribe("takes the only connection of the pool")
        with Reporter(client, "shop", interval=FAST, metrics=metrics) as reporter:
            wait_for(lambda: reporter.status.reports >= 2)
            server.freeze()
            wait_for(lambda: reporter.status.state == "failing")
            assert "within 0.5 s" in reporter.status.error
            server.thaw()
            wait_for(lambda: reporter.status.state == "reporting")
    assert client.zcard(ENDED_KEY) == 1
    client.close()


@pytest.mark.parametrize("when", ["before the start", "after reports"])
def test_a_hung_redis_does_not_hold_up_the_end(
    redis_server: RedisProcess, started: Callable[..., subprocess.Popen[str]], when: str
) -> None:
    if when == "before the start":
        redis_server.freeze()
    service = started("-c", SERVICE.replace("import logging", AT_EXIT + "import logging", 1),
                      REDIS_URL=redis_server.url)  # fmt: skip
    assert service.stdout is not None
    assert service.stdout.readline() == "up\n"
    if when == "after reports":
        wait_for(lambda: redis_server.client.zcard(INDEX_KEY))
        redis_server.freeze()
    time.sleep(0.3)
    out, errors = service.communicate("\n", timeout=HANG)
    redis_server.thaw()
    assert service.returncode == 0
    assert float(out) < 0.5 + 0.25
    assert "Traceback" not in errors
    assert "Exception" not in errors


def test_a_clean_end_loses_no_count(
    redis_server: RedisProcess, started: Callable[..., subprocess.Popen[str]]
) -> None:
    service = started("-c", SERVICE, REDIS_URL=redis_server.url)
    assert service.stdout is not None
    assert service.stdout.readline() == "up\n"
    wait_for(lambda: redis_server.client.zcard(INDEX_KEY))
    _, errors = service.communicate("\n", timeout=HANG)
    assert (service.returncode, errors) == (0, "")
    [report] = reports(redis_server)
    assert report.ended
    assert report.operations["a"].count == 8
    assert redis_server.client.zcard(INDEX_KEY) == 0


def test_a_killed_process_stays_in_the_index_with_its_last_report(
    redis_server: RedisProcess, started: Callable[..., subprocess.Popen[str]]
) -> None:
    service = started("-c", SERVICE, REDIS_URL=redis_server.url)
    wait_for(lambda: any(r.operations for r in reports(redis_server)))
    service.kill()
    service.wait(HANG)
    [member] = redis_server.client.zrange(INDEX_KEY, 0, -1)
    report = decode(redis_server.client.get(report_key(*member.decode().split("/"))))
    assert report.pid == service.pid
    assert not report.ended
    assert redis_server.client.zcard(ENDED_KEY) == 0


def test_a_fork_during_an_outage_neither_waits_nor_breaks(
    redis_server: RedisProcess, started: Callable[..., subprocess.Popen[str]]
) -> None:
    redis_server.freeze()
    service = started(
        "-c",
        SERVICE + "for _ in range(3):\n"
        "    before = time.monotonic()\n"
        "    child = __import__('os').fork()\n"
        "    if not child: metrics.record_execution('b', 0.01, True); break\n"
        "    print(time.monotonic() - before < 1.0)\n"
        "    __import__('os').waitpid(child, 0)\n",
        REDIS_URL=redis_server.url,
    )
    # Four ends of a process in a row, each of which waits for Redis as long as it may.
    out, errors = service.communicate("\n", timeout=3 * HANG)
    redis_server.thaw()
    assert service.returncode == 0
    assert out.splitlines()[0] == "up"
    assert out.count("True") == 3
    assert "Traceback" not in errors


def free_port() -> int:
    """Return a free port whose cluster bus, ten thousand above it, is a port too."""
    for _ in range(100):
        with socket.socket() as probe:
            port = random.randrange(20000, 50000)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise RuntimeError("no free port")


@pytest.fixture
def cluster(start_redis: Callable[..., RedisProcess]) -> list[tuple[RedisProcess, int]]:
    """Return two nodes that hold half of the slots each."""
    nodes = []
    for _ in range(2):
        port = free_port()
        options = {"port": str(port), "bind": "127.0.0.1", "cluster_enabled": "yes"}
        nodes.append((start_redis(**options), port))
    (first, _), (second, second_port) = nodes
    first.client.execute_command("CLUSTER", "ADDSLOTS", *range(8192))
    second.client.execute_command("CLUSTER", "ADDSLOTS", *range(8192, 16384))
    # Equal epochs would make the nodes settle them first, which takes seconds.
    second.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", 2)
    first.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", 1)
    first.client.execute_command("CLUSTER", "MEET", "127.0.0.1", second_port)
    for node, _ in nodes:
        wait_for(
            lambda node=node: (
                b"cluster_state:ok" in node.client.execute_command("CLUSTER", "INFO")
                and node.client.execute_command("CLUSTER", "NODES").count(b"connected") == 2
            )
        )
    return nodes


@pytest.mark.parametrize("way", ["a URL of each node", "a cluster client"])
def test_a_cluster_of_two_nodes(
    cluster: list[tuple[RedisProcess, int]], metrics: ExecutionMetrics, way: str
) -> None:
    metrics.record_execution("a", 0.1, True)
    client = redis.RedisCluster(host="127.0.0.1", port=cluster[0][1])
    if way == "a cluster client":
        places: list[redis.RedisCluster | str] = [client]
    else:
        places = [f"redis://127.0.0.1:{port}" for _, port in cluster]
    for place in places:
        with Reporter(place, "shop", interval=FAST, metrics=metrics) as reporter:
            wait_for(lambda reporter=reporter: reporter.status.reports >= 3)
            assert reporter.status.error == ""
            member = f"shop/{reporter.status.instance}"
            assert member.encode() in client.zrange(INDEX_KEY, 0, -1)
            report = decode(client.get(report_key("shop", reporter.status.instance)))
            assert report.operations["a"].count == 1
            assert report.time == pytest.approx(time.time(), abs=5)
        assert member.encode() in client.zrange(ENDED_KEY, 0, -1)
        assert client.zcard(INDEX_KEY) == 0
    client.close()


APPLICATION = """
from perftui import ExecutionMetrics, Reporter
metrics = ExecutionMetrics()
metrics.record_execution("preload", 0.01, True)
Reporter(service="wsgi").start()

@metrics.track("page")
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.parametrize("multiprocess", [False, True])
def test_gunicorn_with_preload_and_workers_that_are_replaced(
    redis_server: RedisProcess,
    started: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    multiprocess: bool,
) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "application.py").write_text(APPLICATION)
    values = tmp_path / "values"
    values.mkdir()
    place = tmp_path / "g"
    environment = {"REDIS_URL": redis_server.url}
    if multiprocess:
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(values)
    server = started(
        "-m", "gunicorn", "--preload", "--workers=2", "--max-requests=20", "--log-level=warning",
        f"--bind=unix:{place}", f"--chdir={tmp_path}", "application:application",
        **environment,
    )  # fmt: skip

    def served() -> bool:
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        try:
            connection.sock.connect(str(place))
            connection.request("GET", "/")
            return connection.getresponse().read() == b"ok"
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    # The socket is there before anybody listens on it.
    wait_for(served)
    answered = 1 + sum(served() for _ in range(90))
    wait_for(lambda: len([r for r in reports(redis_server) if not r.ended]) >= 2)
    server.send_signal(signal.SIGTERM)
    _, errors = server.communicate(timeout=HANG)
    assert "Traceback" not in errors, errors
    found = reports(redis_server)
    pages = [r.operations["page"].count for r in found if "page" in r.operations]
    assert answered > 80
    assert sum(pages) == answered
    assert len(pages) >= 4
    assert [r.operations["preload"].count for r in found if "preload" in r.operations] == [1]
    assert all(report.ended for report in found)
    assert redis_server.client.zcard(INDEX_KEY) == 0
