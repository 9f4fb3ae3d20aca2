from __future__ import annotations

import pytest
from hypothesis import given
from msgspec.structs import replace
from profiled_sample import named, profiles

from perftui.profiling.breakdown import breakdown
from perftui.profiling.comparison import Change, compare
from perftui.profiling.neighbours import NO_NEIGHBOURS, Edge, neighbours
from perftui.snapshot import Absent, Call, State, TopCalls

FILE = "/srv/shop/shop.py"


@given(profiles())
def test_own_time_and_callees_are_the_total_and_callers_never_more(calls: TopCalls) -> None:
    for row in breakdown(calls):
        found = neighbours(calls, row.function, row.file)
        assert found.total == pytest.approx(row.total)
        assert found.own == pytest.approx(row.own)
        below = sum(edge.seconds for edge in found.callees)
        assert found.own + below == pytest.approx(found.total)
        assert sum(edge.seconds for edge in found.callers) <= found.total * (1 + 1e-9)
        assert all(0 < edge.percent <= 100 for edge in (*found.callers, *found.callees))


def test_callers_and_callees_of_a_function() -> None:
    calls = named(
        ("main:3>load:7>parse:1", 3.0), ("main:4>load:8", 1.0), ("cron:2>load:7>parse:2", 4.0)
    )
    found = neighbours(calls, "load", FILE)
    assert found.callers == (
        Edge("cron", FILE, 2, 4.0, 50.0),
        Edge("main", FILE, 3, 4.0, 50.0),
    )
    assert found.callees == (Edge("parse", FILE, 2, 7.0, 87.5),)
    assert (found.own, found.total) == (1.0, 8.0)


def test_recursion_counts_with_its_outermost_caller_and_its_innermost_callee() -> None:
    calls = named(("main>walk>step>walk>leaf", 2.0))
    found = neighbours(calls, "walk", FILE)
    assert [edge.function for edge in found.callers] == ["main"]
    assert [edge.function for edge in found.callees] == ["leaf"]
    assert found.total == 2.0


def test_a_function_that_is_not_there_has_no_neighbours() -> None:
    calls = named(("main", 1.0))
    assert neighbours(calls, "main", "other.py") == NO_NEIGHBOURS
    absent = replace(calls, stacks=Absent(State.NOT_COLLECTED, "no"))
    assert neighbours(absent, "main", FILE) == NO_NEIGHBOURS


@given(profiles(), profiles())
def test_a_comparison_has_every_row_of_both_sides(now: TopCalls, before: TopCalls) -> None:
    rows, old = breakdown(now), breakdown(before)
    changes = compare(rows, old)
    ids = {(row.function, row.file) for row in (*rows, *old)}
    assert {(c.call.function, c.call.file) for c in changes} == ids
    assert len(changes) == len(ids)
    for change in changes:
        assert change.own_change == pytest.approx(change.call.own_percent - change.own_before)
        assert change.total_change == pytest.approx(change.call.total_percent - change.total_before)
    assert sum(change.own_before for change in changes) == pytest.approx(
        sum(row.own_percent for row in old)
    )


def test_what_grew_what_shrank_and_what_is_gone() -> None:
    now = (Call("a", "f", 5, 70.0, 80.0), Call("new", "f", 1, 30.0, 30.0))
    before = (Call("a", "f", 2, 40.0, 90.0), Call("gone", "f", 9, 60.0, 60.0, 3.0, 3.0))
    assert compare(now, before) == (
        Change(Call("gone", "f", 9, 0.0, 0.0), 60.0, 60.0, -60.0, -60.0),
        Change(now[1], 0.0, 0.0, 30.0, 30.0),
        Change(now[0], 40.0, 90.0, 30.0, -10.0),
    )


def test_lines_of_one_function_are_compared_line_by_line() -> None:
    now = (Call("a", "f", 1, 60.0, 60.0), Call("a", "f", 2, 40.0, 40.0))
    before = (Call("a", "f", 2, 100.0, 100.0),)
    found = {change.call.line: change.own_change for change in compare(now, before)}
    assert found == {1: 60.0, 2: -60.0}
    alone = compare((Call("a", "f", 1, 100.0, 100.0),), before, by="line")
    assert sorted(change.own_change for change in alone) == [-100.0, 100.0]
