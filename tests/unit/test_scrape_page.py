"""Label sets of histograms and counters on real pages, and what is left out of them."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

from perftui.config.settings import Operations
from perftui.metrics.execution import ExecutionMetrics
from perftui.sources.metric_presets import mappings
from perftui.sources.scrape.page import MOST_NOTES, Page, PageReader, Timing

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def reader(**settings: object) -> PageReader:
    return PageReader(mappings(Operations(**settings)))  # type: ignore[arg-type]


def read(page: str | CollectorRegistry) -> Page:
    body = page.encode() if isinstance(page, str) else generate_latest(page)
    return reader().read(body, TEXT)


def histogram(counts: str, name: str = "http_request_duration_seconds") -> str:
    """Return a page with one histogram: `le=value` pairs, count and sum."""
    lines = [f"# TYPE {name} histogram"]
    for part in counts.split():
        key, _, value = part.partition("=")
        if key in ("count", "sum"):
            lines.append(f"{name}_{key} {value}")
        else:
            lines.append(f'{name}_bucket{{le="{key}"}} {value}')
    return "\n".join(lines) + "\n"


def only(page: Page) -> Timing:
    (timing,) = page.timings.values()
    return timing


def test_reads_the_pages_of_our_own_library() -> None:
    registry = CollectorRegistry()
    metrics = ExecutionMetrics(registry=registry, buckets=(0.1, 1.0))
    metrics.record_execution("pay", 0.05, True)
    metrics.record_execution("pay", 5.0, False)
    page = read(registry)
    assert only(page) == Timing(2.0, 5.05, (0.1, 1.0), (1.0, 0.0, 1.0))
    assert {(each.name, each.status): value for each, value in page.counted.items()} == {
        ("operation_count_total", "success"): 1.0,
        ("operation_count_total", "failure"): 1.0,
        ("operation_cancelled_total", None): 0.0,
    }
    assert page.timed
    assert not page.notes


def test_a_summary_has_a_rate_and_a_mean_but_no_buckets() -> None:
    registry = CollectorRegistry()
    summary = Summary("http_request_duration_seconds", "", ["handler"], registry=registry)
    summary.labels("/x").observe(0.5)
    assert only(read(registry)) == Timing(1.0, 0.5, (), (1.0,))


def test_units_are_turned_into_seconds() -> None:
    registry = CollectorRegistry()
    took = Histogram(
        "http_server_duration_milliseconds", "", ["http_route"], buckets=(5, 250), registry=registry
    )
    took.labels("/x").observe(100)
    timing = only(read(registry))
    assert timing.seconds == pytest.approx(0.1)
    assert timing.bounds == pytest.approx((0.005, 0.25))


def test_bounds_need_no_order_and_no_infinity() -> None:
    page = read(histogram("10=4 2=1 +Inf=6 count=6 sum=9"))
    assert only(page) == Timing(6, 9, (2.0, 10.0), (1, 3, 2))
    assert only(read(histogram("2=1 10=4 count=6 sum=9"))) == only(page)
    assert only(read(histogram("2=1 10=4 +Inf=6 sum=9"))) == only(page)


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ("1=NaN +Inf=1 count=1 sum=1", "is nan"),
        ("1=1 +Inf=+Inf count=1 sum=1", "is inf"),
        ("1=1 +Inf=1 count=-1 sum=1", "is -1"),
        ("1=1 +Inf=1 count=1 sum=NaN", "is nan"),
        ("1=1 +Inf=1 count=1 sum=-5", "is -5"),
        ("1=5 +Inf=1 count=1 sum=1", "decrease"),
        ("one=1 +Inf=1 count=1 sum=1", "no numbers"),
        ("NaN=1 +Inf=1 count=1 sum=1", "no numbers"),
        ("1=1 +Inf=1 count=1", "no sum or no count"),
        ("1=1 sum=1", "no count"),
        ("sum=1", "no sum or no count"),
        ("1=1 1=1 +Inf=1 count=1 sum=1", "twice"),
        ("1=1 1.0=1 +Inf=1 count=1 sum=1", "no numbers"),
    ],
)
def test_leaves_impossible_counts_out_and_says_so(counts: str, says: str) -> None:
    broken = histogram(counts)
    fine = histogram("1=1 +Inf=2 count=2 sum=3", "operation_execution_time_seconds")
    page = read(broken + fine)
    assert only(page).calls == 2
    assert [note for note in page.notes if says in note and note.startswith("left out: ")]
    assert {str(each) for each in page.left_out} == {"http_request_duration_seconds"}


def test_wrong_types_are_named() -> None:
    registry = CollectorRegistry()
    Gauge("http_request_duration_seconds_count", "", registry=registry).set(4)
    Gauge("operation_count_total", "", ["operation", "status"], registry=registry).labels(
        "pay", "success"
    ).set(3)
    page = read(registry)
    assert not page.timings
    assert not page.counted
    assert "left out: operation_count_total is a gauge, no counter" in page.notes
    page = read("# TYPE http_request_duration_seconds gauge\nhttp_request_duration_seconds 4\n")
    assert page.notes == (
        "left out: http_request_duration_seconds is a gauge, no histogram or summary",
    )


def test_counters_of_outcomes_that_make_no_sense_are_left_out() -> None:
    page = read(
        'operation_count_total{operation="a",status="failure"} NaN\n'
        'operation_count_total{operation="b",status="failure"} 1\n'
        'operation_count_total{status="failure",operation="b"} 2\n'
        'operation_count_total{operation="c",status="failure"} 3\n'
    )
    assert list(page.counted.values()) == [3]
    assert len(page.left_out) == 2


def test_notes_are_few() -> None:
    lines = [f'operation_count_total{{operation="{n}"}} -1' for n in range(50)]
    assert read("\n".join(lines) + "\n").notes[MOST_NOTES:] == ("left out: 44 more",)


def test_resources_and_the_name_of_the_service() -> None:
    registry = CollectorRegistry()
    memory = Gauge("memory_usage_bytes", "", ["pid"], registry=registry)
    memory.labels("12").set(100)
    memory.labels("13").set(50)
    Counter("process_cpu_seconds", "", registry=registry).inc(3)
    Gauge("target_info", "", ["service_name"], registry=registry).labels("shop").set(1)
    Gauge("cpu_usage_percent", "", registry=registry).set(math.nan)
    page = read(registry)
    assert page.resources == {
        "memory_usage_bytes": {"12": 100, "13": 50},
        "process_cpu_seconds_total": {"": 3},
    }
    assert page.service == "shop"
    assert not page.timed


def test_label_sets_stay_the_same_objects_and_old_ones_are_dropped() -> None:
    pages = reader()
    name = "http_request_duration_seconds"

    def page(route: int) -> str:
        return f'{name}_count{{route="{route}"}} 1\n{name}_sum{{route="{route}"}} 1\n'

    always = page(0)
    first = pages.read(always.encode(), TEXT)
    for start in range(1, 3000, 100):
        more = "".join(page(number) for number in range(start, start + 100))
        last = pages.read((always + more).encode(), TEXT)
    assert first.timings.keys() <= last.timings.keys()
    assert len(pages._timed) < 1000


def test_tells_since_when_a_page_counts() -> None:
    registry = CollectorRegistry()
    Histogram("http_request_duration_seconds", "", ["route"], registry=registry).labels("/x")
    body = generate_latest(registry)
    created = reader().created(body, TEXT)
    assert created is not None
    line = next(line for line in body.decode().splitlines() if "_created{" in line)
    assert created == float(line.rpartition(" ")[2])
    assert reader().created(b"up 1\n", TEXT) is None
