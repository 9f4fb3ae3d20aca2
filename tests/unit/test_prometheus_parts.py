"""Decoding of answers, what is planned from them, their pace, and alerts."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.snapshot import Absent, State
from perftui.sources.metric_mapping import MetricMapping
from perftui.sources.prometheus.alerts import NO_VALUE, alerts_of
from perftui.sources.prometheus.answers import (
    Rules,
    Sample,
    decode_data,
    decode_failure,
    decode_vector,
    number_of,
    seconds_of,
    unix_time,
)
from perftui.sources.prometheus.api import RefusedError
from perftui.sources.prometheus.instances import instances_query
from perftui.sources.prometheus.operations import (
    MOST_OPERATIONS,
    SeriesNames,
    apart,
    count_operations,
    counting_query,
    quantiles_of,
)
from perftui.sources.prometheus.pace import NOT_ASKED, Pace, Schedule
from perftui.sources.prometheus.plan import Plan, find_plans
from perftui.sources.source import SourceError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Answers:
    """Stands for the server: the answer to a query is what the test has for a part of it."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.answers: dict[str, list[Sample]] = {}

    def query(self, expression: str, time: float | None = None) -> list[Sample]:
        self.queries.append(expression)
        return next((found for part, found in self.answers.items() if part in expression), [])


def sample(value: float | str, **labels: str) -> Sample:
    return Sample(labels, (1.0, str(value)))


HTTP = MetricMapping(
    preset="http",
    metric="took",
    labels=("method", "route", "path"),
    either=("route", "path"),
    status_labels=("status", "code"),
    failure="5..",
    counter="requests_total",
    service_labels=("app",),
)


def found_plans(labels: list[Sample], intervals: dict[str, float]) -> tuple[Plan, ...]:
    """Return the plans for jobs that have a classic histogram with these labels."""
    jobs = {found.metric["job"] for found in labels}
    api = Answers()
    api.answers["count by (__name__,job)"] = [
        sample(1, __name__=name, job=job)
        for job in sorted(jobs)
        for name in ("took_count", "took_bucket", "requests_total")
    ]
    api.answers["label_replace(count by (job) (took_count{}"] = labels
    return find_plans(api, [HTTP], "", intervals, None).plans  # type: ignore[arg-type]


def test_a_raw_path_beside_a_route_is_not_asked_for() -> None:
    (plan,) = found_plans(
        [
            sample(6, job="web", perftui_part=""),
            sample(6, job="web", perftui_part="method"),
            sample(6, job="web", perftui_part="route"),
            sample(6, job="web", perftui_part="path"),
            sample(6, job="web", perftui_part="status"),
        ],
        {"web": 1.0},
    )
    assert plan.by == ("job", "method", "route")
    assert plan.status == ("took_count", "status")
    assert plan.buckets
    assert plan.everybody


def test_a_path_is_asked_for_where_some_series_have_no_route() -> None:
    (plan,) = found_plans(
        [
            sample(6, job="web", perftui_part=""),
            sample(5, job="web", perftui_part="route"),
            sample(6, job="web", perftui_part="path"),
        ],
        {"web": 1.0},
    )
    assert plan.by == ("job", "route", "path")
    assert plan.status is None


def test_a_counter_tells_of_failures_only_when_it_names_operations() -> None:
    labels = [sample(6, job="web", perftui_part=""), sample(6, job="web", perftui_part="route")]
    status = sample(9, job="web", perftui_part="counter code")
    assert found_plans([*labels, status], {})[0].status is None
    route = sample(9, job="web", perftui_part="counter route")
    assert found_plans([*labels, status, route], {})[0].status == ("requests_total", "code")


def test_jobs_with_the_same_windows_are_asked_together() -> None:
    jobs = ("a", "b", "c")
    plans = found_plans(
        [sample(1, job=job, perftui_part="") for job in jobs], {"a": 1.0, "b": 2.5, "c": 30.0}
    )
    assert [(plan.jobs, plan.windows) for plan in plans] == [
        (("a", "b"), (10.0, 60.0, 300.0)),
        (("c",), (120.0, 120.0, 300.0)),
    ]
    assert [plan.interval for plan in plans] == [0.0, 30.0]


