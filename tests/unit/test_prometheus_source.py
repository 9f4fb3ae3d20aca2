"""The source against recorded answers of a real server; what is odd is in tests/faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest
from recorded_prometheus import SELECTION, Asked, Given, RecordedPrometheus, vector

from perftui.config.settings import Operations, Prometheus
from perftui.snapshot import Absent, Operation, Selection, Service, State
from perftui.snapshot import Prometheus as Reading
from perftui.sources.operation_slots import NO_BUCKETS
from perftui.sources.prometheus.source import PrometheusSource
from perftui.sources.prometheus.windows import NOT_BUSY
from perftui.sources.source import SelectingSource


@pytest.fixture
def server() -> Iterator[RecordedPrometheus]:
    made = RecordedPrometheus()
    yield made
    made.close()


@pytest.fixture
def source(server: RecordedPrometheus) -> Iterator[PrometheusSource]:
    made = PrometheusSource(Prometheus(url=server.url), Operations())
    yield made
    made.close()


def service(reading: Reading, name: str) -> Service:
    assert not isinstance(reading.services, Absent), reading.services.reason
    return {found.name: found for found in reading.services}[name]


def operation(reading: Reading, name: str, window: int = 0) -> Operation:
    return {found.name: found for found in service(reading, "shop").windows[window].operations}[
        name
    ]


def test_the_recorded_fleet(server: RecordedPrometheus, source: PrometheusSource) -> None:
    reading = source.sample()
    assert server.unknown == []
    assert reading.address == server.url
    assert reading.version.startswith("2.42")
    assert (reading.targets_up, reading.targets_down) == (5, 1)
    assert not isinstance(reading.services, Absent)
    names = [found.name for found in reading.services]
    assert names == ["gone", "node", "shop", "slow", "web"]
    assert all(found.origin == "prometheus" for found in reading.services)
    assert not isinstance(reading.alerts, Absent)
    assert [alert.name for alert in reading.alerts] == ["PaySlow"]
    pay = operation(reading, "pay")
    assert not isinstance(pay.p95, Absent)
    assert pay.p95.value == pytest.approx(server.recording["p95_of_pay"], rel=1e-9)
    assert not isinstance(pay.error_ratio, Absent)
    assert 0.15 < pay.error_ratio < 0.25
    assert [window.covered for window in service(reading, "slow").windows] == [16, 60, 300]
    assert service(reading, "web").windows[0].operations[1].p95 == NO_BUCKETS
    assert msgspec.json.decode(msgspec.json.encode(reading), type=Reading) == reading


def test_what_is_selected_is_asked_for_and_only_then(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    assert isinstance(source, SelectingSource)
    source.sample()
    assert not [asked for asked in server.asked if "shop-1:8000" in asked.query]
    source.select(SELECTION)
    shop = service(source.sample(), "shop")
    assert server.unknown == []
    assert shop.chosen_hosts == ("shop-1:8000",)
    assert 0 < shop.chosen[0].operations[2].rate < shop.windows[0].operations[2].rate
    assert [detail.seconds for detail in shop.details] == [10, 60, 300]
    source.select(Selection())
    server.asked.clear()
    assert service(source.sample(), "shop").details == ()
    assert not [asked for asked in server.asked if "shop-1:8000" in asked.query]


def test_two_samples_in_a_hurry_ask_once(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    first = source.sample()
    server.asked.clear()
    second = source.sample()
    assert [asked.query for asked in server.asked] == [
        'count_values("state",up{}) or vector(time())'
    ]
    assert second == first


def test_long_queries_are_posted_and_short_ones_are_not(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    source.sample()
    methods = {(asked.method, len(asked.query) > 1500) for asked in server.asked}
    assert methods == {("GET", False), ("POST", True)}


def test_a_proxy_that_lets_no_post_through_is_remembered(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    server.instead = lambda asked: Given(405, b"", "text/plain") if asked.method == "POST" else None
    assert service(source.sample(), "shop").windows
    assert [asked.method for asked in server.asked].count("POST") == 1
    assert server.unknown == []


def test_the_matcher_is_in_every_selector(server: RecordedPrometheus) -> None:
    source = PrometheusSource(
        Prometheus(url=server.url, matcher='env="prod", zone!~"a|b"'), Operations()
    )
    server.instead = _without_matcher(server, 'env="prod",zone!~"a|b"')
    source.select(SELECTION)
    source.sample()
    source.close()
    assert server.unknown == []
    for asked in server.asked:
        if asked.query:
            # One of the recorded routes has braces as well.
            selectors = asked.query.replace("{id}", "").count("{")
            assert selectors == asked.query.count('env="prod",zone!~"a|b"')


def _without_matcher(server: RecordedPrometheus, matcher: str) -> Callable[[Asked], Given | None]:
    """Answer as if the matcher were not there."""

    def answer(asked: Asked) -> Given | None:
        for text in (f"{matcher},", f",{matcher}", matcher):
            asked = asked._replace(query=asked.query.replace(text, ""))
        return server.recorded(asked)

    return answer


def test_only_the_busiest_operations_have_quantiles(
    server: RecordedPrometheus,
    source: PrometheusSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("perftui.sources.prometheus.operations.MOST_QUANTILES", 1)
    buckets: list[Asked] = []

    def answer(asked: Asked) -> Given | None:
        if "_bucket{" not in asked.query or "label_replace" in asked.query:
            return None
        buckets.append(asked)
        metric = {"job": "shop", "operation": "pay"}
        counts = (("0.1", "4"), ("0.5", "10"), ("+Inf", "10"))
        return vector([{"metric": metric | {"le": le}, "value": [1, n]} for le, n in counts])

    server.instead = answer
    source.select(Selection(operation=("shop", "list")))
    reading = source.sample()
    assert all('operation="pay"' in asked.query or "list|pay" in asked.query for asked in buckets)
    assert not isinstance(operation(reading, "pay").p95, Absent)
    # It was asked for because it is looked at, but this server has no buckets of it.
    assert operation(reading, "list").p95 == NO_BUCKETS
    source.select(Selection())
    assert operation(source.sample(), "list").p95 == NOT_BUSY


def test_wrong_settings_are_refused_at_once() -> None:
    def make(**settings: object) -> None:
        PrometheusSource(
            Prometheus(**({"url": "http://localhost:9090"} | settings)),  # type: ignore[arg-type]
            Operations(),
        )

    make()
    with pytest.raises(ValueError, match="label matcher is wrong at 'env=prod'"):
        make(matcher="env=prod")
    with pytest.raises(ValueError, match="port"):
        make(url="http://localhost:port")
    with pytest.raises(ValueError, match=r"operations\.failure"):
        PrometheusSource(Prometheus(url="http://localhost:9090"), Operations(failure="("))


def test_an_instance_that_vanishes_is_shown_for_a_while(
    server: RecordedPrometheus,
) -> None:
    source = PrometheusSource(Prometheus(url=server.url, interval=1), Operations())
    source.sample()
    shift = 100.0

    def answer(asked: Asked) -> Given | None:
        given = server.recorded(asked)
        body = msgspec.json.decode(given.body)
        result = body["data"].get("result", []) if "data" in body else []
        for series in result:
            series["value"][0] += shift
        if "process_resident_memory_bytes" in asked.query:
            body["data"]["result"] = [
                series for series in result if series["metric"]["instance"] != "shop-2:8000"
            ]
        return Given(200, msgspec.json.encode(body))

    server.instead = answer
    source._schedule.soon("instances")
    shop = service(source.sample(), "shop")
    assert [found.state for found in shop.instances] == [State.OK, State.STALE]
    assert shop.processes == 1
    assert shop.instances[1].note == "no longer a target"
    assert 95 < shop.instances[1].last_seen < 110
    shift = 700.0
    source._schedule.soon("instances")
    assert [found.id for found in service(source.sample(), "shop").instances] == ["shop-1:8000"]
    source.close()


def test_instances_that_push_and_so_have_no_up(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    def answer(asked: Asked) -> Given | None:
        if asked.query.startswith("count_values"):
            return vector([{"metric": {}, "value": [1000.0, "1000"]}])
        if "process_resident_memory_bytes" in asked.query:
            return vector([])
        if asked.query.startswith("max by (job,instance) (timestamp(operation_"):
            place = {"job": "shop", "instance": "pod-1"}
            return vector([{"metric": place, "value": [1000, "990"]}])
        if asked.query.startswith("max by (job,instance) (timestamp("):
            return vector([])
        return None

    server.instead = answer
    reading = source.sample()
    assert isinstance(reading.targets_up, Absent)
    assert "no target has the metric up" in reading.targets_up.reason
    shop = service(reading, "shop")
    assert [(found.id, found.state, found.last_seen) for found in shop.instances] == [
        ("pod-1", State.OK, 10.0)
    ]
    assert (shop.hosts, shop.processes, shop.last_seen) == (("pod-1",), 1, 10.0)
    assert shop.windows
