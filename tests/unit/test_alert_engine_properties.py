"""What holds for every course of values, gaps, lost sources and clicks."""

from __future__ import annotations

import math
from itertools import pairwise

from alert_drive import Drive, Values, made_rule
from hypothesis import given, settings
from hypothesis import strategies as st

from perftui.analysis.alerting.condition import Condition, thresholds
from perftui.analysis.alerting.flapping import LONGEST_KEEP, Flapping
from perftui.analysis.alerting.rule import Levels, Reading
from perftui.analysis.alerting.smoothing import Smoothing
from perftui.snapshot import Absent, AlertState

PENDING, FIRING = AlertState.PENDING, AlertState.FIRING
RECOVERING, NODATA = AlertState.RECOVERING, AlertState.NODATA

ALLOWED = {
    None: {None, PENDING, FIRING},
    PENDING: {PENDING, FIRING, None},
    FIRING: {FIRING, RECOVERING, NODATA, None},
    RECOVERING: {RECOVERING, FIRING, NODATA, None},
    NODATA: {NODATA, FIRING, RECOVERING, None},
}
"""From recovering to nothing when it has been well long enough; from firing to nothing when the
subject has gone; from nothing at once to firing for a rule without hold."""

numbers = st.one_of(
    st.floats(0.0, 100.0), st.sampled_from([math.nan, math.inf, 74.0, 76.0, 81.0, 99.0])
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["value", "value", "value", "none", "lost", "few"]),
        numbers,
        st.sampled_from([0.0, 0.05, 1.0, 1.0, 3.0, 15.0, 700.0]),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from([0.0, 4.0]), st.sampled_from([0.0, 3.0]), st.sampled_from([0.0, 5.0]))
def test_states_follow_the_graph_and_intervals_never_overlap(
    course: list[tuple[str, float, float]], hold: float, keep: float, smoothing: float
) -> None:
    values = Values()
    drive = Drive(made_rule(values, hold=hold, keep=keep, smoothing=smoothing, least=10))
    state: AlertState | None = None
    for what, value, seconds in course:
        drive.restore()
        if what == "lost":
            drive.lose()
        values.readings = ()
        if what in ("value", "few"):
            values.set(value, 5 if what == "few" else 50)
        drive.tick(seconds)
        assert len(drive.alerts) <= 1
        new = drive.alerts[0].state if drive.alerts else None
        assert new in ALLOWED[state], (state, new)
        if new in (FIRING, RECOVERING, NODATA):
            assert isinstance(drive.events[0].end, Absent)
            assert drive.alerts[0].since == drive.events[0].begin
        state = new
        for event in drive.events:
            assert event.samples > 0
            assert math.isfinite(event.peak) and math.isfinite(event.mean)  # type: ignore[arg-type] # noqa: PT018
            assert event.mean <= event.peak + 1e-9  # type: ignore[operator]
            assert event.peak > 80.0  # type: ignore[operator]
        for later, earlier in pairwise(drive.events):
            assert not isinstance(earlier.end, Absent)
            assert earlier.begin <= earlier.end <= later.begin


@given(st.lists(st.floats(0, 100), min_size=1, max_size=80), st.floats(0, 10), st.floats(0, 10))
def test_it_fires_only_after_hold_above_and_ends_only_after_keep_below(
    values: list[float], hold: float, keep: float
) -> None:
    condition = Condition(thresholds(Levels(80.0, 75.0)))
    above = below = 0
    fired = False
    for now, value in enumerate(values):
        state = condition.step(float(now), value, hold, keep)
        above = above + 1 if value > 75 else 0
        below = below + 1 if value <= 75 else 0
        now_fired = state in (FIRING, RECOVERING)
        if now_fired and not fired:
            assert value > 80
            assert above - 1 >= hold
        if fired and not now_fired:
            assert below - 1 >= keep
        if fired and value > 75:
            assert state is FIRING
        fired = now_fired


@given(
    st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(-1e6, 1e6)), min_size=1, max_size=200),
    st.floats(1.0, 120.0),
)
def test_the_mean_is_that_of_the_window(samples: list[tuple[float, float]], seconds: float) -> None:
    smoothing = Smoothing(seconds)
    now = 0.0
    seen: list[tuple[float, float, float]] = []
    for step, value in samples:
        now += step
        smoothing.begin(now, 1.0, 6.0)
        mean = smoothing.add("s", value)
        seen.append((now, step if seen else 1.0, value))
        slice_now = now // (seconds / 12)
        window = [(s, v) for t, s, v in seen if t // (seconds / 12) > slice_now - 12]
        expected = sum(s * v for s, v in window) / sum(s for s, _ in window)
        assert math.isclose(mean, expected, rel_tol=1e-6, abs_tol=1e-3)


def test_vanished_subjects_are_forgotten() -> None:
    values = Values()
    drive = Drive(made_rule(values, smoothing=60.0, hold=0.0))
    for tick in range(50):
        values.readings = [Reading(f"{tick}-{n}", 50.0) for n in range(100)]
        drive.tick()
    (watch,) = drive.engine._watches
    assert watch._smoothing is not None
    assert len(watch._smoothing) == 100


@given(st.lists(st.floats(0.1, 2000.0), max_size=60), st.floats(0.0, 10_000.0))
def test_patience_grows_with_every_change_up_to_an_hour(pauses: list[float], keep: float) -> None:
    flapping, now, before = Flapping(), 0.0, keep
    for pause in pauses:
        now += pause
        flapping.change(now)
        longer = flapping.keep(keep)
        assert before <= longer <= max(keep, LONGEST_KEEP)
        assert not flapping.over(now, keep)
        before = longer
    assert flapping.over(now + max(LONGEST_KEEP, keep) + 1, keep)