def test_a_service_of_several_jobs_has_one_plan() -> None:
    labels = [sample(1, job=job, perftui_part=part) for job in ("a", "b") for part in ("", "app")]
    (plan,) = found_plans(labels, {"a": 1.0, "b": 30.0})
    assert plan.by[: plan.owners] == ("app", "job")
    assert plan.windows == (120.0, 120.0, 300.0)
    assert plan.service({"app": "shop", "job": "a"}) == "shop"
    assert plan.service({"job": "a"}) == "a"
    assert plan.service({}) == "unknown"


PLAN = Plan(
    mapping=HTTP, interval=0.0, windows=(10.0, 60.0, 300.0), by=("job", "route"), owners=1,
    status=("took_count", "status"), everybody=True,
)  # fmt: skip


def test_series_of_one_operation_are_added_up() -> None:
    api = Answers()
    api.answers["increase"] = [
        sample(10, job="a", route="/x", perftui_part="count"),
        sample(5, job="a", route="/x", perftui_part="count"),
        sample(3, job="a", route="/x", perftui_part="seconds"),
        sample(1, job="a", route="/x", perftui_part="failures"),
        sample("NaN", job="a", route="/x", perftui_part="seconds"),
    ]
    names = SeriesNames(PLAN)
    found = count_operations(api, PLAN, names, "", 10.0, 1.0, False)  # type: ignore[arg-type]
    counts = found.operations["a", "/x"]
    assert (counts.count, counts.seconds, counts.failures) == (15, 3, 1)
    assert len(found.series["a", "/x"]) == 2


def test_very_many_operations_are_cut_by_the_server() -> None:
    query = counting_query(PLAN, "", 10.0, True)
    assert query.count(f"topk({MOST_OPERATIONS},") == 3
    api = Answers()
    api.answers["topk"] = [
        sample(1, job="a", route="/x", perftui_part="count"),
        sample(2, job="a", route="/x", perftui_part="seconds"),
        sample(8, job="a", perftui_part="total"),
    ]
    found = count_operations(api, PLAN, SeriesNames(PLAN), "", 10.0, 1.0, True)  # type: ignore[arg-type]
    assert found.totals == {"a": 8.0}


@given(
    st.dictionaries(st.sampled_from([0.1, 0.2, 0.5, 1.0, 2.0]), st.floats(0, 1e6), min_size=1),
    st.floats(0, 1e6),
)
def test_buckets_are_never_negative_and_add_up(counts: dict[float, float], last: float) -> None:
    bounds, buckets = apart({**counts, math.inf: last}, 0.001)
    assert bounds == tuple(bound * 0.001 for bound in sorted(counts))
    assert all(bucket >= 0 for bucket in buckets)
    assert sum(buckets) == pytest.approx(max(last, *counts.values()))


def test_buckets_without_an_end_have_no_quantiles() -> None:
    assert quantiles_of({0.1: 5.0, 0.2: 9.0}, 1.0) is None
    assert quantiles_of({math.inf: 9.0}, 1.0) is None
    assert quantiles_of({}, 1.0) is None
    assert quantiles_of({0.1: 0.0, math.inf: 0.0}, 1.0) is None


def test_cpu_windows_hold_four_scrapes() -> None:
    query = instances_query('env="x"', ["a", "b"], {"a": 1.0, "b": 15.0})
    assert 'process_cpu_seconds_total{env="x",job=~"a|b",job="a"}[10s]' in query
    assert 'process_cpu_seconds_total{env="x",job=~"a|b",job="b"}[60s]' in query
    assert "process_cpu_seconds_total{}[60s]" in instances_query("", None, {})


@given(st.binary())
def test_any_answer_is_decoded_or_refused(body: bytes) -> None:
    for decode in (decode_vector, lambda data: decode_data(data, Rules)):
        with pytest.raises(ValueError):  # noqa: PT011
            decode(body)
    assert decode_failure(body) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15s", 15.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("15.000s", 15.0),
        ("0s", None), ("", None), ("15", None), ("s", None), ("15x", None), ("-1s", None),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


def test_times_and_numbers() -> None:
    assert unix_time("1970-01-01T00:01:00.123456789Z") == pytest.approx(60.123456)
    assert unix_time("1970-01-01T01:00:00+01:00") == 0
    assert unix_time("1970-01-01T00:00:01") == 1
    assert unix_time("soon") is None
    assert number_of(sample("NaN")) is None
    for odd in ("+Inf", "-Inf", "1e308", "abc", ""):
        assert number_of(sample(odd)) is None
    assert number_of(Sample({})) is None


