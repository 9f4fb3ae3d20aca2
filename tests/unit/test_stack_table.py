"""How windows of sampled stacks merge to distinct ones, and what is dropped when there are many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.profiling.speedscope import Frame, Profile, Stack, ThreadProfile
from perftui.profiling.stack_table import StackTable, WindowStacks
from perftui.snapshot import Place, Stacks

MAIN = Frame("main", "app.py", 1)
WORK = Frame("work", "app.py", 10)
REST = Frame("rest", "app.py", 20)
FIRST, SECOND = (7, 1), (7, 2)


def thread(tid: int, *counted: tuple[Stack, int]) -> ThreadProfile:
    return ThreadProfile(tid, f"thread {tid}", 7, counted)


def rows(stacks: Stacks) -> list[tuple[int, list[str], float, int]]:
    """Return thread, functions, seconds and samples of every stack."""
    return [
        (
            stack.thread,
            [stacks.places[place].function for place in stack.places],
            round(stack.seconds, 9),
            stack.samples,
        )
        for stack in stacks.stacks
    ]


def test_windows_merge_by_thread_and_place() -> None:
    table = StackTable()
    early = table.add(Profile((MAIN, WORK), (thread(1, ((0, 1), 3), ((0,), 1)),)), (0.1,))
    # The same places at other positions, one more thread.
    late = table.add(
        Profile((REST, WORK, MAIN), (thread(1, ((2, 1), 4)), thread(2, ((2, 0), 5)))), (0.1, 0.2)
    )
    both = table.of_windows([early, late], [FIRST, SECOND])
    assert rows(both) == [
        (1, ["main", "rest"], 1.0, 5),
        (0, ["main", "work"], 0.7, 7),
        (0, ["main"], 0.1, 1),
    ]
    assert both.left_out == 0
    assert both.places[both.stacks[0].places[1]] == Place("rest", "app.py", 20)
    assert rows(table.of_windows([early], [FIRST])) == [
        (0, ["main", "work"], 0.3, 3),
        (0, ["main"], 0.1, 1),
    ]
    assert rows(table.of_all([FIRST, SECOND])) == rows(both)


def test_stacks_without_weight_or_frames_are_no_stacks() -> None:
    table = StackTable()
    profile = Profile((MAIN,), (thread(1, ((), 4), ((0,), 1)), thread(2, ((0,), 9))))
    window = table.add(profile, (0.5, 0.0))
    assert rows(table.of_windows([window], [FIRST])) == [(0, ["main"], 0.5, 1)]


def test_recursion_stays() -> None:
    table = StackTable()
    window = table.add(Profile((MAIN, WORK), (thread(1, ((0, 1, 1, 1), 2)),)), (1.0,))
    assert rows(table.of_windows([window], [FIRST])) == [
        (0, ["main", "work", "work", "work"], 2.0, 2)
    ]


def test_stacks_beyond_the_most_and_of_other_threads_are_counted() -> None:
    table = StackTable()
    stacks = tuple(((0,) * (number + 1), number + 1) for number in range(10))
    window = table.add(Profile((MAIN,), (thread(1, *stacks), thread(2, ((0,), 5)))), (1.0, 1.0))
    shown = table.of_windows([window], [FIRST], most=3)
    assert [stack.samples for stack in shown.stacks] == [10, 9, 8]
    assert shown.left_out == pytest.approx(55 - 27 + 5)
    assert table.of_all([FIRST], most=3) == shown


def test_a_program_with_ever_new_stacks_stays_small() -> None:
    table = StackTable(most=20, most_places=40)
    recent: list[WindowStacks] = []
    for number in range(200):
        once = Frame(f"once {number}", f"<made {number}>", number)
        window = table.add(Profile((MAIN, once), (thread(1, ((0,), 9), ((0, 1), 1)),)), (0.1,))
        recent = [*recent[-4:], window]
        table.prune(recent)
    everything = table.of_all([FIRST])
    assert len(everything.stacks) <= 21
    assert len(everything.places) <= 41
    assert rows(everything)[0] == (0, ["main"], 180.0, 1800)
    seconds = sum(stack.seconds for stack in everything.stacks)
    assert seconds + everything.left_out == pytest.approx(200)
    # What the sliding window points to is still what it was.
    sliding = rows(table.of_windows(recent, [FIRST]))
    assert sliding[0] == (0, ["main"], 4.5, 45)
    assert sorted(names[1] for _, names, _, _ in sliding[1:]) == [
        f"once {number}" for number in range(195, 200)
    ]


@given(
    st.lists(
        st.lists(
            st.tuples(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(1, 9)),
            max_size=8,
        ),
        max_size=12,
    ),
    st.integers(1, 12),
)
def test_no_time_is_lost(windows: list[list[tuple[list[int], int]]], most: int) -> None:
    table = StackTable(most=most, most_places=3)
    frames = tuple(Frame(f"f{number}", "a.py", number) for number in range(6))
    kept: list[WindowStacks] = []
    seconds = 0.0
    for counted in windows:
        stacks = tuple((tuple(stack), count) for stack, count in counted)
        kept = [*kept[-2:], table.add(Profile(frames, (thread(1, *stacks),)), (0.5,))]
        table.prune(kept)
        seconds += sum(count for _, count in counted) / 2
    everything = table.of_all([FIRST])
    assert sum(stack.seconds for stack in everything.stacks) + everything.left_out == (
        pytest.approx(seconds)
    )
    assert len({stack.places for stack in everything.stacks}) == len(everything.stacks)
    last = sum(count for counted in windows[-3:] for _, count in counted) / 2
    sliding = table.of_windows(kept, [FIRST])
    assert sum(stack.seconds for stack in sliding.stacks) == pytest.approx(last)
