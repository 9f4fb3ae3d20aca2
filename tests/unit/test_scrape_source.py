"""The scrape source against real servers and real registries."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from page_server import TEXT, answer, serving
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest

from perftui.config.settings import Operations
from perftui.config.settings import Scrape as Settings
from perftui.metrics.execution import ExecutionMetrics
from perftui.snapshot import Absent, Scrape, Selection, Service, State
from perftui.sources.scrape.source import ScrapeSource
from perftui.sources.source import SelectingSource, Source, SourceError


@contextmanager
def scraping(
    *urls: str, operations: Operations | None = None, interval: float = 0.5, timeout: float = 1.0
) -> Iterator[ScrapeSource]:
    settings = Settings(urls=urls, interval=interval, timeout=timeout)
    source = ScrapeSource(settings, operations or Operations())
    try:
        yield source
    finally:
        source.close()


@contextmanager
def exposing(registry: CollectorRegistry) -> Iterator[str]:
    def page(connection: socket.socket, request: bytes) -> None:
        connection.sendall(answer(generate_latest(registry)))

    with serving(page) as server:
        yield server.url


def sample_until(
    source: ScrapeSource, check: Callable[[Scrape], bool], patience: float = 10.0
) -> Scrape:
    """Sample as the monitor does until something is so."""
    end = time.monotonic() + patience
    while True:
        found = source.sample()
        if check(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(source.interval)


def counts(service: Service) -> dict[str, int]:
    windows = service.windows[-1:]
    return {each.name: each.count for window in windows for each in window.operations}


def test_it_is_a_source_that_can_be_looked_at_closely() -> None:
    with scraping("http://127.0.0.1:1/metrics") as source:
        typed: Source[Scrape] = source
        assert (typed.name, typed.interval) == ("scrape", 0.5)
        assert isinstance(source, SelectingSource)


def test_refuses_settings_that_cannot_be_understood() -> None:
    with pytest.raises(ValueError, match="port"):
        ScrapeSource(Settings(urls=("http://h:x/metrics",)), Operations())
    with pytest.raises(ValueError, match="regular expression"):
        ScrapeSource(Settings(urls=("http://h/metrics",)), Operations(failure="("))


def test_counts_of_our_own_library_arrive_exactly() -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    metrics = ExecutionMetrics(registry=registry)
    metrics.record_execution("pay", 0.2, True)
    with exposing(registry) as url, scraping(url) as source:
        name = url.partition("://")[2].partition("/")[0]
        source.select(Selection(operation=(name, "pay")))
        source.sample()
        for number in range(100):
            metrics.record_execution("pay", 0.12, number % 4 > 0)
        metrics.record_execution("search", 0.001, True)
        found = sample_until(source, lambda scrape: sum(counts(scrape.services[0]).values()) == 101)
    (service,) = found.services
    (endpoint,) = found.endpoints
    pay = next(each for each in service.operations if each.name == "pay")
    assert (service.name, service.origin, service.processes) == (name, "scrape", 1)
    assert counts(service) == {"pay": 100, "search": 1}
    assert pay.error_ratio == 0.25
    assert not isinstance(pay.p95, Absent)
    assert pay.p95.low == 0.1
    assert service.details[0].operation == "pay"
    assert sum(service.details[0].buckets) == 100
    assert {each.status: each.count for each in service.details[0].statuses} == {
        "success": 75,
        "failure": 25,
    }
    assert (endpoint.state, endpoint.service, endpoint.notes) == (State.OK, name, ())
    (instance,) = service.instances
    assert instance.host == socket.gethostname()
    assert not isinstance(instance.memory_rss, Absent)
    assert instance.memory_rss > 1_000_000
    assert not isinstance(instance.uptime, Absent)
    assert not isinstance(instance.cpu_percent, Absent)


def test_asks_plainly_for_text_and_reads_gzip() -> None:
    import gzip

    registry = CollectorRegistry()
    ExecutionMetrics(registry=registry).record_execution("pay", 1, True)
    body = gzip.compress(generate_latest(registry))
    page = answer(body, extra="Content-Encoding: gzip\r\n")
    with serving(page) as server, scraping(server.url) as source:
        found = source.sample()
    assert found.endpoints[0].series == 35
    assert b"Accept: text/plain;version=0.0.4" in server.requests[0]
    assert b"protobuf" not in server.requests[0]


def test_one_service_of_several_endpoints_by_label() -> None:
    registries = [CollectorRegistry() for _ in range(2)]
    took = [
        Histogram("http_request_duration_seconds", "", ["app", "route"], registry=each)
        for each in registries
    ]
    settings = Operations(service_label="app")
    with (
        exposing(registries[0]) as one,
        exposing(registries[1]) as other,
        scraping(one, other, operations=settings) as source,
    ):
        for each in took:
            each.labels("shop", "/pay")
        source.sample()
        for index, each in enumerate(took):
            for _ in range(3 + index):
                each.labels("shop", "/pay").observe(0.1)
        found = sample_until(source, lambda scrape: counts(scrape.services[0]) == {"/pay": 7})
        source.select(Selection(operation=("shop", "/pay")))
        chosen = source.sample().services[0].details[-1]
    (service,) = found.services
    assert (service.name, service.processes, len(service.instances)) == ("shop", 2, 2)
    assert not isinstance(chosen.instances, Absent)
    assert sorted(each.operation.count for each in chosen.instances) == [3, 4]


def test_a_page_that_fails_is_named_and_its_service_stays() -> None:
    registry = CollectorRegistry()
    metrics = ExecutionMetrics(registry=registry)
    metrics.record_execution("pay", 0.1, True)
    broken = threading.Event()

    def page(connection: socket.socket, request: bytes) -> None:
        body = b"" if broken.is_set() else generate_latest(registry)
        status = "500 Oh" if broken.is_set() else "200 OK"
        connection.sendall(answer(body, status=status))

    with serving(page) as server, scraping(server.url) as source:
        source.sample()
        metrics.record_execution("pay", 0.1, True)
        sample_until(source, lambda scrape: counts(scrape.services[0]) == {"pay": 1})
        broken.set()
        failed = source.sample()
        broken.clear()
        metrics.record_execution("pay", 0.1, True)
        sample_until(source, lambda scrape: counts(scrape.services[0]) == {"pay": 2})
    (service,), (endpoint,) = failed.services, failed.endpoints
    assert counts(service) == {"pay": 1}
    assert (service.processes, service.instances[0].state) == (0, State.STALE)
    assert endpoint.state is State.UNAVAILABLE
    assert endpoint.reason == f"{server.url} answered with status 500"
    assert endpoint.reason in service.notes
    assert isinstance(service.instances[0].memory_rss, Absent)


def test_a_slow_page_does_not_delay_the_others() -> None:
    registry = CollectorRegistry()
    metrics = ExecutionMetrics(registry=registry)

    def hang(connection: socket.socket, request: bytes) -> None:
        time.sleep(8)

    with (
        serving(hang) as slow,
        exposing(registry) as url,
        scraping(slow.url, url, timeout=3.0) as source,
    ):
        metrics.record_execution("pay", 0.1, True)
        source._rounds = 2  # as after the first samples, which wait for all
        for _ in range(3):
            begin = time.monotonic()
            found = source.sample()
            assert time.monotonic() - begin < 1.5
        states = {endpoint.address: endpoint for endpoint in found.endpoints}
        assert states[url].state is State.OK
        age = states[url].age
        assert age is not None
        assert age < 1
        assert states[slow.url].state is State.NOT_COLLECTED
        late = sample_until(
            source,
            lambda scrape: scrape.endpoints[0].state is State.UNAVAILABLE,
        )
    assert "within 3 s" in late.endpoints[0].reason


def test_fifty_endpoints() -> None:
    registry = CollectorRegistry()
    metrics = ExecutionMetrics(registry=registry)
    for number in range(10):
        metrics.record_execution(f"operation {number}", 0.1, True)
    with exposing(registry) as url:
        urls = [f"{url}?page={number}" for number in range(50)]
        with scraping(*urls, timeout=5.0) as source:
            source.sample()
            for number in range(10):
                metrics.record_execution(f"operation {number}", 0.1, True)
            found = sample_until(
                source, lambda scrape: sum(counts(scrape.services[0]).values()) == 500
            )
            assert source.interval >= 0.5
    assert len(found.endpoints) == 50
    assert {endpoint.state for endpoint in found.endpoints} == {State.OK}
    (service,) = found.services
    assert service.processes == 50
    assert sum(counts(service).values()) == 500
    assert len({each.id for each in service.instances}) == 50


def test_costly_pages_are_read_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    ExecutionMetrics(registry=registry).record_execution("pay", 0.1, True)
    with exposing(registry) as url, scraping(url) as source:
        source.sample()
        source.sample()
        # As if a second of CPU time were a day of it, which makes any page a costly one.
        monkeypatch.setattr("perftui.sources.scrape.source.WORTH", 50.0 * 86400)
        source.sample()
        assert source.interval > 5
        assert source.interval <= 300
        monkeypatch.undo()
        source.sample()
        assert source.interval == 0.5


def test_workers_behind_one_address_are_named_and_not_added_up() -> None:
    def worker(began: float, count: int) -> bytes:
        return (
            f"process_start_time_seconds {time.time() - began}\n"
            "# TYPE operation_execution_time_seconds summary\n"
            f'operation_execution_time_seconds_count{{operation="pay"}} {count}\n'
            f'operation_execution_time_seconds_sum{{operation="pay"}} {count}\n'
        ).encode()

    pages = [worker(100.0, 1000), worker(90.5, 5000)]
    turn = iter(range(1000))

    def page(connection: socket.socket, request: bytes) -> None:
        connection.sendall(answer(pages[next(turn) % 2]))

    with serving(page) as server, scraping(server.url) as source:
        for _ in range(3):
            found = source.sample()
            time.sleep(0.1)
    (endpoint,), (service,) = found.endpoints, found.services
    assert endpoint.state is State.UNAVAILABLE
    assert "un-aggregated workers" in endpoint.reason
    assert "PROMETHEUS_MULTIPROC_DIR" in endpoint.fix
    assert sum(counts(service).values()) == 0
    assert service.processes == 0


def test_series_for_each_process_are_pointed_out() -> None:
    page = (
        "# TYPE memory_usage_bytes gauge\n"
        f'memory_usage_bytes{{pid="1"}} 100\nmemory_usage_bytes{{pid="{2**22 + 1}"}} 50\n'
    )
    with serving(answer(page.encode())) as server, scraping(server.url) as source:
        found = source.sample()
    notes = " ".join(found.endpoints[0].notes)
    assert "livesum" in notes
    assert "1 of 2 processes are dead" in notes
    assert found.services[0].instances[0].memory_rss == 100


def test_closing_ends_a_sample_soon() -> None:
    with (
        serving(lambda connection, request: time.sleep(5)) as server,
        scraping(server.url, timeout=30) as source,
    ):
        thread = threading.Thread(target=source.sample, daemon=True)
        thread.start()
        time.sleep(0.3)
        source.close()
        thread.join(3)
        assert not thread.is_alive()


def test_nothing_to_read_is_an_error() -> None:
    with scraping() as source, pytest.raises(SourceError) as caught:
        source.sample()
    assert "--scrape URL" in caught.value.absent.fix


def test_a_page_without_known_metrics_says_what_to_set() -> None:
    page = answer(b"# TYPE up gauge\nup 1\n", TEXT)
    with serving(page) as server, scraping(server.url) as source:
        found = source.sample()
    assert "operations.metric" in found.endpoints[0].notes[0]
    assert found.services[0].operations == ()
