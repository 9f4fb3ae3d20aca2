"""The source against a real Prometheus, whose own functions say what is right."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from prometheus_server import PrometheusProcess, ShopFleet, starting

from perftui.config.settings import Operations, Prometheus
from perftui.snapshot import (
    Absent,
    Instance,
    Operation,
    OperationWindow,
    Selection,
    Service,
    State,
)
from perftui.snapshot import Prometheus as Reading
from perftui.sources.operation_slots import NO_BUCKETS
from perftui.sources.prometheus.source import PrometheusSource
from perftui.sources.source import SourceError

T = TypeVar("T")


@pytest.fixture(scope="module")
def fleet() -> Iterator[ShopFleet]:
    with starting() as start:
        found = ShopFleet(start)
        yield found
        found.close()


@pytest.fixture
def start_prometheus() -> Iterator[Callable[..., PrometheusProcess]]:
    with starting() as start:
        yield start


@pytest.fixture
def open_source(fleet: ShopFleet) -> Iterator[Callable[..., PrometheusSource]]:
    opened: list[PrometheusSource] = []

    def make(operations: Operations | None = None, **settings: object) -> PrometheusSource:
        prometheus = Prometheus(url=fleet.server.url, **settings)  # type: ignore[arg-type]
        opened.append(PrometheusSource(prometheus, operations or Operations()))
        return opened[-1]

    yield make
    for source in opened:
        source.close()


def there(value: T | Absent) -> T:
    assert not isinstance(value, Absent), value.reason
    return value


def service(reading: Reading, name: str) -> Service:
    return {found.name: found for found in there(reading.services)}[name]


def operation(window: OperationWindow, name: str) -> Operation:
    return {found.name: found for found in window.operations}[name]


def instance(reading: Reading, name: str, host: str) -> Instance:
    return {found.id: found for found in service(reading, name).instances}[host]


def number(fleet: ShopFleet, expression: str, moment: float) -> float:
    (series,) = fleet.server.ask(expression, moment)
    return float(series["value"][1])


def test_numbers_are_those_of_the_server(
    fleet: ShopFleet, open_source: Callable[..., PrometheusSource]
) -> None:
    source = open_source()
    reading = source.sample()
    shop = service(reading, "shop")
    assert [window.seconds for window in shop.windows] == [10, 60, 300]
    assert [window.covered for window in shop.windows] == [10, 60, 300]
    metric = "operation_execution_time_seconds"
    for window in shop.windows:
        span = f"[{window.covered:.0f}s]"
        for name in ("pay", "list"):
            found = operation(window, name)
            chosen = f'{{job="shop",operation="{name}"}}{span}'
            rate = number(fleet, f"sum(rate({metric}_count{chosen}))", source._time)
            spent = number(fleet, f"sum(rate({metric}_sum{chosen}))", source._time)
            every = number(fleet, f'sum(rate({metric}_sum{{job="shop"}}{span}))', source._time)
            count = number(fleet, f"sum(increase({metric}_count{chosen}))", source._time)
            assert found.rate == pytest.approx(rate, rel=1e-9)
            assert there(found.mean) == pytest.approx(spent / rate, rel=1e-9)
            assert found.time_share == pytest.approx(spent / every, rel=1e-9)
            assert found.count == round(count)
            for quantile, field in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
                query = f"histogram_quantile({quantile},sum by(le)(rate({metric}_bucket{chosen})))"
                value = number(fleet, query, source._time)
                assert there(field).value == pytest.approx(value, rel=1e-9)
                assert there(field).low <= value <= there(field).high
    assert there(operation(shop.windows[0], "pay").p95).low == 0.2
    assert there(operation(shop.windows[0], "pay").p95).high == 0.5


def test_failures_and_cancelled_calls(
    fleet: ShopFleet, open_source: Callable[..., PrometheusSource]
) -> None:
    source = open_source()
    window = service(source.sample(), "shop").windows[0]
    metric = 'operation_count_total{job="shop",operation="pay"'
    failed = number(fleet, f'sum(increase({metric},status="failure"}}[10s]))', source._time)
    every = number(fleet, f"sum(increase({metric}}}[10s]))", source._time)
    assert there(operation(window, "pay").error_ratio) == pytest.approx(failed / every, rel=1e-9)
    assert there(operation(window, "list").error_ratio) == 0.0
    assert operation(window, "pay").cancelled == 0
    cancelled = 'operation_cancelled_total{job="shop",operation="list"}[10s]'
    expected = number(fleet, f"sum(increase({cancelled}))", source._time)
    assert operation(window, "list").cancelled == round(expected) > 0
    idle = operation(window, "idle")
    assert (idle.count, idle.rate) == (0, 0.0)
    assert isinstance(idle.mean, Absent)


def test_a_job_that_is_scraped_rarely_has_longer_windows(
    open_source: Callable[..., PrometheusSource],
) -> None:
    reading = open_source().sample()
    slow = service(reading, "slow")
    assert [window.covered for window in slow.windows] == [16, 60, 300]
    assert operation(slow.windows[0], "pay").count > 0
    assert slow.notes == ("scraped too rarely for 10 s: 16 s are shown in its place",)
    assert any("scraped every 4 s" in note for note in reading.notes)
    assert [window.covered for window in service(reading, "shop").windows] == [10, 60, 300]


def test_metrics_of_other_programs(open_source: Callable[..., PrometheusSource]) -> None:
    web = service(open_source().sample(), "web")
    window = web.windows[0]
    assert [found.name for found in window.operations] == ["GET /items/{id}", "mail"]
    items, mail = window.operations
    assert there(items.mean) == pytest.approx(0.05)
    assert (there(items.p95).low, there(items.p95).high) == pytest.approx((0.01, 0.1))
    assert there(items.error_ratio) == pytest.approx(0.1, abs=0.05)
    # Failed tasks are not timed, so there are a quarter more calls than the summary counts.
    assert there(mail.mean) == pytest.approx(0.25)
    assert there(mail.error_ratio) == pytest.approx(0.2, abs=0.05)
    assert mail.p95 == NO_BUCKETS


def test_instances(open_source: Callable[..., PrometheusSource]) -> None:
    reading = open_source().sample()
    assert (reading.targets_up, reading.targets_down) == (5, 1)
    assert reading.version.startswith("2.")
    shop = instance(reading, "shop", "shop-1:8000")
    assert service(reading, "shop").processes == 2
    assert service(reading, "shop").hosts == ("shop-1:8000", "shop-2:8000")
    assert shop.state is State.OK
    assert there(shop.memory_rss) == 123_000_000
    assert there(shop.uptime) == pytest.approx(1000, abs=60)
    # 0.002 s for each of about 50 ticks a second.
    assert 2 < there(shop.cpu_percent) < 15
    assert shop.last_seen < 5
    host = instance(reading, "node", "host-1:9100")
    assert there(host.memory_rss) == 2_000_000_000
    assert there(host.uptime) == pytest.approx(5000, abs=60)
    assert 10 < there(host.cpu_percent) < 60
    assert host.note == "host of 2 cores"
    gone = service(reading, "gone")
    assert (gone.processes, gone.windows) == (0, ())
    assert gone.instances[0].state is State.STALE
    assert gone.instances[0].note == "the scrape fails, for over an hour"


def test_alerts_are_those_that_fire(open_source: Callable[..., PrometheusSource]) -> None:
    reading = open_source().sample()
    (alert,) = there(reading.alerts)
    assert (alert.name, alert.severity, alert.value) == ("PaySlow", "critical", 7.0)
    assert alert.labels == (("team", "shop"),)
    assert (alert.summary, alert.runbook) == ("pay takes long", "https://wiki.test/pay")
    assert math.isclose(alert.since, open_source().sample().alerts[0].since)  # type: ignore[index]
    assert "1 alert is pending" in reading.notes


def test_selected_hosts_and_operation(
    fleet: ShopFleet, open_source: Callable[..., PrometheusSource]
) -> None:
    source = open_source()
    before = service(source.sample(), "shop")
    assert (before.chosen, before.details, before.chosen_hosts) == ((), (), ())
    source.select(Selection(hosts=("shop-1:8000",), operation=("shop", "pay")))
    reading = source.sample()
    shop = service(reading, "shop")
    metric = "operation_execution_time_seconds"
    assert shop.chosen_hosts == ("shop-1:8000",)
    assert service(reading, "web").chosen == ()
    one = f'{metric}_count{{job="shop",instance="shop-1:8000",operation="pay"}}[10s]'
    rate = number(fleet, f"rate({one})", source._time)
    assert operation(shop.chosen[0], "pay").rate == pytest.approx(rate, rel=1e-9)
    assert there(operation(shop.chosen[0], "pay").p95).high == 0.5

    assert [detail.seconds for detail in shop.details] == [10, 60, 300]
    detail = shop.details[0]
    assert detail.operation == "pay"
    assert detail.bounds == (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    both = f'{metric}_count{{job="shop",operation="pay"}}[10s]'
    total = number(fleet, f"sum(increase({both}))", source._time)
    assert sum(detail.buckets) == pytest.approx(total, abs=4)
    assert [status.status for status in detail.statuses] == ["failure", "success"]
    assert sum(status.count for status in detail.statuses) == pytest.approx(total, abs=2)
    shares = there(detail.instances)
    assert [share.instance for share in shares] == ["shop-1:8000", "shop-2:8000"]
    assert shares[0].operation.rate == pytest.approx(rate, rel=1e-9)
    assert there(shares[0].operation.p95).high == 0.5
    assert there(shares[0].operation.error_ratio) == pytest.approx(0.2, abs=0.05)

    source.select(Selection())
    after = service(source.sample(), "shop")
    assert (after.chosen, after.details) == ((), ())


def test_the_matcher_is_in_every_query(open_source: Callable[..., PrometheusSource]) -> None:
    reading = open_source(matcher='job=~"shop|gone"').sample()
    assert [found.name for found in there(reading.services)] == ["gone", "shop"]
    assert (reading.targets_up, reading.targets_down) == (2, 1)
    nothing = open_source(matcher='job="nobody"').sample()
    assert there(nothing.services) == ()
    assert isinstance(nothing.targets_up, Absent)
    assert any("none of the known metrics" in note for note in nothing.notes)


def test_service_and_labels_of_a_persons_choice(
    open_source: Callable[..., PrometheusSource],
) -> None:
    chosen = Operations(service_label="route", labels=("method",), presets=("http",))
    reading = open_source(chosen).sample()
    web = service(reading, "/items/{id}")
    assert [found.name for found in web.windows[0].operations] == ["GET"]
    assert web.hosts == ("web-1:8000",)
    assert there(web.windows[0].operations[0].p95).high == pytest.approx(0.1)
    assert "web" not in [found.name for found in there(reading.services)]


def test_an_expression_the_server_does_not_understand(
    open_source: Callable[..., PrometheusSource],
) -> None:
    # Python knows groups that are looked ahead for; RE2, which Prometheus uses, does not.
    reading = open_source(Operations(failure="(?=5)5..", presets=("http",))).sample()
    (items,) = service(reading, "web").windows[0].operations
    assert isinstance(items.error_ratio, Absent)
    assert items.count > 0
    assert any("operations.failure is not understood" in note for note in reading.notes)


def test_native_histograms_are_asked_for_in_valid_promql(
    open_source: Callable[..., PrometheusSource],
) -> None:
    # The metric exists without _count, as a native histogram does; a gauge has no counts.
    source = open_source(Operations(metric="node_boot_time_seconds", presets=()))
    reading = source.sample()
    (plan,) = source._found.plans
    assert plan.native
    assert not [note for note in reading.notes if note.startswith("no operations")]
    assert service(reading, "node").windows == ()


def test_path_prefix_and_basic_authentication(
    start_prometheus: Callable[..., PrometheusProcess],
) -> None:
    # The password is s3cret, hashed as web.config.file wants it.
    web = 'basic_auth_users: {ann: "$2b$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG"}'
    server = start_prometheus(
        "scrape_configs: []",
        "--web.route-prefix=/prom",
        "--web.config.file=DIRECTORY/web.yml",
        files={"web.yml": web},
    )
    place = server.url.removeprefix("http://")

    def sample(url: str) -> Reading:
        source = PrometheusSource(Prometheus(url=url), Operations())
        try:
            return source.sample()
        finally:
            source.close()

    reading = sample(f"http://ann:s3cret@{place}/prom")
    assert reading.address == f"http://{place}/prom"
    assert reading.version.startswith("2.")
    with pytest.raises(SourceError) as caught:
        sample(f"http://{place}/prom")
    assert caught.value.absent.state is State.DENIED
    with pytest.raises(SourceError) as caught:
        sample(f"http://ann:wr0ng@{place}/prom/")
    assert caught.value.absent.state is State.DENIED
    assert "wr0ng" not in caught.value.absent.reason + caught.value.absent.fix
    with pytest.raises(SourceError) as caught:
        sample(f"http://ann:s3cret@{place}")
    assert "the path of the URL is not right" in caught.value.absent.reason
    assert "--web.route-prefix" in caught.value.absent.fix
    with pytest.raises(SourceError) as caught:
        sample(f"http://ann:s3cret@{place}/prom/graph")
    assert caught.value.absent.fix == "leave /graph out of the URL"


def test_a_server_that_dies_is_told_and_found_again(
    start_prometheus: Callable[..., PrometheusProcess],
) -> None:
    server = start_prometheus("scrape_configs: []")
    source = PrometheusSource(Prometheus(url=server.url, timeout=0.5), Operations())
    source.sample()
    server.kill()
    with pytest.raises(SourceError, match="refused the connection"):
        source.sample()
    server.start()
    source.sample()
    server.freeze()
    with pytest.raises(SourceError, match=r"within 0\.5 s") as caught:
        source.sample()
    assert caught.value.absent.state is State.UNAVAILABLE
    server.thaw()
    source.sample()
    server.freeze()
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            source.sample()
        except SourceError as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    source.close()
    thread.join(5)
    assert not thread.is_alive()
    assert len(outcome) == 1
