"""How sampled stacks and thread times add up to a table of functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.profiling.call_table import RunningTally, call_table, running_table, tally, whole
from perftui.profiling.speedscope import Frame, Profile, Stack, ThreadKey, ThreadProfile
from perftui.profiling.thread_weights import ThreadWeights, Weighed

MAIN = Frame("main", "app.py", 1)
WORK = Frame("work", "app.py", 10)
WORK_LATER = Frame("work", "app.py", 12)
REST = Frame("rest", "app.py", 20)


def thread(tid: int, *counted: tuple[Stack, int]) -> ThreadProfile:
    return ThreadProfile(tid, f"thread {tid}", None, counted)


def never(frame: Frame) -> bool:
    return False


def weighed(
    profile: Profile, cpu: dict[int, float], seconds: float, sample_seconds: float
) -> Weighed:
    used: dict[ThreadKey, float] = {(None, tid): spent for tid, spent in cpu.items()}
    return ThreadWeights().weigh(profile, used, seconds, sample_seconds, waits=never, paused=True)


def weigh(
    profile: Profile, cpu: dict[int, float], seconds: float, sample_seconds: float
) -> tuple[float, ...]:
    return weighed(profile, cpu, seconds, sample_seconds).weights


def test_own_and_total_of_a_caller_and_its_callees() -> None:
    profile = Profile((MAIN, WORK, REST), (thread(1, ((0, 1), 7), ((0, 2), 2), ((0,), 1)),))
    calls = call_table([tally(profile, (0.1,))])
    assert [call.function for call in calls] == ["work", "rest", "main"]
    assert [call.own_percent for call in calls] == pytest.approx([70, 20, 10])
    assert [call.total_percent for call in calls] == pytest.approx([70, 20, 100])
    assert [call.own for call in calls] == pytest.approx([0.7, 0.2, 0.1])
    assert [call.total for call in calls] == pytest.approx([0.7, 0.2, 1.0])


def test_recursion_counts_once_in_each_stack() -> None:
    profile = Profile((MAIN, WORK), (thread(1, ((0, 1, 1, 1), 3), ((0, 1), 1)),))
    calls = {call.function: call for call in call_table([tally(profile, (1.0,))])}
    assert calls["work"].total_percent == pytest.approx(100)
    assert calls["work"].own_percent == pytest.approx(100)


def test_the_line_is_the_hottest_of_all_windows() -> None:
    early = Profile((MAIN, WORK), (thread(1, ((0, 1), 4)),))
    late = Profile((MAIN, WORK_LATER), (thread(1, ((0, 1), 5)),))
    calls = call_table([tally(early, (1.0,)), tally(late, (1.0,))])
    assert [(call.function, call.line) for call in calls] == [("work", 12), ("main", 1)]


def test_same_name_in_another_file_is_another_function() -> None:
    twin = Frame("work", "other.py", 10)
    profile = Profile((WORK, twin), (thread(1, ((0,), 1), ((1,), 1)),))
    assert {call.file for call in call_table([tally(profile, (1.0,))])} == {"app.py", "other.py"}


def test_threads_count_by_their_cpu_time_not_by_their_samples() -> None:
    profile = Profile((WORK, REST), (thread(1, ((0,), 50)), thread(2, ((1,), 50))))
    weights = weigh(profile, {1: 0.75, 2: 0.25}, seconds=1.0, sample_seconds=0.01)
    calls = call_table([tally(profile, weights)])
    assert [call.own_percent for call in calls] == pytest.approx([75, 25])
    assert whole(tally(profile, weights)) == pytest.approx(1.0)


def test_a_thread_that_only_seemed_busy_is_left_out() -> None:
    profile = Profile((WORK, REST), (thread(1, ((0,), 100)), thread(2, ((1,), 60))))
    weights = weigh(profile, {1: 0.95, 2: 0.004}, seconds=1.0, sample_seconds=0.01)
    assert weights[1] == 0
    calls = call_table([tally(profile, weights)])
    assert [call.function for call in calls] == ["work"]
    assert calls[0].own_percent == pytest.approx(100)


def test_a_service_with_little_to_do_is_still_shown() -> None:
    profile = Profile((WORK,), (thread(1, ((0,), 2)),))
    weights = weigh(profile, {1: 0.01}, seconds=1.0, sample_seconds=0.01)
    calls = call_table([tally(profile, weights)])
    assert [call.own_percent for call in calls] == pytest.approx([100])


def test_an_idle_process_has_no_calls() -> None:
    profile = Profile((WORK,), (thread(1, ((0,), 90)),))
    weights = weigh(profile, {1: 0.003}, seconds=1.0, sample_seconds=0.01)
    assert call_table([tally(profile, weights)]) == ()
    assert call_table([]) == ()


def test_a_thread_without_known_time_counts_by_its_samples() -> None:
    profile = Profile((WORK, REST), (thread(1, ((0,), 60)), thread(7, ((1,), 20))))
    weights = weigh(profile, {1: 0.6}, seconds=1.0, sample_seconds=0.01)
    assert weights == pytest.approx((0.01, 0.01))


def test_a_machine_under_load_does_not_change_the_shares() -> None:
    profile = Profile((WORK, REST), (thread(1, ((0,), 30), ((1,), 10)),))
    shares = [
        [call.own_percent for call in call_table([tally(profile, weigh(profile, cpu, 1.0, 0.01))])]
        for cpu in ({1: 1.0}, {1: 0.2}, {})
    ]
    assert [share for pair in shares for share in pair] == pytest.approx([75, 25] * 3)


def test_empty_stacks_take_no_share() -> None:
    profile = Profile((WORK,), (thread(1, ((), 5), ((0,), 5)), thread(2, ((), 9))))
    cleaned, weights, *_ = weighed(profile, {1: 0.5, 2: 0.5}, seconds=1.0, sample_seconds=0.01)
    assert weights == pytest.approx((0.1,))
    assert call_table([tally(cleaned, weights)])[0].own_percent == pytest.approx(100)


def test_a_long_table_keeps_the_top_of_both_orders() -> None:
    leaves = tuple(Frame(f"leaf {number}", "a.py", number) for number in range(50))
    callers = tuple(Frame(f"caller {number}", "a.py", 100 + number) for number in range(5))
    profile = Profile(
        leaves + callers,
        (thread(1, *(((*range(50, 55), number), 100 - number) for number in range(50))),),
    )
    calls = call_table([tally(profile, (1.0,))], rows=20)
    names = [call.function for call in calls]
    assert len(names) == 20
    assert names[:10] == [f"leaf {number}" for number in range(10)]
    assert {f"caller {number}" for number in range(5)} <= set(names)
    assert names[0] == "leaf 0"


def test_functions_that_are_too_many_leave_their_time_behind() -> None:
    running = RunningTally(most=8)
    hot = Frame("hot", "a.py", 1)
    for number in range(40):
        once = Frame(f"once {number}", "a.py", number)
        profile = Profile((hot, once), (thread(1, ((0,), 9), ((1,), 1)),))
        running.add(tally(profile, (0.1,)))
    calls = running_table(running)
    assert len(calls) <= 8
    assert calls[0].function == "hot"
    assert calls[0].own == pytest.approx(36.0)
    assert calls[0].own_percent == pytest.approx(90)
    assert running.left_out + sum(call.own for call in calls) == pytest.approx(40)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    frame = st.builds(
        Frame, st.sampled_from("abc"), st.sampled_from(["x.py", "y.py"]), st.integers(0, 3)
    )
    frames = tuple(draw(st.lists(frame, min_size=1, max_size=8, unique=True)))
    stack = st.lists(st.integers(0, len(frames) - 1), max_size=6).map(tuple)
    counted = st.dictionaries(stack, st.integers(1, 40), max_size=6)
    many = draw(st.lists(counted, max_size=4))
    threads = tuple(thread(tid, *counts.items()) for tid, counts in enumerate(many, 1))
    return Profile(frames, threads)


@given(
    st.lists(st.tuples(profiles(), st.dictionaries(st.integers(1, 4), st.floats(0, 1))), max_size=4)
)
def test_shares_add_up(parts: list[tuple[Profile, dict[int, float]]]) -> None:
    weighings = [weighed(profile, cpu, 1.0, 0.01) for profile, cpu in parts]
    tallies = [tally(part.profile, part.weights) for part in weighings]
    calls = call_table(tallies)
    seconds = sum(whole(times) for times in tallies)
    running = RunningTally()
    for times in tallies:
        running.add(times)
    assert running_table(running) == calls
    if seconds == 0:
        assert calls == ()
        return
    assert sum(call.own_percent for call in calls) == pytest.approx(100)
    assert len({(call.function, call.file) for call in calls}) == len(calls)
    for call in calls:
        assert 0 <= call.own_percent <= call.total_percent + 1e-6
        assert call.total_percent <= 100
        lines = {
            place.line
            for part in weighings
            for place in part.profile.frames
            if (place.name, place.file) == (call.function, call.file)
        }
        assert call.line in lines
