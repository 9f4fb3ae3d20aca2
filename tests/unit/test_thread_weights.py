"""Which samples of a thread stand for CPU time, and for how much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.profiling.speedscope import Frame, Profile, ThreadKey, ThreadProfile
from perftui.profiling.thread_weights import (
    ThreadWeights,
    Weighed,
    every_sample_counts,
    steadiness,
)

WORK = Frame("work", "app.py", 10)
QUERY = Frame("query", "app.py", 20)
WAIT = Frame("Condition.wait", "/usr/lib/python3.11/threading.py", 331)
FRAMES = (WORK, QUERY, WAIT)
TICK = 0.01


def waits(frame: Frame) -> bool:
    return frame is WAIT


def profile(*threads: tuple[int, int, int]) -> Profile:
    """Return threads 1, 2, ... with their samples of work, query and wait."""
    return Profile(
        FRAMES,
        tuple(
            ThreadProfile(
                tid,
                f"thread {tid}",
                None,
                tuple(((place,), count) for place, count in enumerate(counts) if count),
            )
            for tid, counts in enumerate(threads, 1)
        ),
    )


def shares(weighed: Weighed) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for thread, weight in zip(weighed.profile.threads, weighed.weights, strict=True):
        for stack, count in thread.stacks:
            name = weighed.profile.frames[stack[-1]].name
            seconds[name] = seconds.get(name, 0.0) + weight * count
    return seconds


def weigh(
    weights: ThreadWeights,
    seen: Profile,
    cpu: dict[int, float],
    paused: bool = False,
    tick: float = TICK,
) -> Weighed:
    used: dict[ThreadKey, float] = {(None, tid): spent for tid, spent in cpu.items()}
    return weights.weigh(seen, used, 1.0, tick, waits, paused)


def test_waiting_places_get_nothing_while_busy_samples_explain_the_cpu_time() -> None:
    weighed = weigh(ThreadWeights(), profile((6, 3, 60)), {1: 0.1})
    assert shares(weighed) == pytest.approx(
        {"work": 0.2 / 3, "query": 0.1 / 3, "Condition.wait": 0}
    )
    assert weighed.cpu_seconds == pytest.approx(0.1)


def test_a_pause_that_came_too_late_leaves_the_cpu_time_to_the_busy_samples() -> None:
    weighed = weigh(ThreadWeights(), profile((4, 2, 60)), {1: 0.4}, paused=True)
    assert shares(weighed) == pytest.approx(
        {"work": 0.8 / 3, "query": 0.4 / 3, "Condition.wait": 0}
    )


@pytest.mark.parametrize("paused", [False, True])
def test_real_work_in_a_waiting_place_stays(paused: bool) -> None:
    weights = ThreadWeights()
    for _ in range(10):
        weighed = weigh(weights, profile((20, 10, 60)), {1: 0.9}, paused)
    seconds = shares(weighed)
    assert seconds["Condition.wait"] == pytest.approx(0.57, abs=0.02)
    assert seconds["work"] == pytest.approx(2 * seconds["query"])
    assert sum(seconds.values()) == pytest.approx(0.9)


def test_a_thread_with_nothing_but_real_work_in_a_waiting_place() -> None:
    for paused in (False, True):
        weighed = weigh(ThreadWeights(), profile((0, 0, 50)), {1: 0.4}, paused)
        assert shares(weighed) == pytest.approx({"Condition.wait": 0.4})


def test_cpu_time_waits_for_the_next_busy_sample() -> None:
    weights = ThreadWeights()
    assert shares(weigh(weights, profile((0, 0, 5)), {1: 0.02})) == {"Condition.wait": 0}
    assert shares(weigh(weights, profile((0, 2, 5)), {1: 0.02}))["query"] > 0.03


def test_a_window_with_one_lucky_sample_does_not_stand_for_everything() -> None:
    weights = ThreadWeights()
    for _ in range(20):
        weigh(weights, profile((10, 0, 30)), {1: 0.1})
    weighed = weigh(weights, profile((1, 0, 30)), {1: 0.1})
    assert shares(weighed)["work"] == pytest.approx(0.1 * 1 / 8.3, rel=0.1)


def test_idle_threads_and_threads_that_ended_are_forgotten() -> None:
    weights = ThreadWeights()
    weighed = weigh(weights, profile((50, 0, 0), (0, 30, 30)), {1: 0.5, 2: 0.004})
    assert "query" not in {name for name, seconds in shares(weighed).items() if seconds}
    assert weighed.cpu_seconds == pytest.approx(0.5)
    weigh(weights, Profile((), ()), {})
    fresh = weigh(weights, profile((1, 0, 0)), {1: 0.02})
    assert shares(fresh) == pytest.approx({"work": 0.02})


def test_without_thread_times_only_busy_samples_count() -> None:
    weighed = weigh(ThreadWeights(), profile((3, 1, 50)), {})
    assert shares(weighed) == pytest.approx({"work": 0.03, "query": 0.01, "Condition.wait": 0})


def test_a_window_that_is_sampled_faster_weighs_no_more_than_another() -> None:
    weights = ThreadWeights()
    for _ in range(3):
        fast = weigh(weights, profile((250, 0, 0)), {1: 1.0}, tick=TICK / 2.5)
    slow = weigh(weights, profile((0, 100, 0)), {1: 1.0})
    assert shares(fast) == pytest.approx({"work": 1.0})
    assert shares(slow) == pytest.approx({"query": 1.0})


def test_samples_of_time_that_passed_count_whatever_their_thread_did() -> None:
    weighed = every_sample_counts(profile((3, 1, 96), (0, 0, 100)), {(None, 1): 0.04}, TICK)
    assert shares(weighed) == pytest.approx({"work": 0.03, "query": 0.01, "Condition.wait": 1.96})
    assert weighed.cpu_seconds == pytest.approx(0.04)


def test_threads_of_two_processes_may_have_one_id() -> None:
    threads = tuple(ThreadProfile(1, "", process, (((0,), 50),)) for process in (7, 8))
    cpu: dict[ThreadKey, float] = {(7, 1): 0.5, (8, 1): 0.25}
    weighed = ThreadWeights().weigh(Profile(FRAMES, threads), cpu, 1.0, TICK, waits, False)
    assert weighed.weights == pytest.approx((0.01, 0.005))


def test_steadiness() -> None:
    assert steadiness({(None, 1): 1.0, (None, 2): 0.0}, 1.0) == pytest.approx(1.0)
    many: dict[ThreadKey, float] = {(None, tid): 0.1 for tid in range(4)}
    assert steadiness(many, 1.0) == pytest.approx(0.1)
    assert steadiness({(None, 1): 0.0}, 1.0) == 0
    assert steadiness({}, 1.0) is None


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(*[st.integers(0, 60)] * 3), min_size=3, max_size=3),
            st.lists(st.floats(0, 1), min_size=3, max_size=3),
        ),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
)
def test_no_cpu_time_is_invented(
    windows: list[tuple[list[tuple[int, int, int]], list[float]]], paused: bool
) -> None:
    weights = ThreadWeights()
    for number, (counts, used) in enumerate(windows, 1):
        cpu = dict(enumerate(used, 1))
        weighed = weigh(weights, profile(*counts), cpu, paused)
        assert all(weight >= 0 for weight in weighed.weights)
        assert weighed.cpu_seconds <= sum(used) + 1e-9
        # A window stands at most for what the threads used of late, faded.
        assert sum(shares(weighed).values()) <= sum(sum(times) for _, times in windows[:number]) * (
            1 + 1e-9
        )
        samples = sum(sum(row) for row in counts)
        assert weighed.profile.samples == samples


@given(
    st.integers(1, 30), st.integers(0, 30), st.integers(0, 200), st.floats(0.005, 1), st.booleans()
)
def test_shares_among_busy_samples_never_change(
    work: int, query: int, wait: int, used: float, paused: bool
) -> None:
    seconds = shares(weigh(ThreadWeights(), profile((work, query, wait)), {1: used}, paused))
    assert sum(seconds.values()) == pytest.approx(used)
    assert seconds["work"] * query == pytest.approx(seconds.get("query", 0.0) * work)
