from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from profiled_sample import HOSTILE, named, profile, profiles

from perftui.profiling.breakdown import whole_seconds
from perftui.profiling.collapsed import MICROSECONDS, collapsed
from perftui.profiling.flame import EMPTY_FLAME, FlameNode, flame
from perftui.profiling.speedscope import parse_speedscope
from perftui.profiling.speedscope_document import SCHEMA, speedscope_document
from perftui.snapshot import Absent, Place, ProfiledThread, Stack, State, TopCalls


def walk(root: FlameNode) -> list[FlameNode]:
    nodes, todo = [], [root]
    while todo:
        nodes.append(todo.pop())
        todo += nodes[-1].children
    return nodes


def kept(calls: TopCalls) -> float:
    assert not isinstance(calls.stacks, Absent)
    return whole_seconds(calls.stacks)


@given(profiles(), st.booleans())
def test_a_parent_is_its_own_time_and_its_children(calls: TopCalls, per_thread: bool) -> None:
    root = flame(calls, per_thread)
    assert root.place is None
    assert root.total == pytest.approx(kept(calls))
    assert not isinstance(calls.stacks, Absent)
    assert root.samples == sum(s.samples for s in calls.stacks.stacks if s.places)
    for node in walk(root):
        below = sum(child.total for child in node.children)
        assert node.total == pytest.approx(node.own + below)
        assert node.samples >= sum(child.samples for child in node.children)
        totals = [child.total for child in node.children]
        assert totals == sorted(totals, reverse=True)
        names = [(c.place.function, c.place.file) for c in node.children if c.place]
        assert len(set(names)) == len(names) == len(node.children)


def test_the_lines_of_a_function_are_one_frame_with_the_busiest_line() -> None:
    root = flame(named(("main:1>load:3>parse", 1.0), ("main:1>load:4>parse", 2.0), ("main:2", 4.0)))
    (main,) = root.children
    assert main.place is not None
    assert (main.place.line, main.own, main.total, main.samples) == (2, 4.0, 7.0, 700)
    (load,) = main.children
    assert load.place is not None
    assert (load.place.line, load.total) == (4, 3.0)
    (parse,) = load.children
    assert (parse.own, parse.total, parse.children) == (3.0, 3.0, ())


def test_recursion_stays_recursion_however_deep() -> None:
    deep = ">".join(["main", *["walk"] * 5000])
    node = flame(named((deep, 1.0)))
    depth = 0
    while node.children:
        (node,) = node.children
        depth += 1
    assert (depth, node.own) == (5001, 1.0)


def test_threads_have_branches_of_their_own_on_request() -> None:
    calls = profile(
        [Place("work", "w.py", 1)],
        [Stack(0, (0,), 1.0, 10), Stack(1, (0,), 2.0, 20)],
        [ProfiledThread(7, 1, "a", 0.1, 10), ProfiledThread(7, 2, "b", 0.2, 20)],
    )
    assert [child.place for child in flame(calls, per_thread=True).children] == [
        Place("b", "", 0), Place("a", "", 0),
    ]  # fmt: skip
    assert [child.total for child in flame(calls).children] == [3.0]


def test_without_stacks_everything_is_empty() -> None:
    calls = replace(named(("main", 1.0)), stacks=Absent(State.NOT_COLLECTED, "no"))
    assert flame(calls) == EMPTY_FLAME
    assert collapsed(calls) == ""
    document = json.loads(speedscope_document(calls))
    assert document["profiles"] == []
    assert "activeProfileIndex" not in document


LINE = re.compile(r"(.+) (\d+)")


@given(profiles(), st.booleans())
def test_collapsed_stacks_read_again_are_the_same_time(calls: TopCalls, per_thread: bool) -> None:
    text = collapsed(calls, per_thread)
    text.encode()
    lines = text.splitlines()
    assert text.count("\n") == len(lines)
    seconds = 0.0
    assert not isinstance(calls.stacks, Absent)
    depths = {len(s.places) + per_thread for s in calls.stacks.stacks if s.places} | {1}
    for line in lines:
        match = LINE.fullmatch(line)
        assert match is not None
        frames = match[1].split(";")
        assert all(frames)
        assert len(frames) in depths
        seconds += int(match[2]) / MICROSECONDS
    assert seconds == pytest.approx(kept(calls), abs=1e-6 * len(lines))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_one_frame(name: str) -> None:
    calls = profile([Place("main", "m.py", 3), Place(name, "", 0)], [Stack(0, (0, 1), 0.25, 25)])
    (line,) = collapsed(calls).splitlines()
    match = LINE.fullmatch(line)
    assert match is not None
    frames = match[1].split(";")
    assert frames[0] == "main (m.py:3)"
    assert len(frames) == 2
    assert frames[1]
    assert match[2] == "250000"
    assert "\x1b" not in line


@given(profiles())
def test_the_speedscope_document_follows_the_schema_and_is_read_again(calls: TopCalls) -> None:
    data = speedscope_document(calls)
    document = json.loads(data)
    assert document["$schema"] == SCHEMA
    assert set(document) <= {
        "$schema", "shared", "profiles", "name", "exporter", "activeProfileIndex",
    }  # fmt: skip
    frames = document["shared"]["frames"]
    for frame in frames:
        assert isinstance(frame["name"], str)
        assert set(frame) <= {"name", "file", "line"}
        assert frame.get("line", 1) > 0
    for one in document["profiles"]:
        assert set(one) == {
            "type", "name", "unit", "startValue", "endValue", "samples", "weights",
        }  # fmt: skip
        assert (one["type"], one["unit"], one["startValue"]) == ("sampled", "seconds", 0)
        assert len(one["samples"]) == len(one["weights"]) > 0
        assert one["endValue"] == pytest.approx(sum(one["weights"]))
        assert all(0 <= n < len(frames) for stack in one["samples"] for n in stack)
    assert sum(one["endValue"] for one in document["profiles"]) == pytest.approx(kept(calls))
    assert not isinstance(calls.stacks, Absent)
    threads = {stack.thread for stack in calls.stacks.stacks if stack.places}
    assert len(document["profiles"]) == len(threads) + (calls.stacks.left_out > 0)
    if document["profiles"]:
        assert document["activeProfileIndex"] == 0
    read = parse_speedscope(data)
    assert len(read.threads) == len(document["profiles"])


def test_the_speedscope_document_keeps_threads_and_places() -> None:
    calls = profile(
        [Place("a;b", "/x/y.py", 3), Place("c\nd", "", 0)],
        [Stack(0, (0,), 0.25, 25), Stack(1, (0, 1), 0.5, 50)],
        [ProfiledThread(7, 1, 'quo"te', 0.1, 25), ProfiledThread(8, 2, "b", 0.2, 50)],
    )
    read = parse_speedscope(speedscope_document(calls))
    assert [(thread.process, thread.tid, thread.name) for thread in read.threads] == [
        (8, 2, "b"), (7, 1, 'quo"te'),
    ]  # fmt: skip
    assert [(frame.name, frame.file, frame.line) for frame in read.frames] == [
        ("a;b", "/x/y.py", 3), ("c\nd", "", 0),
    ]  # fmt: skip
    assert read.threads[0].stacks == (((0, 1), 1),)
