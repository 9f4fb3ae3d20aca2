"""Numbers at the edges: widths never change, three significant digits, missing is not zero."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui import format as show
from perftui.snapshot import FIRST_SAMPLE, Absent, State

WIDTHS = [
    (show.percent, show.PERCENT_WIDTH),
    (show.ratio, show.RATIO_WIDTH),
    (show.size, show.SIZE_WIDTH),
    (show.size_short, show.SIZE_SHORT_WIDTH),
    (show.byte_rate, show.RATE_WIDTH),
    (show.rate, show.RATE_WIDTH),
    (show.count, show.COUNT_WIDTH),
    (show.duration, show.DURATION_WIDTH),
    (show.rate_short, show.RATE_SHORT_WIDTH),
    (show.share, show.SHARE_WIDTH),
    (lambda value: show.latency(value, "ms"), show.LATENCY_WIDTH),
    (lambda value: show.latency(value, "s"), show.LATENCY_WIDTH),
]
NUMBERS = (
    st.floats() | st.integers(0, 2**80) | st.floats(0, 1e7) | st.none() | st.just(FIRST_SAMPLE)
)


@pytest.mark.parametrize(("function", "width"), WIDTHS)
@given(value=NUMBERS)
def test_every_value_has_the_same_width(function, width, value) -> None:
    text = function(value)
    assert len(text) == width
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(("function", "width"), WIDTHS)
@pytest.mark.parametrize("value", [None, FIRST_SAMPLE, math.nan, math.inf, -math.inf])
def test_missing_is_a_dash_and_not_zero(function, width, value) -> None:
    assert function(value).strip() == "-"
    assert function(0).strip() != "-"


@given(st.floats(1, 1e18))
def test_sizes_are_right_to_three_digits(value: float) -> None:
    digits, unit = show.size(value).split()
    factor = 1024 ** ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].index(unit)
    assert float(digits) * factor == pytest.approx(value, rel=0.0052)


@given(st.floats(1e-6, 59))
def test_short_durations_are_right_to_three_digits(seconds: float) -> None:
    digits, unit = show.duration(seconds).split()
    factor = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit]
    assert float(digits) * factor == pytest.approx(seconds, rel=0.0051)


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (show.percent, 58.24, " 58.2"),
        (show.percent, 100, "100.0"),
        (show.percent, 999.96, " 1000"),
        (show.percent, 1e9, " >99k"),
        (show.percent, -0.01, "  0.0"),
        (show.ratio, 0.912, " 91.2"),
        (show.size, 0, "     0 B"),
        (show.size, 6.5 * 2**30, "6.50 GiB"),
        (show.size, 1023, "1.00 KiB"),
        (show.size, 1000, "0.98 KiB"),
        (show.size_short, 310 * 2**20, " 310M"),
        (show.byte_rate, 1_200_000, "1.20 M/s"),
        (show.byte_rate, 340_000, " 340 k/s"),
        (show.byte_rate, 0, "   0 B/s"),
        (show.rate, 12.34, "  12.3/s"),
        (show.rate, 999.9, "1.00 k/s"),
        (show.count, 860, "   860"),
        (show.count, 1200, "1.20 k"),
        (show.count, 120_000, " 120 k"),
        (show.duration, 0.412, " 412 ms"),
        (show.duration, 3.2, " 3.20 s"),
        (show.duration, 59.97, "  1m 0s"),
        (show.duration, 12 * 86400 + 4 * 3600, " 12d 4h"),
        (show.duration, 0, "    0 s"),
    ],
)
def test_examples(function, value, text) -> None:
    assert function(value) == text


def test_words() -> None:
    assert show.age(12.2) == "12 s"
    assert show.age(192) == "3m 12s"
    assert show.stale(12) == "stale 12 s"
    assert show.stale(None) == "stale -"
    assert show.absence(Absent(State.DENIED, "may not attach")) == "denied: may not attach"
    assert show.absence(Absent(State.NOT_COLLECTED, "")) == "not collected"
    assert len(show.clock(0)) == 8


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.4123, "seconds", "412 ms"),
        (93.14, "percent", "93.1 %"),
        (6.5 * 1024**3, "bytes", "6.50 GiB"),
        (1.2e6, "bytes/s", "1.20 M/s"),
        (12.34, "/s", "12.3/s"),
        (3.14159, "x", "3.14 x"),
        (0.0123, "ratio", "0.012"),
        (5, "count", "5"),
        (123456, "", "123k"),
        (-5.0, "seconds", "-5.00 s"),
        (0, "x", "0 x"),
        (math.nan, "x", "-"),
        (Absent(State.UNAVAILABLE, "no"), "seconds", "-"),
    ],
)
def test_a_value_is_told_in_the_unit_of_its_alert(value: float, unit: str, text: str) -> None:
    assert show.measure(value, unit) == text


def test_a_moment_of_today_is_a_time_of_day_and_an_older_one_has_its_date() -> None:
    now = 1_767_225_600.0
    assert show.moment(now - 60, now) == "23:59:00"
    assert show.moment(now - 86_400, now) == "2025-12-31 00:00"
    assert show.moment(now + 3600, now) == "01:00:00"
    assert show.since(now - 60, now) == "since 23:59:00"
    assert show.since(now - 2 * 86_400, now) == "for 2d 0h"
