"""Spans of time as they are typed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.tui.screens.time_spans import parse_span

NOON = time.mktime((2026, 3, 10, 12, 0, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h30m", 9000),
        (" 45 min ", 2700),
        ("1d", 86400),
        ("1.5h", 5400),
        ("1w 2d", 9 * 86400),
        ("90s", 90),
        ("2H", 7200),
        ("17:30", 5.5 * 3600),
        ("12:00", 86400),
        ("9:00", 21 * 3600),
    ],
)
def test_spans(text: str, seconds: float) -> None:
    assert parse_span(text, NOON) == seconds


@pytest.mark.parametrize(
    "text", ["", "  ", "5", "x", "2h x", "-1h", "0m", "2 parsecs", "24:00", "12:60", "400d", "1h,"]
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w{3}"):
        parse_span(text, NOON)


@given(st.text(max_size=20))
def test_any_text_is_a_span_of_at_most_a_year_or_refused(text: str) -> None:
    try:
        seconds = parse_span(text, NOON)
    except ValueError:
        return
    assert 0 < seconds <= 366 * 86400
