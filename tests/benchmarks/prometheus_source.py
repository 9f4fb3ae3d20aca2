"""What watching a Prometheus server costs the monitor, the server and the network.

Four jobs of 150 operations with 29 buckets each, some 20,000 series, scraped every 5 s.
Run: PYTHONPATH=. python tests/benchmarks/prometheus_source.py [seconds]
"""

from __future__ import annotations

import pathlib
import random
import socket
import sys
import threading
import time

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from prometheus_server import Page, starting

from perftui.config.settings import Operations, Prometheus
from perftui.metrics.buckets import DEFAULT
from perftui.snapshot import Absent, Selection
from perftui.sources.prometheus.source import PrometheusSource

JOBS = 4
OPERATIONS = 150
SCRAPE = 5.0


class Counted:
    """Passes bytes on to a port and counts them."""

    def __init__(self, port: int) -> None:
        self.received = self.sent = 0
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(("127.0.0.1", self._to))
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=(near, far, "sent"), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, "received"), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, way: str) -> None:
        while data := one.recv(65536):
            if way == "sent":
                self.sent += len(data)
            else:
                self.received += len(data)
            other.sendall(data)
        other.close()


def busy_page(seed: int) -> Page:
    """Return a page whose operations are called at random, the first ones far more often."""
    registry = CollectorRegistry()
    histogram = Histogram(
        "operation_execution_time_seconds", "T.", ["operation"], buckets=DEFAULT, registry=registry
    )
    calls = Counter("operation_count_total", "C.", ["operation", "status"], registry=registry)
    names = [f"operation_{number:03}" for number in range(OPERATIONS)]
    for name in names:
        histogram.labels(name).observe(0.01)
        for status in ("success", "failure"):
            calls.labels(name, status).inc()
    chance = random.Random(seed)

    def tick(_: int) -> None:
        for _ in range(3):
            name = names[min(OPERATIONS - 1, int(chance.expovariate(0.02)))]
            histogram.labels(name).observe(chance.lognormvariate(-4, 1))
            calls.labels(name, "failure" if chance.random() < 0.02 else "success").inc()

    return Page(registry, tick)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    pages = [busy_page(seed) for seed in range(JOBS)]
    jobs = "\n".join(
        f'- {{job_name: shop{number}, static_configs: [{{targets: ["{page.address}"]}}]}}'
        for number, page in enumerate(pages)
    )
    config = f"global: {{scrape_interval: {SCRAPE:g}s}}\nscrape_configs:\n{jobs}\n"
    with starting() as start:
        server = start(config)
        server.wait_for("sum(increase(operation_count_total[20s])) > 0", 40)
        time.sleep(3 * SCRAPE)
        process = psutil.Process(server._process.pid)  # type: ignore[union-attr]
        begin = sum(process.cpu_times()[:2])
        time.sleep(2 * SCRAPE)
        idle = (sum(process.cpu_times()[:2]) - begin) / (2 * SCRAPE)
        wire = Counted(server.port)
        source = PrometheusSource(Prometheus(url=f"http://127.0.0.1:{wire.port}"), Operations())
        watch(source, wire, process, idle, seconds, "nothing selected")
        source.select(Selection(operation=("shop0", "operation_000")))
        watch(source, wire, process, idle, seconds / 2, "one operation in detail")
        reading = source.sample()
        assert not isinstance(reading.services, Absent)
        print(f"{sum(len(s.operations) for s in reading.services)} operations, {reading.notes}")
        source.close()
    for page in pages:
        page.close()


def watch(
    source: PrometheusSource,
    wire: Counted,
    process: psutil.Process,
    idle: float,
    seconds: float,
    title: str,
) -> None:
    """Print the costs per minute of sampling at the source's own interval."""
    first = (time.thread_time(), time.perf_counter())
    source.sample()
    spent, took = time.thread_time() - first[0], time.perf_counter() - first[1]
    print(f"{title}: first sample {spent * 1e3:.1f} ms CPU, {took * 1e3:.0f} ms")
    before = (source.api.questions, source.api.bytes_received, wire.received, wire.sent)
    server_cpu, begin = sum(process.cpu_times()[:2]), time.monotonic()
    spent = slowest = 0.0
    rounds = round(seconds / source.interval)
    for number in range(rounds):
        time.sleep(max(0.0, begin + (number + 1) * source.interval - time.monotonic()))
        cpu, wall = time.thread_time(), time.perf_counter()
        source.sample()
        spent += time.thread_time() - cpu
        slowest = max(slowest, time.perf_counter() - wall)
    elapsed = time.monotonic() - begin
    minute = 60 / elapsed
    server = (sum(process.cpu_times()[:2]) - server_cpu) - idle * elapsed
    questions, unpacked, received, sent = (
        (after - earlier) * minute
        for after, earlier in zip(
            (source.api.questions, source.api.bytes_received, wire.received, wire.sent),
            before,
            strict=True,
        )
    )
    print(
        f"  per minute: {spent * minute * 1e3:.0f} ms CPU here ({spent / elapsed:.2%} of a core), "
        f"{server * minute * 1e3:.0f} ms in the server ({server / elapsed:.2%}), "
        f"{questions:.0f} queries,\n  {received / 1e3:.0f} kB received ({unpacked / 1e3:.0f} kB "
        f"unpacked), {sent / 1e3:.0f} kB sent; slowest round {slowest * 1e3:.0f} ms"
    )


if __name__ == "__main__":
    main()
