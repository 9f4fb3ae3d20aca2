"""Slots and windows of counts: nothing gets lost, nothing is counted twice, nothing is negative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perftui.snapshot import Absent, Operation, OperationWindow, Quantile
from perftui.sources.operation_slots import COARSE, SLOT, WINDOWS, OperationSlots
from perftui.sources.packed_counts import SCALE, layout

BOUNDS = (0.1, 1.0)
START = 1_000_000.0


class Add(NamedTuple):
    name: str
    begin: float
    end: float
    counts: tuple[int, int, int, float, int, int, int]


def add(
    slots: OperationSlots,
    name: str,
    begin: float,
    end: float,
    counts: Sequence[float],
    bounds: tuple[float, ...] = BOUNDS,
    untold: int = 0,
) -> None:
    """Add calls, failed and cancelled ones, seconds, and calls per bucket if not all fast."""
    count, failures, cancelled, seconds, *buckets = [*counts, *[0] * (4 - len(counts))]
    place = layout(bounds)
    in_buckets = [int(each) for each in buckets] or [int(count), *[0] * len(bounds)]
    packed = place.pack(
        int(count), int(failures), int(cancelled), seconds, in_buckets, untold=untold
    )
    slots.add_packed(place, {name: packed}, begin, end)


def one(window: OperationWindow, name: str = "buy") -> Operation:
    found = [operation for operation in window.operations if operation.name == name]
    assert len(found) == 1
    return found[0]


@st.composite
def adds(draw: st.DrawFn, youngest: float = 0.0, oldest: float = 270.0) -> Add:
    end = draw(st.floats(youngest, oldest))
    length = draw(st.one_of(st.just(0.0), st.floats(0, 5), st.floats(0, oldest)))
    buckets = draw(st.tuples(*[st.integers(0, 1000)] * 3))
    count = sum(buckets)
    return Add(
        draw(st.sampled_from("ab")),
        START - min(end + length, oldest),
        START - end,
        (
            count,
            draw(st.integers(0, count)),
            draw(st.integers(0, 5)),
            draw(st.floats(0, 100)),
            *buckets,
        ),
    )


def put(slots: OperationSlots, new: Add) -> None:
    add(slots, new.name, new.begin, new.end, new.counts)


def check(slots: OperationSlots) -> None:
    """No window has less than nothing, and none less than a shorter one."""
    smaller: dict[str, tuple[int, int]] = {}
    for window in slots.windows():
        now = {each.name: (each.count, each.cancelled) for each in window.operations}
        for name, (count, cancelled) in now.items():
            before = smaller.get(name, (0, 0))
            assert count >= before[0]
            assert cancelled >= before[1]
        smaller = now
        for index in range(len(WINDOWS)):
            for name in now:
                counts = slots.counts(index, name)
                assert counts is None or min(*counts.buckets, *counts[:5]) >= 0


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(adds(), st.floats(-400, 20)), max_size=25),
    st.lists(adds(youngest=4.0), max_size=6),
)
def test_all_that_was_added_is_in_the_longest_window(
    events: list[Add | float], late: list[Add]
) -> None:
    # Everything lies within the last 270 s before START, and comes in any order: before, between
    # and after the moments at which the windows moved on.
    slots = OperationSlots()
    slots.watched_since(START - 1000)
    moment = -math.inf
    for event in events:
        if isinstance(event, Add):
            put(slots, event)
        else:
            moment = max(moment, event)
            slots.advance(START + min(moment, 4.0))
            check(slots)
    slots.advance(START + 5.0)
    for each in late:
        put(slots, each)
    check(slots)
    everything = [event for event in (*events, *late) if isinstance(event, Add)]
    for name in "ab":
        mine = [each.counts for each in everything if each.name == name]
        counts = slots.counts(2, name)
        if counts is None:
            assert not any(any(each) for each in mine)
            continue
        sums = [sum(column) for column in zip(*mine, strict=True)]
        assert [counts.calls, counts.failures, counts.cancelled] == sums[:3]
        assert list(counts.buckets) == sums[4:]
        assert counts.seconds == pytest.approx(sums[3], abs=1e-8 * (1 + len(mine)))
    # Once it is five minutes old nothing of it is left.
    for moment in (100, 200, 290, 306, 310):
        slots.advance(START + moment)
        check(slots)
    assert slots.empty
    assert [window.operations for window in slots.windows()] == [(), (), ()]


@settings(max_examples=150, deadline=None)
@given(st.lists(adds(), max_size=15), st.lists(st.floats(-300, 0), max_size=8), st.booleans())
def test_windows_hold_what_lies_in_them(
    events: list[Add], moments: list[float], late: bool
) -> None:
    slots = OperationSlots(lag=0.0)
    slots.watched_since(START - 1000)
    if not late:
        for each in events:
            put(slots, each)
    for moment in sorted(moments):
        slots.advance(START + moment)
    slots.advance(START)
    if late:
        for each in events:
            put(slots, each)
    end = math.floor(START / SLOT) * SLOT
    for index, seconds in enumerate(WINDOWS):
        covered = slots.covered(index)
        assert covered == seconds or (seconds - COARSE * SLOT < covered <= seconds and index == 2)
        begin = end - covered
        for name in "ab":
            mine = [each for each in events if each.name == name]
            expected = sum(each.counts[0] * share(each, begin, end) for each in mine)
            counts = slots.counts(index, name)
            # The pieces are cut with a precision of 1/SCALE.
            slack = sum(2 * each.counts[0] / SCALE for each in mine) + 1e-6
            assert (counts.calls if counts else 0.0) == pytest.approx(expected, abs=slack)


def share(each: Add, begin: float, end: float) -> float:
    """Return how much of an evenly spread growth lies between begin and end."""
    if math.ceil(each.end / SLOT) - 1 <= math.floor(each.begin / SLOT):
        # It fits into one slot, which is in the window or not.
        return float(begin < each.end <= end)
    inside = min(each.end, end) - max(each.begin, begin)
    return max(0.0, inside) / (each.end - each.begin)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(-5000, 12), st.integers(1, 50)), min_size=1, max_size=20))
def test_a_clock_that_is_set_back_loses_nothing(steps: list[tuple[float, int]]) -> None:
    slots = OperationSlots(lag=0.0)
    now = START
    slots.watched_since(now - 1000)
    total = 0
    slots.advance(now)
    for step, count in steps:
        now += step
        if step < 0:
            slots.advance(now)
        add(slots, "buy", now - 2.0, now, (count,))
        total += count
        slots.advance(now)
        check(slots)
    slots.advance(now + SLOT)
    counts = slots.counts(2, "buy")
    assert counts is not None
    assert counts.calls == total
    assert slots.covered(0) == 10.0


def test_the_growth_of_a_long_silence_is_no_spike() -> None:
    slots = OperationSlots(lag=0.0)
    slots.advance(START)
    add(slots, "buy", START - 3600, START, (36_000,))
    slots.advance(START)
    short, middle, long = slots.windows()
    for window in (short, middle, long):
        assert one(window).rate == pytest.approx(10.0, rel=0.05)
    assert one(long).count < 3100


def test_one_second_more_or_less_makes_no_jump() -> None:
    slots = OperationSlots(lag=2.5)
    rates = []
    # 100 calls a second, told every 2.3 s and looked at every 1.7 s.
    told, looked = START, START + 20
    for step in range(400):
        now = START + step / 10
        while told + 2.3 <= now:
            add(slots, "buy", told, told + 2.3, (230,))
            told += 2.3
        if now >= looked:
            slots.advance(now)
            rates.append(one(slots.windows()[0]).rate)
            looked += 1.7
    assert len(rates) > 10
    assert rates == pytest.approx([100.0] * len(rates), rel=1e-3)


def test_what_is_watched_for_a_short_time_is_told_over_that_time() -> None:
    slots = OperationSlots(lag=0.0)
    assert slots.windows() == ()
    slots.advance(START)
    add(slots, "buy", START, START + 4, (12, 3, 1, 6.0, 2, 6, 4))
    add(slots, "look", START, START + 4, (6, 0, 0, 2.0, 6, 0, 0))
    assert slots.windows() == ()
    slots.advance(START + 4)
    for window, seconds in zip(slots.windows(["idle"]), WINDOWS, strict=True):
        assert (window.seconds, window.covered) == (seconds, 4.0)
        assert [each.name for each in window.operations] == ["buy", "idle", "look"]
        buy, idle = one(window), one(window, "idle")
        assert (buy.count, buy.rate, buy.mean, buy.error_ratio) == (12, 3.0, 0.5, 0.25)
        assert (buy.cancelled, buy.time_share) == (1, 0.75)
        assert buy.p50 == Quantile(pytest.approx(0.7), 0.1, 1.0)
        assert buy.p99 == Quantile(1.0, 1.0, math.inf)
        assert (idle.count, idle.rate, idle.time_share) == (0, 0.0, 0.0)
        assert all(isinstance(v, Absent) for v in (idle.mean, idle.p95, idle.error_ratio))


def test_outcomes_that_are_not_told() -> None:
    slots = OperationSlots(lag=0.0)
    add(slots, "buy", START - 2, START, (10,), untold=10)
    slots.advance(START)
    assert isinstance(one(slots.windows()[0]).error_ratio, Absent)
    add(slots, "buy", START - 2, START, (4, 1))
    buy = one(slots.windows()[0])
    assert (buy.count, buy.error_ratio) == (14, 0.25)


def test_calls_without_buckets() -> None:
    slots = OperationSlots(lag=0.0)
    add(slots, "buy", START - 2, START, (10, 0, 0, 5.0), ())
    slots.advance(START)
    buy = one(slots.windows()[0])
    assert (buy.count, buy.mean) == (10, 0.5)
    assert isinstance(buy.p95, Absent)


def test_processes_with_other_buckets_share_what_they_have_in_common() -> None:
    slots = OperationSlots(lag=0.0)
    add(slots, "buy", START - 2, START, (20, 0, 0, 2.0, 10, 10, 0), (0.1, 1.0))
    more = (20, 0, 0, 2.0, 5, 5, 5, 5)
    add(slots, "buy", START - 2, START, more, (0.05, 0.1, 0.5))
    slots.advance(START)
    counts = slots.counts(0, "buy")
    assert counts is not None
    assert (counts.bounds, counts.buckets) == ((0.1,), (20.0, 20.0))
    assert one(slots.windows()[0]).p50 == Quantile(pytest.approx(0.1), 0.0, 0.1)
    # Once the calls of the other process have left the windows, all bounds are back.
    add(slots, "buy", START + 398, START + 400, (20, 0, 0, 2.0, 10, 10, 0), (0.1, 1.0))
    slots.advance(START + 400)
    counts = slots.counts(2, "buy")
    assert counts is not None
    assert counts.bounds == (0.1, 1.0)


def test_no_end_of_different_buckets_costs_no_end_of_memory() -> None:
    slots = OperationSlots(lag=0.0)
    for number in range(200):
        add(slots, "buy", START - 2, START, (5, 1, 1, 1.0, 4, 1), (0.1 + number,))
    slots.advance(START)
    buy = one(slots.windows()[0])
    assert (buy.count, buy.cancelled, buy.error_ratio) == (1000, 200, 0.2)
    assert buy.mean == pytest.approx(0.2)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 2**40), min_size=7, max_size=7),
    st.lists(st.integers(0, 2**40), min_size=7, max_size=7),
)
def test_packed_growth_is_that_of_every_count(before: list[int], grown: list[int]) -> None:
    place = layout((0.1, 1.0, 5.0))

    def pack(values: list[int]) -> int:
        count, failures, cancelled, *buckets = values
        return place.pack(count, failures, cancelled, float(values[3]) / 1024, buckets)

    after = [one + other for one, other in zip(before, grown, strict=True)]
    counts = place.unpack(place.growth(pack(after), pack(before)) * SCALE)
    assert [counts.calls, counts.failures, counts.cancelled, *counts.buckets] == grown
    assert counts.seconds == pytest.approx(grown[3] / 1024, abs=1e-6)


def test_packed_growth_where_counts_are_lower() -> None:
    place = layout((0.1,))
    before = place.pack(10, 5, 0, 9.0, (6, 4))
    # Fewer calls than before: it began again, and all of them are new.
    again = place.pack(4, 1, 0, 1.0, (3, 1))
    assert place.growth(again, before) == again
    # Torn apart while it was read: each count by itself, and none below zero.
    torn = place.unpack(place.growth(place.pack(12, 4, 0, 9.5, (9, 3)), before) * SCALE)
    assert (torn.calls, torn.failures, torn.seconds, torn.buckets) == (2.0, 0.0, 0.5, (3.0, 0.0))


@pytest.mark.parametrize(
    ("counts", "seconds"),
    [
        ((-1, 0, 0), 0.0),
        ((2**45, 0, 0), 0.0),
        ((2**70, 0, 0), 0.0),
        ((1, 0, 0), math.nan),
        ((1, 0, 0), math.inf),
        ((1, 0, 0), -1.0),
    ],
)
def test_what_no_process_can_have_counted(counts: tuple[int, int, int], seconds: float) -> None:
    with pytest.raises(ValueError, match="impossible counts"):
        layout((0.1,)).pack(*counts, seconds, (1, 0))
    with pytest.raises(ValueError, match="impossible counts"):
        layout((0.1,)).pack(1, 0, 0, 0.5, (1, 0, 0))


@pytest.mark.parametrize("bounds", [(0.2, 0.1), (0.1, 0.1), (math.nan,), (0.1, math.inf)])
def test_bounds_that_are_none(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        layout(bounds)
