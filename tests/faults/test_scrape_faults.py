"""Pages that lie, never end, hang or die: an error on the endpoint and nothing else."""

from __future__ import annotations

import gzip
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from page_server import TEXT, answer, serving

from perftui.config.settings import Operations
from perftui.config.settings import Scrape as Settings
from perftui.snapshot import Absent, Endpoint, Operation, Scrape, State
from perftui.sources.metric_presets import mappings
from perftui.sources.scrape import endpoint
from perftui.sources.scrape import source as scrape_source
from perftui.sources.scrape.page import PageReader
from perftui.sources.scrape.source import ScrapeSource

NAME = "operation_execution_time_seconds"
LABELLED = b'http_request_duration_seconds_count{path="'
FINE = (
    f'# TYPE {NAME} summary\n{NAME}_count{{operation="fine"}} 3\n{NAME}_sum{{operation="fine"}} 1\n'
)


@contextmanager
def scraping(*urls: str, timeout: float = 2.0, limit: int = 16_000_000) -> Iterator[ScrapeSource]:
    settings = Settings(urls=urls, interval=0.5, timeout=timeout, size_limit=limit)
    source = ScrapeSource(settings, Operations())
    try:
        yield source
    finally:
        source.close()


def read_beside_a_fine_page(
    handle: bytes | Callable[[socket.socket, bytes], None], timeout: float = 2.0
) -> Endpoint:
    """Return the endpoint of a bad page; the fine one beside it must not notice."""
    with (
        serving(handle) as bad,
        serving(answer(FINE.encode())) as fine,
        scraping(bad.url, fine.url, timeout=timeout) as source,
    ):
        begin = time.monotonic()
        for _ in range(2):
            found = source.sample()
        assert time.monotonic() - begin < 2 * timeout + 4
    states = {endpoint.address: endpoint for endpoint in found.endpoints}
    assert states[fine.url].state is State.OK
    assert any(service.name == f"127.0.0.1:{fine.port}" for service in found.services)
    return states[bad.url]


def test_a_page_of_twenty_megabytes() -> None:
    body = b'queue_depth{queue="x"} 1\n' * 800_000
    endpoint = read_beside_a_fine_page(answer(body))
    assert endpoint.state is State.UNAVAILABLE
    assert "larger than 16,000,000 bytes" in endpoint.reason
    assert "size_limit" in endpoint.fix


