"""`perftui exporter` as an operator meets it: signals, ports, rude clients, a real Prometheus."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_server import starting
from redis_fixture import RedisProcess

from perftui.output.exporter_metrics import SnapshotCollector
from perftui.output.exporter_server import MOST_CONNECTIONS, Address, PageServer
from perftui.snapshot import Snapshot

LONG_PAGE = 30_000_000
COMMAND = (sys.executable, "-m", "perftui", "exporter", "--listen")


class Exporter:
    """A running exporter; `url` is what it said on standard error."""

    def __init__(self, *arguments: str, listen: str = "127.0.0.1:0") -> None:
        self.process = subprocess.Popen(
            [*COMMAND, listen, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stderr is not None
        self.said = self.process.stderr.readline()
        found = re.search(r"http://\S+/metrics", self.said)
        assert found is not None, self.said
        self.url = found.group()

    def page(self) -> str:
        with urllib.request.urlopen(self.url, timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def end(self, number: int) -> tuple[int, str, str]:
        """Send a signal and return exit code, standard output and the rest of standard error."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=10)
        return self.process.returncode, out, err


Start = Callable[..., Exporter]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Exporter] = []

    def begin(*arguments: str, listen: str = "127.0.0.1:0") -> Exporter:
        running.append(Exporter(*arguments, listen=listen))
        return running[-1]

    yield begin
    for exporter in running:
        exporter.process.kill()
        exporter.process.communicate()


def refused(*arguments: str) -> tuple[int, str]:
    run = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30)
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    return run.returncode, run.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_end_it_quietly(start: Start, number: int, code: int) -> None:
    exporter = start()
    assert "perftui_host_cpus" in exporter.page()
    assert exporter.end(number) == (code, "", "")


def test_without_redis_its_sources_are_not_on_the_page(start: Start) -> None:
    text = start().page()
    assert 'perftui_source_up{source="host"} 1.0' in text
    assert 'source="redis"' not in text
    assert "perftui_redis_" not in text
    assert 'perftui_alerts_firing{severity="critical"}' in text


def test_redis_and_its_end(start: Start, redis_server: RedisProcess) -> None:
    url = redis_server.url.replace("unix://", "unix://me:hush@")
    redis_server.client.execute_command("ACL", "SETUSER", "me", "on", ">hush", "~*", "+@all")
    exporter = start("--redis", url, "--interval", "0.25")
    text = exporter.page()
    assert "perftui_redis_uptime_seconds" in text
    assert "hush" not in text
    assert "hush" not in exporter.said
    redis_server.kill()
    deadline = time.monotonic() + 10
    while 'perftui_source_up{source="redis"} 0.0' not in text:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        text = exporter.page()
    assert "perftui_redis_" not in text
    assert 'perftui_source_up{source="host"} 1.0' in text


def test_a_port_in_use_is_named_with_the_fix(start: Start) -> None:
    port = urllib.parse.urlsplit(start().url).port
    code, said = refused(f"127.0.0.1:{port}")
    assert code == 1
    assert f"port {port} at 127.0.0.1 is in use; choose another with --listen" in said


@pytest.mark.parametrize("address", ["9465", "host:port", "192.0.2.7:1", "[::1"])
def test_an_address_that_cannot_be_used_is_wrong_usage(address: str) -> None:
    code, said = refused(address)
    assert code == 2
    assert "--listen" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every port")
def test_a_port_of_the_system_is_named_with_the_fix() -> None:
    code, said = refused("127.0.0.1:9")
    assert code == 2
    assert "above 1023" in said


@contextlib.contextmanager
def serving(patience: float, collector: Collector | None = None) -> Iterator[PageServer]:
    """Serve a page in this process, an empty one where none is given."""
    collector = collector or SnapshotCollector(lambda: Snapshot(1, 0.0, time.monotonic()))
    server = PageServer(Address("127.0.0.1", 0), collector, lambda: True, patience)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def connect(server: PageServer) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=8)
    connection.settimeout(8)
    return connection


def answers(server: PageServer) -> bool:
    url = f"http://127.0.0.1:{server.port}/metrics"
    with urllib.request.urlopen(url, timeout=8) as answer:
        return b"perftui_build_info" in answer.read()


def test_silent_clients_do_not_keep_others_out() -> None:
    with serving(patience=30.0) as server:
        silent = [connect(server) for _ in range(MOST_CONNECTIONS + 20)]
        assert answers(server)
        assert silent[0].recv(1) == b""
        for connection in silent:
            connection.close()


def test_a_client_that_dribbles_is_cut_off() -> None:
    with serving(patience=0.5) as server, connect(server) as slow:
        begin = time.monotonic()
        slow.sendall(b"GET /metrics HTTP/1.0\r\n")
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begin < 8:
                slow.sendall(b"X: y\r\n")
                time.sleep(0.1)
        assert time.monotonic() - begin < 6
        assert answers(server)


class Endless(Collector):
    """A page that is longer than what the system buffers for a client."""

    def collect(self) -> Iterator[Metric]:
        """Yield one metric with a very long help text."""
        yield GaugeMetricFamily("perftui_long", "x" * LONG_PAGE, value=1)


def test_a_client_that_does_not_read_is_cut_off() -> None:
    with serving(2.0, Endless()) as server, connect(server) as deaf:
        deaf.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        time.sleep(3.5)
        received = 0
        with contextlib.suppress(ConnectionError):
            while data := deaf.recv(1 << 20):
                received += len(data)
        assert received < LONG_PAGE


@pytest.mark.parametrize(
    "request_",
    [b"\x00\xff\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"A" * 70000],
    ids=["tls", "no path", "long"],
)
def test_something_else_than_http_does_no_harm(
    request_: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(patience=2.0) as server:
        with connect(server) as odd, contextlib.suppress(ConnectionError):
            odd.sendall(request_)
            odd.shutdown(socket.SHUT_WR)
            while odd.recv(4096):
                pass
        assert answers(server)
    assert capfd.readouterr().err == ""


def test_a_real_prometheus_scrapes_it(start: Start) -> None:
    with starting() as start_prometheus:
        target = urllib.parse.urlsplit(start().url).netloc
        server = start_prometheus(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            f"scrape_configs: [{{job_name: p, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        server.wait_for("perftui_host_cpus", 15)
        assert [series["value"][1] for series in server.ask("up")] == ["1"]
        cpus = server.ask("perftui_host_cpus")
    assert [series["value"][1] for series in cpus] == [str(os.cpu_count())]