def rules(*found: dict[str, object]) -> Rules:
    return msgspec.convert({"groups": [{"rules": list(found)}, {"rules": None}]}, Rules)


def test_alerts() -> None:
    firing = {
        "state": "firing",
        "labels": {"alertname": "A", "severity": "page", "b": "2", "a": "1"},
        "annotations": {"description": "long"},
        "activeAt": "1970-01-01T00:00:10Z",
        "value": "NaN",
    }
    found = alerts_of(
        rules(
            {"name": "A", "alerts": [firing, firing, firing | {"state": "pending"}]},
            {"name": "B", "alerts": [firing | {"labels": {}, "activeAt": None, "value": "1e+00"}]},
            {"name": "C", "health": "err", "lastError": "many\nmatches", "alerts": None},
        )
    )
    assert [(alert.name, alert.since) for alert in found.firing] == [("B", 0.0), ("A", 10.0)]
    alert = found.firing[1]
    assert (alert.severity, alert.labels) == ("page", (("a", "1"), ("b", "2")))
    assert (alert.summary, alert.runbook, alert.value) == ("long", "", NO_VALUE)
    assert found.firing[0].value == 1.0
    assert found.notes == (
        "1 alert is pending",
        "rule C cannot be evaluated: many matches",
    )


def test_a_slow_question_is_asked_half_as_often_and_recovers() -> None:
    pace = Pace(5.0)
    factors = []
    for took in (3.0, 3.0, 1.0, 0.1, 0.1, 0.1):
        pace.done(100.0, took, 5.0)
        factors.append(pace.factor)
    assert factors == [2, 4, 4, 2, 1, 1]
    assert pace.due == 105.0
    for _ in range(9):
        pace.done(100.0, 3.0, 5.0)
    assert pace.factor == 16


class Questions:
    """A question that is answered, refused or left without an answer, and takes its time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked = 0
        self.takes = 0.0
        self.error: SourceError | None = None

    def __call__(self) -> int:
        self.asked += 1
        self.clock.now += self.takes
        if self.error is not None:
            raise self.error
        return self.asked


def test_a_question_is_asked_when_it_is_due() -> None:
    clock = Clock()
    schedule = Schedule(5.0, clock)
    question = Questions(clock)
    answers = []
    for _ in range(5):
        schedule.begin()
        answers.append(schedule.ask("key", "things", 10.0, question))
        schedule.end()
        clock.now += 5.0
    assert answers == [1, 1, 2, 2, 3]
    question.error = RefusedError("bad_data", "no")
    schedule.soon("key")
    schedule.begin()
    answer = schedule.ask("key", "things", 10.0, question)
    assert isinstance(answer, Absent)
    assert list(schedule.notes()) == ["no things: no"]


def test_an_answer_that_nothing_renews_gets_too_old() -> None:
    clock = Clock()
    schedule = Schedule(5.0, clock)
    question = Questions(clock)
    lost = Questions(clock)
    lost.error = SourceError(State.UNAVAILABLE, "lost")
    schedule.begin()
    assert schedule.ask("key", "things", 10.0, question) == 1
    schedule.end()
    for _ in range(4):
        # Two questions without an answer come first in each round, so this one is never asked.
        clock.now += 20.0
        schedule.begin()
        for key in ("one", "two"):
            schedule.soon(key)
            schedule.ask(key, "others", 1.0, lost)
        answer = schedule.ask("key", "things", 10.0, question)
        schedule.end()
    assert isinstance(answer, Absent)
    assert answer.state is State.STALE
    assert question.asked == 1


def test_a_round_that_takes_too_long_leaves_the_rest_for_later() -> None:
    clock = Clock()
    schedule = Schedule(5.0, clock)
    first, second = Questions(clock), Questions(clock)
    first.takes = 6.0
    schedule.begin()
    assert schedule.ask("first", "firsts", 5.0, first) == 1
    assert schedule.ask("second", "seconds", 5.0, second) is NOT_ASKED
    schedule.end()
    assert list(schedule.notes()) == [
        "the server takes 6.0 s for firsts, so it is asked every 10 s only"
    ]
    schedule.begin()
    assert schedule.ask("first", "firsts", 5.0, first) == 1
    assert schedule.ask("second", "seconds", 5.0, second) == 1
