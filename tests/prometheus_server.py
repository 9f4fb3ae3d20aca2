"""Real Prometheus servers for tests, each on a free port of the loopback with its own data."""

from __future__ import annotations

import contextlib
import ctypes
import json
import pathlib
import re
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

MISSING = "a Prometheus server: apt-get install prometheus"
LISTENING = re.compile(r'msg="Listening on" address=\S+?:(\d+)')


def find_prometheus() -> str | None:
    """Return the server from PATH."""
    return shutil.which("prometheus")


class PrometheusProcess:
    """One server that the test owns; `options` are those of its command line."""

    def __init__(
        self, binary: str, config: str, *options: str, files: dict[str, str] | None = None
    ) -> None:
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="pt-", dir="/tmp"))
        for name, text in {"prometheus.yml": config, **(files or {})}.items():
            (self.directory / name).write_text(text)
        self._binary = binary
        self._options = [option.replace("DIRECTORY", str(self.directory)) for option in options]
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server, on the port it had before, and wait until it listens."""
        log = self.directory / "log"
        log.write_bytes(b"")
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [
                    self._binary,
                    f"--config.file={self.directory}/prometheus.yml",
                    f"--storage.tsdb.path={self.directory}/data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    *self._options,
                ],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            text = log.read_text(errors="replace")
            # It listens before it has read its data, and answers 503 until then.
            if (found := LISTENING.search(text)) and "Server is ready to receive" in text:
                self.port = int(found.group(1))
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        self.close()
        raise RuntimeError(f"the Prometheus server did not start: {text[-800:]}")

    def kill(self) -> None:
        """Kill the server as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop the server so that it accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # The signal stops its threads one after the other.
        stat = pathlib.Path(f"/proc/{self._process.pid}/stat")
        end = time.monotonic() + 5
        while stat.read_text().rpartition(")")[2].split()[0] != "T" and time.monotonic() < end:
            time.sleep(0.01)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, expression: str, moment: float | None = None) -> list[dict[str, Any]]:
        """Return the series of an instant query, asked by other means than those under test."""
        fields = {"query": expression} | ({"time": f"{moment:.3f}"} if moment else {})
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode(fields)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            series: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return series

    def wait_for(self, expression: str, seconds: float = 20) -> None:
        """Wait until a query has an answer that is not empty."""
        deadline = time.monotonic() + seconds
        while not self.ask(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to {expression}")
            time.sleep(0.1)

    def close(self) -> None:
        """Kill the server and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def _die_with_parent() -> None:
    # PR_SET_PDEATHSIG, see prctl(2): a killed test run must leave no server behind.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Page:
    """A page of metrics on a free port of the loopback; `tick` is called fifty times a second."""

    def __init__(
        self, registry: CollectorRegistry, tick: Callable[[int], None] | None = None
    ) -> None:
        self._ended = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1

            def do_GET(self) -> None:
                body = generate_latest(registry)
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        if tick is not None:
            threading.Thread(target=self._tick, args=(tick,), daemon=True).start()

    def _tick(self, tick: Callable[[int], None]) -> None:
        number = 0
        while not self._ended.wait(0.02):
            number += 1
            tick(number)

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


def shop_page() -> Page:
    """Return the page of a service that uses this library: `pay` fails every fifth time."""
    registry = CollectorRegistry()
    histogram = Histogram(
        "operation_execution_time_seconds",
        "Duration.",
        ["operation"],
        buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
        registry=registry,
    )
    calls = Counter("operation_count_total", "Calls.", ["operation", "status"], registry=registry)
    cancelled = Counter("operation_cancelled_total", "Calls.", ["operation"], registry=registry)
    cpu = Counter("process_cpu_seconds_total", "CPU time.", registry=registry)
    Gauge("process_resident_memory_bytes", "Memory.", registry=registry).set(123_000_000)
    Gauge("process_start_time_seconds", "Start.", registry=registry).set(time.time() - 1000)
    for operation in ("pay", "list", "idle"):
        histogram.labels(operation)
        cancelled.labels(operation)
        for status in ("success", "failure"):
            calls.labels(operation, status)

    def tick(number: int) -> None:
        histogram.labels("pay").observe(0.004 + 0.03 * (number % 17))
        calls.labels("pay", "failure" if number % 5 == 0 else "success").inc()
        histogram.labels("list").observe(0.011)
        calls.labels("list", "success").inc()
        cancelled.labels("list").inc()
        cpu.inc(0.002)

    return Page(registry, tick)


def web_page() -> Page:
    """Return the page of a service with other people's metrics, raw paths beside its routes."""
    registry = CollectorRegistry()
    requests = Histogram(
        "http_request_duration_milliseconds",
        "Duration.",
        ["method", "route", "path", "status"],
        buckets=(10, 100, 1000),
        registry=registry,
    )
    tasks = Summary("celery_task_runtime", "Duration.", ["name"], registry=registry)
    failed = Counter("celery_task_failed_total", "Failures.", ["name"], registry=registry)
    failed.labels("mail")

    def tick(number: int) -> None:
        status = "503" if number % 10 == 0 else "200"
        requests.labels("GET", "/items/{id}", f"/items/{number % 3}", status).observe(50)
        tasks.labels("mail").observe(0.25)
        if number % 4 == 0:
            failed.labels("mail").inc()

    return Page(registry, tick)


def node_page() -> Page:
    """Return a page with the metrics of node_exporter that matter, of two cores, one half busy."""
    registry = CollectorRegistry()
    cpu = Counter("node_cpu_seconds_total", "CPU.", ["cpu", "mode"], registry=registry)
    Gauge("node_memory_MemTotal_bytes", "Memory.", registry=registry).set(8e9)
    Gauge("node_memory_MemAvailable_bytes", "Memory.", registry=registry).set(6e9)
    Gauge("node_boot_time_seconds", "Boot.", registry=registry).set(time.time() - 5000)

    def tick(_: int) -> None:
        cpu.labels("0", "user").inc(0.01)
        cpu.labels("0", "idle").inc(0.01)
        cpu.labels("1", "idle").inc(0.02)

    return Page(registry, tick)


CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
- job_name: shop
  static_configs:
  - {targets: ["SHOP1"], labels: {instance: "shop-1:8000"}}
  - {targets: ["SHOP2"], labels: {instance: "shop-2:8000"}}
- job_name: slow
  scrape_interval: 4s
  static_configs: [{targets: ["SHOP1"], labels: {instance: "slow-1:8000"}}]
- job_name: web
  static_configs: [{targets: ["WEB"], labels: {instance: "web-1:8000"}}]
- job_name: node
  static_configs: [{targets: ["NODE"], labels: {instance: "host-1:9100"}}]
- job_name: gone
  static_configs: [{targets: ["GONE"], labels: {instance: "gone-1:8000"}}]
"""
RULES = """
groups:
- name: shop
  rules:
  - alert: PaySlow
    expr: vector(7) > 1
    labels: {severity: critical, team: shop}
    annotations: {summary: "pay takes long", runbook_url: "https://wiki.test/pay"}
  - alert: Soon
    expr: vector(1) > 0
    for: 1h
  - alert: Silent
    expr: vector(1) > 2
"""


class ShopFleet:
    """Two shops, one of them scraped twice, a web service, a host, and a target that is down."""

    def __init__(self, start: Callable[..., PrometheusProcess]) -> None:
        self.pages = (shop_page(), shop_page(), web_page(), node_page())
        config = CONFIG.replace("GONE", f"127.0.0.1:{free_port()}")
        for name, page in zip(("SHOP1", "SHOP2", "WEB", "NODE"), self.pages, strict=True):
            config = config.replace(name, page.address)
        try:
            self.server = start(config, files={"rules.yml": RULES})
            # The first scrapes come five seconds after the start.
            self.server.wait_for('increase(operation_count_total{job="shop"}[10s]) > 30')
            self.server.wait_for('increase(operation_count_total{job="slow"}[16s]) > 0')
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for page in self.pages:
            page.close()


def free_port() -> int:
    """Return a port on which nothing listens at this moment."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        return int(server.server_address[1])


@contextlib.contextmanager
def starting() -> Iterator[Callable[..., PrometheusProcess]]:
    """Lend a function that starts servers, all of them ended with the block."""
    binary = find_prometheus()
    if binary is None:
        pytest.skip(f"needs {MISSING}")
    started: list[PrometheusProcess] = []

    def start(config: str, *options: str, files: dict[str, str] | None = None) -> PrometheusProcess:
        server = PrometheusProcess(binary, config, *options, files=files)
        started.append(server)
        return server

    try:
        yield start
    finally:
        for server in started:
            server.close()
