"""What a service observed of its queries comes through Redis to those who advise."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from redis_fixture import RedisProcess

from perftui.metrics.query_publisher import QueryPublisher
from perftui.metrics.reporter import Reporter
from perftui.output.document import without_points
from perftui.output.once_queries import QueriesWriter
from perftui.queries.evidence import QueryEvidence
from perftui.queries.optimizer import QueryOptimizer
from perftui.queries.wire import MOST_BYTES, QueryReport, decode, encode
from perftui.snapshot import Absent, Queries
from perftui.sources.queries import QueriesSource
from perftui.sources.redis.target import RedisTarget
from perftui.sources.source import SourceError


def observed(count: int = 400, start: float = 1_000_000.0, seed: int = 1) -> QueryOptimizer:
    """Return an optimizer that saw pages of a list, whose latency grows with rows and depth."""
    random = Random(seed)
    now = [start]
    optimizer = QueryOptimizer(
        catalogue={"GET /items": {"cursors": True}}, window=0, clock=lambda: now[0]
    )
    for _ in range(count):
        now[0] += 1.0
        size = random.choice([20, 50, 100, 200])
        offset = random.choice([0, 10_000, 50_000, 100_000])
        latency = 0.002 + 2e-5 * size + 4e-7 * offset
        optimizer.observe(
            {
                "endpoint": "GET /items",
                "parameters": {"page_size": size, "offset": offset},
                "filters": {"city": "Secretville"},
            },
            latency * random.uniform(0.9, 1.1),
            size,
            rows_examined=size + offset,
            bytes=size * 120,
            client="billing",
        )
    return optimizer


def report_of(optimizer: QueryOptimizer, instance: str = "i") -> QueryReport:
    return QueryReport("api", instance, 1.0, 0.0, optimizer.evidence(), optimizer.catalogue)


def test_a_report_survives_the_way_and_holds_no_value() -> None:
    report = report_of(observed())
    payload = encode(report)
    assert decode(payload).evidence.shapes[0].calls == 400
    assert b"Secretville" not in payload
    assert "Secretville" not in repr(decode(payload))


def test_a_report_of_very_many_shapes_stays_small_and_counts_the_rest() -> None:
    optimizer = QueryOptimizer()
    for number in range(2_000):
        optimizer.observe(
            {"endpoint": f"GET /e{number}", "parameters": {f"p{number}": 1}},
            0.001 * (number + 1),
            20,
            fields_returned={f"field{number}_{place}": 10 + place for place in range(30)},
        )
    payload = encode(report_of(optimizer))
    assert len(payload) <= MOST_BYTES
    evidence = decode(payload).evidence
    assert evidence.shapes[0].shape.endpoint == "GET /e1999"
    assert sum(shape.calls for shape in evidence.shapes) + evidence.other == 2_000


@pytest.mark.parametrize(
    "payload",
    [b"", b"nothing", b"x\x9c", encode(report_of(observed(1)))[:-9]],
    ids=["empty", "text", "begun", "cut short"],
)
def test_a_broken_report_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="report"):
        decode(payload)


def send(server: RedisProcess, optimizer: QueryOptimizer, instance: str) -> None:
    publisher = QueryPublisher(optimizer)
    now = float(server.client.time()[0])
    for command in publisher.commands("api", instance, now, ended=True):
        server.client.execute_command(*command)


def source(server: RedisProcess) -> QueriesSource:
    return QueriesSource(RedisTarget.parse(server.url))


def test_processes_are_added_up_and_advised(redis_server: RedisProcess) -> None:
    for number in range(3):
        send(redis_server, observed(seed=number), f"i{number}")
    reading = source(redis_server).sample()
    assert isinstance(reading, Queries)
    assert (reading.processes, reading.observations, reading.services) == (3, 1_200, ("api",))
    (shape,) = reading.shapes
    assert shape.endpoint == "GET /items"
    assert shape.conditions == "city eq"
    assert "P8" in [step.rule for step in shape.steps]
    assert not isinstance(shape.saving, Absent)
    assert shape.saving.percent > 50
    assert shape.score > 0
    assert shape.points
    assert json.loads(shape.suggested)["parameters"] == {"page_size": 200, "cursor": "…"} or (
        "cursor" in json.loads(shape.suggested)["parameters"]
    )
    assert "Secretville" not in repr(reading)


def test_nothing_is_read_again_that_did_not_change(redis_server: RedisProcess) -> None:
    send(redis_server, observed(), "one")
    reader = source(redis_server)
    first = reader.sample()
    assert isinstance(first, Queries)
    calls = redis_server.client.info("commandstats")["cmdstat_mget"]["calls"]
    second = reader.sample()
    assert isinstance(second, Queries)
    assert redis_server.client.info("commandstats")["cmdstat_mget"]["calls"] == calls
    assert second.shapes == first.shapes


def test_without_reports_the_source_says_how_to_get_them(redis_server: RedisProcess) -> None:
    reading = source(redis_server).sample()
    assert isinstance(reading, Absent)
    assert "QueryMiddleware" in reading.fix


def test_reports_of_another_version_are_named(redis_server: RedisProcess) -> None:
    redis_server.client.zadd("perftui:queries", {"api/x": float(redis_server.client.time()[0])})
    redis_server.client.set("perftui:query:api/x", b"something else")
    with pytest.raises(SourceError, match="cannot be read"):
        source(redis_server).sample()
    send(redis_server, observed(), "one")
    reading = source(redis_server).sample()
    assert isinstance(reading, Queries)
    assert reading.processes == 1
    assert "1 processes could not be read" in reading.notes[0]


def test_a_reporter_publishes_what_its_optimizer_observed(redis_server: RedisProcess) -> None:
    optimizer = observed(50)
    reporter = Reporter(redis_server.url, "api", queries=optimizer).start()
    reporter.stop()
    reading = source(redis_server).sample()
    assert isinstance(reading, Queries)
    assert reading.observations == 50
    assert redis_server.client.ttl(f"perftui:query:api/{reporter.status.instance}") > 7 * 86_400


def test_a_reporter_takes_nothing_else_for_an_optimizer(redis_server: RedisProcess) -> None:
    with pytest.raises(TypeError, match="queries"):
        Reporter(redis_server.url, "api", queries=object())  # type: ignore[arg-type]


def test_a_forked_child_does_not_report_what_its_parent_observed() -> None:
    optimizer = observed(20)
    publisher = QueryPublisher(optimizer)
    publisher.after_fork()
    assert publisher.commands("api", "child", 1.0, ended=True) == []


def test_an_optimizer_that_fails_leaves_the_other_reports(redis_server: RedisProcess) -> None:
    class Broken(QueryOptimizer):
        def evidence(self) -> QueryEvidence:
            raise RuntimeError("broken")

    reporter = Reporter(redis_server.url, "api", queries=Broken()).start()
    reporter.stop()
    assert reporter.status.error == ""
    assert redis_server.client.exists(f"perftui:report:api/{reporter.status.instance}")


def test_text_and_document_tell_advice_and_leave_points_out(redis_server: RedisProcess) -> None:
    send(redis_server, observed(), "one")
    reading = source(redis_server).sample()
    assert isinstance(reading, Queries)
    text = "\n".join(QueriesWriter(ascii_only=True).queries(reading))
    assert "P8" in text
    assert "risk:" in text
    assert "all of it together saves" in text
    text.encode("ascii")
    slim: Any = without_points(reading)
    assert slim.shapes[0].points == ()