def test_a_page_that_never_ends() -> None:
    def endless(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            connection.sendall(b'queue_depth{queue="x"} 1\n' * 4000)

    assert "larger than" in read_beside_a_fine_page(endless, timeout=5.0).reason


def test_a_page_that_comes_a_byte_at_a_time() -> None:
    def drip(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        for byte in FINE.encode() * 10:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    endpoint = read_beside_a_fine_page(drip, timeout=0.6)
    assert "did not finish its answer within 0.6 s" in endpoint.reason


@pytest.mark.parametrize(
    ("whole", "says"),
    [
        (answer(gzip.compress(FINE.encode())[:-9], extra="Content-Encoding: gzip\r\n"), "gzip"),
        (answer(gzip.compress(bytes(10**8)), extra="Content-Encoding: gzip\r\n"), "larger than"),
        (answer(b"<!doctype html><title>404</title>", "text/html"), "web page"),
        (answer(os.urandom(5000), "application/octet-stream"), "no page of metrics"),
        (answer(FINE.encode()[:-3]), "middle of a line"),
        (answer(f"{FINE}{NAME}_count many\n".encode()), "cannot be read"),
        (answer(FINE.encode(), "application/openmetrics-text; version=1.0.0"), "# EOF"),
        (answer(b"", status="503 Busy"), "status 503"),
        (answer(b"", status="401 No"), "wants a user and password"),
    ],
    ids=lambda value: value if isinstance(value, str) else "answer",
)
def test_what_cannot_be_read_is_named(whole: bytes, says: str) -> None:
    endpoint = read_beside_a_fine_page(whole)
    assert endpoint.state in (State.UNAVAILABLE, State.DENIED)
    assert says in endpoint.reason
    assert endpoint.fix


def operations(found: Scrape) -> list[Operation]:
    return [
        operation
        for service in found.services
        for window in service.windows
        for operation in window.operations
    ]


def test_odd_numbers_cost_their_series_only() -> None:
    odd = ["NaN", "+Inf", "-5", "1e300"]
    pages = iter(range(1000))

    def page(connection: socket.socket, request: bytes) -> None:
        turn = next(pages)
        lines = [
            f'{NAME}_count{{operation="odd {index}"}} {value if turn else 1}\n'
            f'{NAME}_sum{{operation="odd {index}"}} 1\n'
            for index, value in enumerate(odd)
        ]
        fine = FINE.replace(" 3\n", f" {3 + turn}\n")
        connection.sendall(answer((fine + "".join(lines)).encode()))

    with serving(page) as server, scraping(server.url) as source:
        for _ in range(5):
            found = source.sample()
            time.sleep(0.6)
    assert found.endpoints[0].state is State.OK
    assert len(found.endpoints[0].notes) >= 3
    called = {operation.name for operation in operations(found) if operation.count}
    assert called == {"fine"}
    assert all(math.isfinite(operation.rate) for operation in operations(found))


def test_hostile_labels_are_kept_but_not_their_length() -> None:
    names = ["\\u001b[2J[/red]", "a\\nb", "家族👨‍👩‍👧", "x" * 100_000, '\\"\\\\' * 20_000]
    turn = iter(range(1, 1000))

    def page(connection: socket.socket, request: bytes) -> None:
        count = next(turn)
        lines = [
            f'{NAME}_count{{operation="{name}"}} {count}\n'
            f'{NAME}_sum{{operation="{name}"}} {count}\n'
            for name in names
        ]
        connection.sendall(answer("".join(lines).encode()))

    with serving(page) as server, scraping(server.url, timeout=5.0) as source:
        for _ in range(5):
            found = source.sample()
            time.sleep(0.6)
    seen = {operation.name for operation in operations(found)}
    assert {"a\nb", "家族👨‍👩‍👧"} <= seen
    assert len(seen) == 5
    assert max(map(len, seen)) <= 200
    assert max(len(note) for note in (*found.endpoints[0].notes, "")) < 500


SERVICE = """
import sys, time, prometheus_client
from perftui import ExecutionMetrics
metrics = ExecutionMetrics()
metrics.record_execution("work", 0.01, True)
prometheus_client.start_http_server(int(sys.argv[1]), addr="127.0.0.1")
print("ready", flush=True)
while True:
    metrics.record_execution("work", 0.01, True)
    time.sleep(0.02)
"""


def start(port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(port)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_service_that_is_killed_and_started_again() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found: list[Scrape] = []

    def watch(source: ScrapeSource, there: Callable[[Scrape], bool]) -> Scrape:
        end = time.monotonic() + 20
        while True:
            found.append(source.sample())
            if there(found[-1]):
                return found[-1]
            assert time.monotonic() < end, found[-1]
            time.sleep(0.5)

    def counts(scrape: Scrape) -> bool:
        return scrape.endpoints[0].state is State.OK and any(
            operation.count for operation in operations(scrape)
        )

    def is_silent(scrape: Scrape) -> bool:
        return all(instance.state is State.STALE for instance in scrape.services[0].instances)

    def is_back(scrape: Scrape) -> bool:
        # The rate of the first slot after the restart is that of a part of it.
        return counts(scrape) and scrape.services[0].operations[0].rate > 5

    with scraping(f"http://127.0.0.1:{port}/metrics") as source:
        process = start(port)
        try:
            watch(source, counts)
            process.send_signal(signal.SIGKILL)
            process.wait()
            dead = watch(source, is_silent)
            process = start(port)
            alive = watch(source, is_back)
        finally:
            process.kill()
            process.wait()
    assert dead.endpoints[0].state is State.UNAVAILABLE
    assert "refused the connection" in dead.endpoints[0].reason
    assert dead.services[0].instances[0].state is State.STALE
    assert dead.services[0].operations[0].count > 0
    assert isinstance(dead.services[0].instances[0].memory_rss, Absent)
    assert alive.endpoints[0].state is State.OK
    assert alive.services[0].processes == 1
    assert alive.services[0].instances[0].note == ""
    # About fifty a second: never negative, and no leap at the restart.
    assert all(0 <= operation.rate < 100 for scrape in found for operation in operations(scrape))
    assert alive.services[0].operations[0].rate > 5


WORKERS = """
import prometheus_client
from perftui import ExecutionMetrics
metrics = ExecutionMetrics()
pages = prometheus_client.make_wsgi_app()

def app(environ, start_response):
    metrics.record_execution("work", 0.01, True)
    return pages(environ, start_response)
"""


def test_workers_of_gunicorn_that_count_apart_are_named(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "shop.py").write_text(WORKERS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["gunicorn", "-w", "3", "-b", f"127.0.0.1:{port}", "--threads", "2", "shop:app"]
    root = str(Path(__file__).parents[2])
    with (
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": root},
            stderr=subprocess.DEVNULL,
        ) as process,
        scraping(f"http://127.0.0.1:{port}/metrics") as source,
    ):
        try:
            end = time.monotonic() + 20
            while "un-aggregated workers" not in (found := source.sample()).endpoints[0].reason:
                assert time.monotonic() < end, found
                time.sleep(0.3)
        finally:
            process.terminate()
    # Every page is one call, so whatever leaps is a change of process.
    assert all(operation.rate < 20 for operation in operations(found))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (LABELLED + b"y" * 15_000_000, "a line of 15,0"),
        (LABELLED + b'\\"' * 7_500_000, "a line of 15,0"),
        (LABELLED + b'\\"' * 8_200, "a line of 16,4"),
        (LABELLED + b'x",' + b",".join(b'l%d="x"' % n for n in range(1_000_000)), "a line of 11,"),
        (LABELLED + b'x"} ' + b"1" * 15_000_000, "a line of 15,0"),
        (b" \n" * 2_000_000, "more than 1,000,000 lines"),
    ],
    ids=["value", "quotes", "short quotes", "labels", "number", "lines"],
)
def test_a_page_that_would_take_minutes_to_read_is_refused(line: bytes, says: str) -> None:
    reader = PageReader(mappings(Operations()))
    begin = time.process_time()
    with pytest.raises(ValueError, match=says):
        reader.read(FINE.encode() + line + b"\n", TEXT)
    # A ceiling for hangs: the parser itself would take minutes for most of them.
    assert time.process_time() - begin < 10


def test_services_that_left_the_page_leave_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = iter(range(1, 1000))
    ahead = 0.0

    class Clock:
        thread_time, time = time.thread_time, time.time

        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + ahead

    def page(connection: socket.socket, request: bytes) -> None:
        labels = f'{{path="/pay",app_name="release {next(turn)}"}}'
        lines = [f"http_request_duration_seconds_{part}{labels} 1\n" for part in ("count", "sum")]
        connection.sendall(answer("".join(lines).encode(), TEXT))

    monkeypatch.setattr(endpoint, "time", Clock)
    monkeypatch.setattr(scrape_source, "time", Clock)
    with serving(page) as server, scraping(server.url, timeout=5.0) as source:
        for _ in range(40):
            found = source.sample()
            ahead += 30.0
        names = {service.name for service in found.services}
    assert "release 40" in names
    assert "release 1" not in names
    # What was called within five minutes still counts.
    assert 10 <= len(names) <= 13


def rates_of(found: Scrape, *names: str) -> list[float]:
    """Return calls per second of the operation of each service; 0 while nothing is measured."""
    services = {service.name: service for service in found.services}
    return [
        services[name].windows[-1].operations[0].rate
        if name in services and services[name].windows
        else 0.0
        for name in names
    ]


def test_endless_names_of_services_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape_source, "MOST_SERVICES", 20)
    turn = iter(range(1, 1000))

    def page(connection: socket.socket, request: bytes) -> None:
        count = next(turn)
        lines = [
            f'http_request_duration_seconds_{part}{{path="/pay",app_name="app {app:02}"}} {count}\n'
            for app in range(50)
            for part in ("count", "sum")
        ]
        connection.sendall(answer("".join(lines).encode(), TEXT))

    with serving(page) as server, scraping(server.url, timeout=5.0) as source:
        end = time.monotonic() + 20
        while not all(rates_of(source.sample(), "app 00", "_other")):
            assert time.monotonic() < end
            time.sleep(0.3)
        found = source.sample()
    assert len(found.services) == 21
    apart, together = rates_of(found, "app 00", "_other")
    assert together == pytest.approx(30 * apart)
    assert apart > 0
    assert found.endpoints[0].service.endswith("and 40 more")


def test_a_label_that_changes_with_every_call_stays_bounded() -> None:
    turn = iter(range(1, 1000))

    def page(connection: socket.socket, request: bytes) -> None:
        many = 400 * next(turn)
        lines = [
            f'http_request_duration_seconds_count{{path="/items/{number}"}} 1\n'
            f'http_request_duration_seconds_sum{{path="/items/{number}"}} 1\n'
            for number in range(many)
        ]
        connection.sendall(answer("".join(lines).encode(), TEXT))

    with serving(page) as server, scraping(server.url, timeout=5.0) as source:
        for _ in range(5):
            found = source.sample()
            time.sleep(0.6)
    (service,) = found.services
    assert len(service.operations) <= 501
    assert any("added up as _other" in note for note in service.notes)
    assert any("raw paths" in note for note in service.notes)
