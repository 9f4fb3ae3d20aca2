"""SourceRunner: interval, deadline, late counter, states, demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from perftui.snapshot import Absent, State
from perftui.sources.runner import SourceRunner
from perftui.sources.source import SourceError


class Scripted:
    """A source that does what the test says."""

    name = "scripted"

    def __init__(
        self, act: Callable[[int], int], interval: float = 0.05, deadline: float = 0.5
    ) -> None:
        self.interval = interval
        self.deadline = deadline
        self.act = act
        self.runs = 0
        self.closed = threading.Event()

    def sample(self) -> int:
        self.runs += 1
        return self.act(self.runs)

    def close(self) -> None:
        self.closed.set()


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return condition()


def refuse(_: int) -> int:
    raise SourceError(State.DENIED, "no rights", "sudo perftui")


def break_down(_: int) -> int:
    raise ZeroDivisionError("oops")


def test_before_the_first_sample_nothing_is_collected() -> None:
    runner = SourceRunner(Scripted(lambda n: n))
    value, status = runner.reading(time.monotonic())
    assert isinstance(value, Absent)
    assert status.state is State.NOT_COLLECTED
    assert status.age is None


def test_values_arrive_with_their_age() -> None:
    runner = SourceRunner(Scripted(lambda n: n))
    runner.start()
    assert until(lambda: runner.reading(time.monotonic())[0] == 2)
    _, status = runner.reading(time.monotonic())
    assert status.state is State.OK
    assert status.age is not None
    assert status.age < 5
    runner.stop()
    runner.join(2)


def test_failures_carry_state_reason_and_fix_and_recovery_is_automatic() -> None:
    source = Scripted(refuse)
    runner = SourceRunner(source)
    runner.start()
    assert until(lambda: runner.reading(0)[1].state is State.DENIED)
    status = runner.reading(0)[1]
    assert (status.reason, status.fix) == ("no rights", "sudo perftui")
    source.act = lambda n: n
    assert until(lambda: runner.reading(time.monotonic())[1].state is State.OK)
    runner.stop()


def test_a_defect_in_a_source_is_reported_and_does_not_end_it() -> None:
    source = Scripted(break_down)
    runner = SourceRunner(source)
    runner.start()
    assert until(lambda: source.runs >= 2)
    status = runner.reading(time.monotonic())[1]
    assert status.state is State.UNAVAILABLE
    assert "ZeroDivisionError: oops" in status.reason
    runner.stop()


def test_a_hanging_source_becomes_stale_and_keeps_its_last_value() -> None:
    release = threading.Event()

    def hang_after_first(run: int) -> int:
        if run > 1:
            release.wait(10)
        return run

    runner = SourceRunner(Scripted(hang_after_first, interval=0.05, deadline=0.1))
    runner.start()
    assert until(lambda: runner.reading(time.monotonic())[0] == 1)
    value, status = runner.reading(time.monotonic() + 60)
    assert value == 1
    assert status.state is State.STALE
    assert "no answer for" in status.reason
    release.set()
    runner.stop()


def test_slow_samples_are_counted_late_and_never_queue() -> None:
    source = Scripted(lambda n: time.sleep(0.2) or n, interval=0.05, deadline=0.1)
    runner = SourceRunner(source)
    runner.start()
    assert until(lambda: runner.reading(time.monotonic())[1].runs >= 3)
    status = runner.reading(time.monotonic())[1]
    assert status.late >= status.runs
    runs, at = source.runs, time.monotonic()
    time.sleep(1.0)
    elapsed = time.monotonic() - at
    assert source.runs - runs <= elapsed / 0.2 + 1
    runner.stop()


def test_a_source_nobody_needs_rests_and_wakes_again() -> None:
    source = Scripted(lambda n: n)
    runner = SourceRunner(source)
    runner.start()
    assert until(lambda: source.runs >= 2)
    runner.demand(False)
    time.sleep(0.15)
    runs = source.runs
    time.sleep(0.3)
    assert source.runs == runs
    value, status = runner.reading(time.monotonic())
    assert isinstance(value, Absent)
    assert status.state is State.NOT_COLLECTED
    runner.demand(True)
    assert until(lambda: source.runs > runs)
    runner.stop()


def test_a_change_of_state_is_told_at_once_but_not_every_value() -> None:
    changes: list[float] = []
    source = Scripted(lambda n: n)
    runner = SourceRunner(source, changed=lambda: changes.append(time.monotonic()))
    runner.start()
    assert until(lambda: source.runs >= 4)
    assert len(changes) == 1
    source.act = refuse
    assert until(lambda: len(changes) == 2)
    runner.stop()


def test_stop_closes_the_source_and_ends_the_thread() -> None:
    source = Scripted(lambda n: n)
    runner = SourceRunner(source)
    runner.start()
    assert until(lambda: source.runs >= 1)
    runner.stop()
    runner.join(2)
    assert source.closed.is_set()
    runs = source.runs
    time.sleep(0.2)
    assert source.runs == runs


def test_a_hurried_source_is_sampled_at_once_and_stays_on_its_grid() -> None:
    source = Scripted(lambda n: n, interval=30.0)
    runner = SourceRunner(source)
    runner.start()
    try:
        assert until(lambda: source.runs == 2)
        runner.hurry()
        assert until(lambda: source.runs == 3)
        time.sleep(0.1)
        assert source.runs == 3
        _, status = runner.reading(time.monotonic())
        assert status.late == 0
    finally:
        runner.stop()


def test_a_source_is_told_that_it_rested_and_warms_up_again() -> None:
    class Resting(Scripted):
        def __init__(self) -> None:
            super().__init__(lambda run: run, interval=60.0)
            self.rests: list[int] = []

        def rested(self) -> None:
            self.rests.append(self.runs)

    source = Resting()
    runner = SourceRunner(source)
    runner.start()
    # The second sample comes soon after the first, and not after an interval.
    assert until(lambda: source.runs == 2)
    assert source.rests == []
    runner.demand(False)
    time.sleep(0.05)
    runner.demand(True)
    assert until(lambda: bool(source.rests) and source.runs == source.rests[-1] + 2)
    runner.stop()
