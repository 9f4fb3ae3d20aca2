"""The clock of Redis as a process keeps it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.metrics.redis_clock import DRIFT, RESOLUTION, RedisClock


@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
    st.floats(-1e6, 1e9),
    st.floats(-0.9e-3, 0.9e-3),
)
def test_the_clock_is_off_by_half_of_the_quickest_answer_at_most(
    answers: list[tuple[float, float, float]], offset: float, drift: float
) -> None:
    clock, moment, width = RedisClock(), 1000.0, 1e9
    for pause, there, back in answers:
        sent = moment + pause
        answered, received = sent + there, sent + there + back
        clock.observe(sent, answered * (1 + drift) + offset, received)
        way = there + back
        slack = 2 * (DRIFT * way + RESOLUTION)
        width = min(width + 2 * DRIFT * (received - moment), way + slack)
        moment = received
        wrong = clock.at(moment) - (moment * (1 + drift) + offset)
        assert abs(wrong) <= width / 2 + RESOLUTION


def test_a_clock_that_was_set_is_followed_at_once() -> None:
    clock = RedisClock()
    with pytest.raises(ValueError, match="never asked"):
        clock.at(0.0)
    assert not clock.known
    clock.observe(10.0, 1000.0, 10.002)
    assert clock.at(11.0) == pytest.approx(1001.0, abs=0.01)
    clock.observe(12.0, 4602.0, 12.002)
    assert clock.at(12.0) == pytest.approx(4602.0, abs=0.01)
    clock.observe(14.0, 1004.0, 14.002)
    assert clock.at(14.0) == pytest.approx(1004.0, abs=0.01)
