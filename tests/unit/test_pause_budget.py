"""Which processes are paused for exact stacks, how often, and which never."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.profiling.pause_budget import Mode, Tempo, choose_plan

NEW = (3, 11, 7)


@pytest.mark.parametrize(
    ("threads", "frames", "rate"),
    [(1, 3, 100), (1, 23, 60), (1, 53, 36), (11, 41, 29)],
)
def test_small_processes_are_read_exactly(threads: int, frames: int, rate: int) -> None:
    plan = choose_plan("auto", 100, NEW, threads, frames)
    assert (plan.exact, plan.gil_only) == (True, False)
    assert plan.note == f"each sample pauses the process, {plan.pause_percent:.1f} % of its time"
    assert plan.rate == pytest.approx(rate, abs=1)


@pytest.mark.parametrize(
    ("threads", "frames", "rate"), [(31, 121, 100), (1, 203, 100), (151, 601, 20)]
)
def test_large_processes_are_never_paused(threads: int, frames: int, rate: int) -> None:
    plan = choose_plan("auto", 100, NEW, threads, frames)
    assert (plan.exact, plan.gil_only, plan.rate) == (False, False, rate)
    assert plan.pause_percent == plan.opening_pause_percent == 0
    assert "callers may be wrong" in plan.note


@pytest.mark.parametrize("python", [(3, 10, 13), (3, 6), (2, 7, 18)])
def test_old_python_without_pauses_shows_the_holder_of_the_gil(python: tuple[int, ...]) -> None:
    plan = choose_plan("safe", 100, python, 7, 12)
    assert (plan.exact, plan.gil_only) == (False, True)
    assert "GIL" in plan.note
    assert not choose_plan("auto", 100, python, 1, 3).gil_only


@pytest.mark.parametrize("python", [(3, 11), (3, 15, 2), ()])
def test_new_and_unknown_python_show_all_threads(python: tuple[int, ...]) -> None:
    assert not choose_plan("safe", 100, python, 7, 12).gil_only


def test_exact_mode_says_what_it_costs() -> None:
    plan = choose_plan("exact", 100, NEW, 151, 601)
    assert (plan.exact, plan.rate) == (True, 10)
    assert plan.pause_percent > 2
    assert "safe mode" in plan.note


def test_a_low_rate_that_was_asked_for_stays_exact() -> None:
    plan = choose_plan("auto", 10, NEW, 31, 121)
    assert (plan.exact, plan.rate) == (True, 10)


def test_a_process_that_mostly_waits_is_not_paused_unless_that_is_wanted() -> None:
    plan = choose_plan("auto", 100, NEW, 7, 30, waits=True)
    assert (plan.exact, plan.rate, plan.pause_percent) == (False, 100, 0)
    assert "mostly waits" in plan.note
    assert choose_plan("auto", 100, NEW, 7, 30, waits=False).exact
    assert choose_plan("exact", 100, NEW, 7, 30, waits=True).exact
    assert choose_plan("auto", 100, (3, 9), 7, 30, waits=True).gil_only


def test_one_request_does_not_change_the_tempo() -> None:
    tempo = Tempo()
    for _ in range(10):
        tempo.add(0.95, 0.95, 1.0)
    assert not tempo.waits
    tempo.add(0.05, 0.1, 1.0)
    assert not tempo.waits
    for _ in range(20):
        tempo.add(0.05, 0.1, 1.0)
    assert tempo.waits
    for _ in range(20):
        tempo.add(0.42, 0.42, 1.0)
    assert tempo.waits
    for _ in range(3):
        tempo.add(0.95, 0.95, 1.0)
    assert not tempo.waits


def test_an_idle_or_unknown_process_has_no_tempo() -> None:
    tempo = Tempo()
    for _ in range(100):
        tempo.add(0.0, 0.0, 1.0)
        tempo.add(None, 0.5, 1.0)
    assert not tempo.waits


def test_a_busy_machine_is_no_place_for_pauses() -> None:
    tempo = Tempo()
    tempo.add_queue(0.2, 1.0, 1.0)
    assert not tempo.queues
    for _ in range(3):
        tempo.add_queue(0.9, 1.0, 1.0)
    assert tempo.queues
    tempo.add_queue(0.4, 1.0, 1.0)
    assert tempo.queues
    # A process that does nothing tells nothing about the machine.
    for _ in range(20):
        tempo.add_queue(0.0, 0.0, 1.0)
    assert tempo.queues
    for _ in range(10):
        tempo.add_queue(0.05, 1.0, 1.0)
    assert not tempo.queues
    plan = choose_plan("auto", 100, NEW, 1, 3, queues=True)
    assert not plan.exact
    assert "busy a machine" in plan.note
    assert choose_plan("exact", 100, NEW, 1, 3, queues=True).exact


def test_c_frames_are_read_with_pauses_only_and_take_longer() -> None:
    plain = choose_plan("auto", 1000, NEW, 1, 3)
    modes: tuple[Mode, ...] = ("auto", "exact")
    for mode in modes:
        plan = choose_plan(mode, 1000, NEW, 1, 3, waits=True, native=True)
        assert plan.exact
        assert plan.rate == pytest.approx(plain.rate / 2, abs=1)
        assert "C frames" in plan.note
    large = choose_plan("auto", 100, NEW, 151, 601, native=True)
    assert (large.exact, large.rate) == (True, 10)
    assert "without C frames it need not" in large.note


def test_a_process_that_another_program_traces_is_read_while_it_runs() -> None:
    plan = choose_plan("auto", 100, NEW, 1, 3, refused=True)
    assert not plan.exact
    assert "another program traces it" in plan.note
    assert choose_plan("exact", 100, NEW, 1, 3, refused=True).exact


def test_waiting_threads_that_count_need_no_guess_at_who_runs() -> None:
    assert choose_plan("auto", 100, NEW, 7, 30, waits=True, idle=True).exact
    assert choose_plan("auto", 100, NEW, 7, 30, waits=True, gil=True).exact
    assert not choose_plan("safe", 100, (3, 9), 7, 30, idle=True).gil_only


def test_a_tree_of_many_threads_is_read_seldom() -> None:
    assert choose_plan("safe", 100, NEW, 10, 40, crowd=50).rate == 100
    assert choose_plan("safe", 100, NEW, 10, 40, crowd=100).rate == 20


@given(
    st.sampled_from(["auto", "exact", "safe"]),
    st.integers(1, 1000),
    st.sampled_from([(), (3, 9), NEW]),
    st.integers(1, 3000),
    st.integers(0, 20000),
    st.booleans(),
)
def test_no_plan_exceeds_its_budget(
    mode: Mode, rate: int, python: tuple[int, ...], threads: int, frames: int, waits: bool
) -> None:
    plan = choose_plan(mode, rate, python, threads, frames, waits)
    assert 1 <= plan.rate <= rate
    assert plan.rate <= plan.opening_rate <= 2.5 * rate
    if mode == "safe":
        assert not plan.exact
    if mode == "exact":
        assert plan.exact
    else:
        assert plan.pause_percent <= 2
        assert plan.opening_pause_percent <= 5


def after_windows(held: float, paused: float, windows: int = 6) -> Tempo:
    tempo = Tempo()
    for _ in range(windows):
        tempo.add_pauses(held, paused, 1.0)
    return tempo


def test_pauses_that_last_longer_than_expected_lower_the_rate() -> None:
    expected = choose_plan("auto", 100, NEW, 1, 23)
    learned = after_windows(0.036, 0.02).slowness
    assert learned == pytest.approx(1.8)
    plan = choose_plan("auto", 100, NEW, 1, 23, slowness=learned)
    assert plan.exact
    assert plan.rate == pytest.approx(expected.rate / 1.8, abs=1)
    # The same share of the time as before, now that it is known how long a pause is.
    assert plan.pause_percent == pytest.approx(expected.pause_percent, rel=0.05)


def test_short_pauses_and_sleep_of_its_own_change_nothing() -> None:
    assert after_windows(0.005, 0.02).slowness == 1
    assert after_windows(0.3, 0.02).slowness == 1
    assert after_windows(0.4, 0.0).slowness == 1
    assert after_windows(0.036, 0.002, windows=1).slowness == 1


def test_longer_pauses_are_believed_up_to_a_limit_and_forgotten() -> None:
    tempo = after_windows(0.055, 0.02)
    assert tempo.slowness == 2
    for _ in range(30):
        tempo.add_pauses(0.02, 0.02, 1.0)
    assert tempo.slowness == pytest.approx(1, abs=0.1)


def test_a_measurement_does_not_turn_exact_stacks_into_approximate_ones() -> None:
    expected = choose_plan("auto", 100, NEW, 11, 41)
    plan = choose_plan("auto", 100, NEW, 11, 41, slowness=2.0)
    assert expected.exact
    assert plan.exact
    assert plan.rate == 25
    assert plan.pause_percent > expected.pause_percent
    assert not choose_plan("auto", 100, NEW, 31, 121, slowness=2.0).exact
