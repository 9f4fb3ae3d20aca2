"""Growth of counts from page to page: restarts, processes that take turns, outcomes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perftui.config.settings import Operations
from perftui.sources.metric_presets import mappings
from perftui.sources.operation_slots import OperationSlots
from perftui.sources.scrape.growth import Growth
from perftui.sources.scrape.history import MIXED_FOR, Moment, PageHistory
from perftui.sources.scrape.page import PageReader

TEXT = "text/plain; version=0.0.4"
BEGAN = 1_700_000_000.0
"""Unix time of a server when the monotonic clock of the tests stands at zero."""


class Watch:
    """A page that is read every two seconds; `growth` is the newest one."""

    def __init__(self, clock: bool = True, **options: object) -> None:
        kinds = mappings(Operations(**options))  # type: ignore[arg-type]
        self.reader = PageReader(kinds)
        self.history = PageHistory(kinds)
        self.clock = clock
        self.now = 100.0
        self.tried = 100.0

    def page(self, text: str, passed: float = 2.0) -> Growth:
        self.now += passed
        body = text.encode()
        moment = Moment(
            self.now,
            self.tried,
            BEGAN + self.now if self.clock else None,
            lambda: self.reader.created(body, TEXT),
        )
        return self.history.take(self.reader.read(body, TEXT), moment)


def took(count: float, route: str = "/x", seconds: float | None = None, **labels: str) -> str:
    name = "http_request_duration_seconds"
    inside = ",".join(f'{key}="{value}"' for key, value in {"route": route, **labels}.items())
    total = count / 10 if seconds is None else seconds
    return (
        f'{name}_bucket{{{inside},le="0.1"}} {count // 2}\n'
        f'{name}_bucket{{{inside},le="+Inf"}} {count}\n'
        f"{name}_count{{{inside}}} {count}\n{name}_sum{{{inside}}} {total}\n"
    )


def start(at: float) -> str:
    """Return the line of a process that began when the monotonic clock stood at `at`."""
    return f"process_start_time_seconds {BEGAN + at}\n"


def calls(growth: Growth) -> dict[str, tuple[int, int, int]]:
    """Return calls, failed and cancelled ones by operation."""
    found: dict[str, tuple[int, int, int]] = {}
    for mine in growth.services.values():
        for place, operations in mine.counts.items():
            for name, packed in operations.items():
                counts = place.unpack(packed * (1 << 16))
                found[name] = (round(counts[0]), round(counts[2]), round(counts[3]))
    return found


def test_the_first_page_is_what_others_are_compared_with() -> None:
    watch = Watch()
    first = watch.page(took(1000))
    assert not first.known
    assert first.services[""].names == {"/x"}
    second = watch.page(took(1010) + took(3, "/new"))
    assert calls(second) == {"/x": (10, 0, 0), "/new": (3, 0, 0)}
    assert (second.begin, second.end) == (102.0, 104.0)
    assert calls(watch.page(took(1010) + took(3, "/new"))) == {}


def test_a_service_that_came_up_while_it_was_watched_counts_from_zero() -> None:
    watch = Watch()
    watch.now = 150.0
    growth = watch.page(start(145.0) + took(7))
    assert growth.known
    assert calls(growth) == {"/x": (7, 0, 0)}
    assert growth.begin == pytest.approx(145.0)
    created = Watch()
    created.now = 150.0
    line = f'http_request_duration_seconds_created{{route="/x"}} {BEGAN + 146.0}\n'
    growth = created.page(took(7) + line)
    assert calls(growth) == {"/x": (7, 0, 0)}
    assert not Watch(clock=False).page(start(145.0) + took(7)).known


def test_a_restart_counts_from_zero_and_is_never_negative() -> None:
    watch = Watch()
    watch.page(start(1) + took(1000))
    watch.page(start(1) + took(1010))
    growth = watch.page(start(105.5) + took(4))
    assert calls(growth) == {"/x": (4, 0, 0)}
    assert growth.begin == pytest.approx(105.5)
    assert calls(watch.page(start(105.5) + took(9))) == {"/x": (5, 0, 0)}
    assert not watch.history.mixed


def test_a_restart_is_seen_though_the_new_counts_are_higher() -> None:
    watch = Watch()
    watch.page(start(1) + took(3))
    assert calls(watch.page(start(103) + took(5))) == {"/x": (5, 0, 0)}


def test_a_restart_that_cannot_be_proved_counts_from_then_on() -> None:
    watch = Watch(clock=False)
    watch.page(took(1000))
    growth = watch.page(took(4))
    assert not growth.known
    assert calls(growth) == {}
    assert calls(watch.page(took(6))) == {"/x": (2, 0, 0)}


def test_a_clock_that_is_an_hour_off_does_not_matter() -> None:
    watch = Watch()
    skew = 3600.0
    watch.reader.read(b"up 1\n", TEXT)
    for at, text in ((102.0, start(1 + skew) + took(100)), (104.0, start(103 + skew) + took(2))):
        body = text.encode()
        moment = Moment(at, 100.0, BEGAN + at + skew, lambda: None)
        growth = watch.history.take(watch.reader.read(body, TEXT), moment)
    assert calls(growth) == {"/x": (2, 0, 0)}


@pytest.mark.parametrize("starts", [(1.0, 30.0), (30.0, 1.0), (1.0, 1.31)])
def test_workers_that_take_turns_are_told_by_their_start(starts: tuple[float, float]) -> None:
    watch = Watch()
    one, other = starts
    assert not watch.page(start(one) + took(100)).known
    growth = watch.page(start(other) + took(150))
    assert watch.history.mixed
    assert calls(growth) == {}
    assert not growth.spoiled
    for count in itertools.count(151):
        growth = watch.page(start(other) + took(count))
        if not watch.history.mixed:
            break
        assert calls(growth) == {}
    assert count == 150 + MIXED_FOR
    assert calls(watch.page(start(other) + took(count + 3))) == {"/x": (3, 0, 0)}


def test_workers_without_a_start_are_told_by_counts_that_jump_back() -> None:
    watch = Watch()
    growths = [watch.page(took(count)) for count in (100, 500, 102, 503, 104, 505, 106, 509, 110)]
    assert watch.history.mixed
    assert [growth.spoiled for growth in growths].count(True) == 1
    after = [growth.spoiled for growth in growths].index(True)
    assert all(calls(growth) == {} for growth in growths[after:])


def test_a_label_set_that_was_cleared_begins_at_zero() -> None:
    watch = Watch()
    watch.page(start(1) + took(100) + took(50, "/y"))
    growth = watch.page(start(1) + took(110) + took(2, "/y"))
    assert calls(growth) == {"/x": (10, 0, 0), "/y": (2, 0, 0)}


def test_a_label_set_that_was_left_out_is_not_counted_from_zero() -> None:
    watch = Watch()
    watch.page(start(1) + took(100, seconds=-1))
    assert calls(watch.page(start(1) + took(110))) == {}
    assert calls(watch.page(start(1) + took(115, seconds=-1))) == {}
    assert calls(watch.page(start(1) + took(117))) == {"/x": (7, 0, 0)}


def test_a_label_set_that_vanishes_for_a_page_is_not_counted_again() -> None:
    watch = Watch()
    watch.page(start(1) + took(100) + took(40, "/y"))
    watch.page(start(1) + took(100))
    growth = watch.page(start(1) + took(100) + took(41, "/y"))
    assert calls(growth) == {"/y": (1, 0, 0)}


def test_failures_are_told_by_the_status_of_the_histogram() -> None:
    watch = Watch()
    watch.page(took(10, status="200") + took(1, status="500"))
    growth = watch.page(took(18, status="200") + took(3, status="500"))
    assert calls(growth) == {"/x": (10, 2, 0)}
    assert growth.services[""].statuses == {"/x": {"200": 8, "500": 2}}


def test_failures_are_told_by_a_counter() -> None:
    def counted(ok: int, bad: int) -> str:
        return (
            f'http_requests_total{{route="/x",method="GET",code="200"}} {ok}\n'
            f'http_requests_total{{route="/x",method="PUT",code="502"}} {bad}\n'
            f'http_requests_total{{route="/other",method="PUT",code="502"}} {bad}\n'
            f'http_requests_total{{code="502"}} {bad}\n'
        )

    watch = Watch()
    watch.page(took(10) + counted(9, 1))
    growth = watch.page(took(14) + counted(10, 4))
    assert calls(growth) == {"/x": (4, 3, 0)}
    assert growth.services[""].statuses == {"/x": {"200": 1, "502": 3}}


def test_our_own_counters_of_failed_and_cancelled_calls() -> None:
    def page(count: int, failed: int, cancelled: int) -> str:
        name = "operation_execution_time_seconds"
        return (
            f'{name}_bucket{{operation="pay",le="+Inf"}} {count}\n'
            f'{name}_count{{operation="pay"}} {count}\n{name}_sum{{operation="pay"}} 1\n'
            f'operation_count_total{{operation="pay",status="failure"}} {failed}\n'
            f'operation_count_total{{operation="pay",status="success"}} {count - failed}\n'
            f'operation_cancelled_total{{operation="pay"}} {cancelled}\n'
            f'operation_cancelled_total{{operation="never"}} {cancelled}\n'
        )

    watch = Watch()
    watch.page(page(10, 0, 0))
    growth = watch.page(page(15, 2, 3))
    assert calls(growth) == {"pay": (5, 2, 3), "never": (0, 0, 3)}


def test_failed_tasks_of_celery_have_no_duration() -> None:
    def page(runs: int, failed: int) -> str:
        return (
            f'celery_task_runtime_bucket{{name="mail",le="1"}} {runs}\n'
            f'celery_task_runtime_bucket{{name="mail",le="+Inf"}} {runs}\n'
            f'celery_task_runtime_count{{name="mail"}} {runs}\n'
            f'celery_task_runtime_sum{{name="mail"}} {runs / 2}\n'
            f'celery_task_failed_total{{name="mail",exception="KeyError"}} {failed}\n'
            f'celery_task_failed_total{{name="mail",exception="OSError"}} {failed}\n'
            f'celery_task_failed_total{{name="doomed",exception="OSError"}} {failed}\n'
        )

    watch = Watch()
    watch.page(page(10, 0))
    growth = watch.page(page(14, 1))
    assert calls(growth) == {"mail": (6, 2, 0), "doomed": (1, 1, 0)}
    mine = growth.services[""]
    assert mine.apart == {"mail", "doomed"}
    assert mine.statuses["mail"] == {"failed": 2, "succeeded": 4}


def test_calls_that_two_metrics_count_are_counted_once() -> None:
    def both(count: int) -> str:
        text = took(count, "/x", method="GET")
        return text + text.replace("http_request_duration_seconds", "http_server_requests_seconds")

    watch = Watch()
    watch.page(both(5))
    assert calls(watch.page(both(9))) == {"GET /x": (4, 0, 0)}


def test_services_are_told_apart_by_their_label() -> None:
    watch = Watch(service_label="app")
    watch.page(took(1, app="a") + took(1, app="b"))
    growth = watch.page(took(3, app="a") + took(1, app="b"))
    assert {name: len(mine.counts) for name, mine in growth.services.items()} == {"a": 1, "b": 0}


@given(st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=2, max_size=12))
@settings(max_examples=50, deadline=None)
def test_all_that_is_counted_arrives_and_nothing_else(steps: list[list[int]]) -> None:
    watch = Watch()
    slots = OperationSlots(lag=0.0)
    totals = [5, 5, 5]
    watch.page(start(1) + "".join(took(total, f"/{i}") for i, total in enumerate(totals)))
    slots.watched_since(watch.now)
    for step in steps:
        totals = [total + more for total, more in zip(totals, step, strict=True)]
        text = start(1) + "".join(took(total, f"/{i}") for i, total in enumerate(totals))
        growth = watch.page(text)
        for mine in growth.services.values():
            for place, operations in mine.counts.items():
                slots.add_packed(place, operations, growth.begin, growth.end)
    slots.advance(watch.now + 4)
    windows = slots.windows([f"/{i}" for i in range(3)])
    found = {each.name: each.count for each in windows[-1].operations}
    assert found == {f"/{i}": total - 5 for i, total in enumerate(totals)}


def test_numbers_that_nothing_can_have_counted_are_left_out() -> None:
    def page(calls: float) -> str:
        name = "operation_execution_time_seconds"
        return (
            took(5)
            + f'{name}_count{{operation="a"}} {calls}\n{name}_sum{{operation="a"}} 1\n'
            + f'{name}_count{{operation="b"}} 1\n{name}_sum{{operation="b"}} {calls}\n'
            + 'operation_count_total{operation="b",status="failure"} '
            + f"{calls}\n"
        )

    watch = Watch()
    watch.page(page(1))
    growth = watch.page(page(1e300))
    assert calls(growth) == {}
    assert len(growth.notes) == 2
    assert all("impossible counts" in note for note in growth.notes)
