"""A Prometheus that is away, refuses, is slow or is none: said, and nothing else is lost."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

import pytest
from recorded_prometheus import SELECTION, Asked, Given, RecordedPrometheus, error, vector

from perftui.config.settings import Operations, Prometheus
from perftui.snapshot import Absent, Operation, Service, State
from perftui.snapshot import Prometheus as Reading
from perftui.sources.prometheus.source import PrometheusSource
from perftui.sources.source import SourceError

PAGE = b"<!DOCTYPE html><title>Sign in</title>"


@pytest.fixture
def server() -> Iterator[RecordedPrometheus]:
    made = RecordedPrometheus()
    yield made
    made.close()


@pytest.fixture
def source(server: RecordedPrometheus) -> Iterator[PrometheusSource]:
    made = PrometheusSource(Prometheus(url=server.url, timeout=1.0), Operations())
    yield made
    made.close()


def service(reading: Reading, name: str) -> Service:
    assert not isinstance(reading.services, Absent), reading.services.reason
    return {found.name: found for found in reading.services}[name]


def pay(reading: Reading, window: int = 0) -> Operation:
    shop = service(reading, "shop").windows[window]
    return {found.name: found for found in shop.operations}["pay"]


def always(given: Given) -> Callable[[Asked], Given | None]:
    return lambda _: given


def where(part: str, given: Given) -> Callable[[Asked], Given | None]:
    return lambda asked: given if part in (asked.query or asked.path) else None


@pytest.mark.parametrize(
    ("given", "state", "reason", "fix"),
    [
        (Given(200, PAGE, "text/html"), State.UNAVAILABLE, "a web page instead of JSON", "prefix"),
        (
            Given(404, b"404 page not found", "text/plain"),
            State.UNAVAILABLE,
            "has no /api/v1/query",
            "http://HOST:9090/prometheus",
        ),
        (Given(401, b"Unauthorized", "text/plain"), State.DENIED, "user and password", "URL"),
        (
            Given(401, b"no org id", "text/plain"),
            State.DENIED,
            "wants to know the tenant",
            "X-Scope-OrgID",
        ),
        (Given(403, b"", "text/plain"), State.DENIED, "forbids", "access rules"),
        (
            Given(502, b"<html>Bad Gateway", "text/html"),
            State.UNAVAILABLE,
            "status 502",
            "see its log",
        ),
        (
            Given(429, b"slow down", "text/plain"),
            State.UNAVAILABLE,
            "asked too often",
            "prometheus.interval",
        ),
        (
            error(503, "timeout", "query timed out"),
            State.UNAVAILABLE,
            "did not finish a query within 1 s",
            "prometheus.timeout",
        ),
        (
            error(400, "bad_data", 'invalid parameter "query": parse error'),
            State.UNAVAILABLE,
            'says: invalid parameter "query"',
            "prometheus.matcher",
        ),
        (Given(200, b'{"status":"succ', "application/json"), State.UNAVAILABLE, "else", "API"),
        (Given(200, b"", "application/json"), State.UNAVAILABLE, "something else", "API"),
        (Given(200, b"[1,2]", "application/json"), State.UNAVAILABLE, "something else", "API"),
        (Given(200, b'"\xff"', "application/json"), State.UNAVAILABLE, "something else", "API"),
        (
            Given(200, b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}'),
            State.UNAVAILABLE,
            "something else",
            "API",
        ),
        (
            Given(200, b"{}", "application/json", {}, 3.0),
            State.UNAVAILABLE,
            "within 1 s",
            "timeout",
        ),
    ],
)
def test_nothing_can_be_asked(
    server: RecordedPrometheus,
    source: PrometheusSource,
    given: Given,
    state: State,
    reason: str,
    fix: str,
) -> None:
    server.instead = always(given)
    with pytest.raises(SourceError) as caught:
        source.sample()
    assert caught.value.absent.state is state
    assert reason in caught.value.absent.reason
    assert fix in caught.value.absent.fix
    server.instead = lambda _: None
    assert pay(source.sample()).count > 0


def test_a_server_without_targets_rules_and_version(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    def answer(asked: Asked) -> Given | None:
        if asked.path != "/api/v1/query":
            return Given(404, b"not found", "text/plain")
        if "count_over_time" in asked.query:
            jobs = {"shop": "300", "slow": "75", "web": "300", "node": "300"}
            return vector([{"metric": {"job": j}, "value": [1, n]} for j, n in jobs.items()])
        return None

    server.instead = answer
    reading = source.sample()
    assert reading.version == ""
    assert isinstance(reading.alerts, Absent)
    assert "does not offer /api/v1/rules" in reading.alerts.reason
    assert pay(reading).count > 0
    assert [window.covered for window in service(reading, "slow").windows] == [16, 60, 300]


def test_rights_that_end_before_the_rules(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    server.instead = where("/api/v1/rules", Given(403, b"RBAC", "text/plain"))
    reading = source.sample()
    assert isinstance(reading.alerts, Absent)
    assert "does not allow /api/v1/rules" in reading.alerts.reason
    assert pay(reading).count > 0


def test_quantiles_that_time_out_leave_the_rates(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    server.instead = where("sum by (job,operation,le)", error(503, "timeout", "query timed out"))
    reading = source.sample()
    found = pay(reading)
    assert isinstance(found.p95, Absent)
    assert "did not finish a query" in found.p95.reason
    assert found.rate > 0
    assert any(note.startswith("no quantiles: ") for note in reading.notes)


def test_a_window_that_cannot_be_counted_is_left_out(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    refusal = error(422, "execution", "query processing would load too many samples")
    server.instead = where("[300s]", refusal)
    reading = source.sample()
    assert [window.seconds for window in service(reading, "shop").windows] == [10, 60]
    assert any("too many samples" in note for note in reading.notes)


def test_no_operations_at_all_still_tells_of_instances(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    server.instead = where("increase(", error(422, "execution", "broken"))
    reading = source.sample()
    shop = service(reading, "shop")
    assert shop.windows == ()
    assert shop.processes == 2
    assert any(note.endswith("says: broken") for note in reading.notes)


def test_nothing_but_targets(server: RecordedPrometheus, source: PrometheusSource) -> None:
    refusal = error(422, "execution", "broken")
    server.instead = lambda asked: (
        None if asked.query.startswith("count_values") or not asked.query else refusal
    )
    reading = source.sample()
    assert reading.targets_up == 5
    assert isinstance(reading.services, Absent)
    assert "says: broken" in reading.services.reason


def test_details_that_fail_leave_the_table(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    server.instead = where("sum by (instance)", error(422, "execution", "broken"))
    source.select(SELECTION)
    shop = service(source.sample(), "shop")
    assert shop.details == ()
    assert shop.windows


def test_partial_data_is_told(server: RecordedPrometheus, source: PrometheusSource) -> None:
    def answer(asked: Asked) -> Given | None:
        body = json.loads(server.recorded(asked).body)
        if "increase(" in asked.query:
            body |= {"warnings": ["store shard-2 is away"], "infos": ["metric might not be"]}
            body["isPartial"] = True
        return Given(200, json.dumps(body).encode())

    server.instead = answer
    reading = source.sample()
    assert "the server warns: store shard-2 is away" in reading.notes
    assert "the server warns: metric might not be" in reading.notes
    assert "the server warns: the answer is partial" in reading.notes
    assert pay(reading).count > 0
    server.instead = lambda _: None
    assert "the server warns: store shard-2 is away" in source.sample().notes, "it is still shown"


def test_an_empty_answer_is_no_data_and_not_zero(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    server.instead = where("increase(", vector([]))
    shop = service(source.sample(), "shop")
    assert shop.windows == ()


@pytest.mark.parametrize("value", ["+Inf", "-Inf", "1e308", "-5", "abc", ""])
@pytest.mark.parametrize("part", ["", "increase(", "up", "count by", "rate(", "le)"])
def test_numbers_that_nobody_can_have_counted(
    server: RecordedPrometheus, source: PrometheusSource, part: str, value: str
) -> None:
    def answer(asked: Asked) -> Given | None:
        if not asked.query or part not in asked.query:
            return None
        found = json.loads(server.recorded(asked).body)["data"]["result"]
        return vector([each | {"value": [each["value"][0], value]} for each in found])

    server.instead = answer
    source.select(SELECTION)
    for _ in range(2):
        reading = source.sample()
    services = () if isinstance(reading.services, Absent) else reading.services
    for operation in (o for each in services for w in each.windows for o in w.operations):
        assert 0 <= operation.rate < math.inf
        assert operation.count >= 0


@pytest.mark.parametrize("bound", ["abc", "NaN", "-Inf", ""])
def test_a_bucket_without_a_bound_is_left_out(
    server: RecordedPrometheus, source: PrometheusSource, bound: str
) -> None:
    whole = pay(source.sample())

    def answer(asked: Asked) -> Given | None:
        if "le)" not in asked.query:
            return None
        found = json.loads(server.recorded(asked).body)["data"]["result"]
        odd = {"metric": found[0]["metric"] | {"le": bound}, "value": [1, "1000"]}
        return vector([odd, *found])

    server.instead = answer
    again = PrometheusSource(Prometheus(url=server.url, timeout=1.0), Operations())
    try:
        assert pay(again.sample()).p95 == whole.p95
    finally:
        again.close()


def test_values_that_are_no_numbers(server: RecordedPrometheus, source: PrometheusSource) -> None:
    labels = {"job": "shop", "operation": "pay"}

    def answer(asked: Asked) -> Given | None:
        if asked.query.startswith("sum by (job,operation,le)"):
            counts = (("0.1", "NaN"), ("0.5", "+Inf"), ("+Inf", "NaN"))
            return vector([{"metric": labels | {"le": b}, "value": [1, v]} for b, v in counts])
        if "increase(" in asked.query:
            parts = (("count", "10"), ("seconds", "NaN"), ("failures", "NaN"), ("count", "NaN"))
            return vector(
                [{"metric": labels | {"perftui_part": p}, "value": [1, v]} for p, v in parts]
            )
        if "process_resident" in asked.query:
            place = {"job": "shop", "instance": "a", "perftui_part": "rss"}
            return vector([{"metric": place, "value": [1, "NaN"]}])
        return None

    server.instead = answer
    found = pay(source.sample())
    assert found.count == 10
    assert isinstance(found.p95, Absent)


def test_a_slow_server_is_asked_less_often(server: RecordedPrometheus) -> None:
    source = PrometheusSource(Prometheus(url=server.url, interval=1, timeout=5), Operations())

    def answer(asked: Asked) -> Given | None:
        slow = "operation_execution_time_seconds_count" in asked.query and "[10s]" in asked.query
        return server.recorded(asked)._replace(delay=0.6) if slow else None

    server.instead = answer
    reading = source.sample()
    source.close()
    (note,) = [note for note in reading.notes if note.startswith("the server takes")]
    assert "for operations, so it is asked every 2 s only" in note


def test_a_server_that_stops_answering_is_not_asked_on_and_on(
    server: RecordedPrometheus, source: PrometheusSource
) -> None:
    source.sample()
    server.asked.clear()
    server.instead = lambda asked: (
        None if asked.query.startswith("count_values") else Given(502, b"", "text/plain")
    )
    for key in list(source._schedule._questions):
        source._schedule.soon(key)
    source.sample()
    assert len(server.asked) == 3


def test_secrets_are_never_said(server: RecordedPrometheus) -> None:
    place = server.url.removeprefix("http://")
    source = PrometheusSource(
        Prometheus(url=f"http://ann:hunter2@{place}", headers=("X-Token: hunter3",)), Operations()
    )
    server.instead = always(Given(500, b"boom", "text/plain"))
    with pytest.raises(SourceError) as caught:
        source.sample()
    assert source.api.address == server.url
    said = f"{caught.value.absent} {caught.value} {source.api._client.target!r}"
    assert "hunter" not in said
    source.close()
