"""PromQL that is put together from settings and from labels of other programs."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.sources.prometheus import promql


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", ""),
        ("  ", ""),
        ('job="shop"', 'job="shop"'),
        (' job = "shop" , env != "test" ,', 'job="shop",env!="test"'),
        ('{job=~"a|b",zone!~"x.*"}', 'job=~"a|b",zone!~"x.*"'),
        (r'path="a\"b\\"', r'path="a\"b\\"'),
        ("job='shop',env=`a\"b`", "job='shop',env=`a\"b`"),
    ],
)
def test_a_matcher_is_brought_into_one_form(text: str, normal: str) -> None:
    assert promql.check_matcher(text) == normal
    assert promql.check_matcher(normal) == normal


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("job", "wrong at 'job'"),
        ("job=shop", "wrong at 'job=shop'"),
        ('job="shop', "wrong at"),
        ('job="a" env="b"', "needs a comma before 'env="),
        ('job=="a"', "wrong at"),
        ('1job="a"', "wrong at"),
        (',job="a"', "wrong at"),
        ('job="a"}[5m]) or vector(1', "needs a comma"),
        ('__name__="up"', "__name__"),
    ],
)
def test_a_wrong_matcher_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        promql.check_matcher(text)


@given(st.text())
def test_a_value_is_quoted_as_a_string(value: str) -> None:
    matcher = promql.equals("label", value)
    assert promql.check_matcher(matcher) == matcher
    literal = matcher.removeprefix("label=")
    # JSON has the same three escapes, and takes control characters when it is not strict.
    assert json.loads(literal, strict=False) == value


@given(st.sets(st.text(), min_size=2), st.text())
def test_one_of_matches_each_value_and_no_other(values: set[str], other: str) -> None:
    matcher = promql.one_of("label", values)
    pattern = json.loads(matcher.removeprefix("label=~"), strict=False)
    assert all(re.fullmatch(pattern, value) for value in values)
    assert bool(re.fullmatch(pattern, other)) == (other in values)


def test_one_of_one_and_of_none() -> None:
    assert promql.one_of("job", ["a.b"]) == 'job="a.b"'
    assert promql.one_of("job", []) == 'job="",job!=""'


def test_pieces() -> None:
    assert promql.selector("up", "", 'a="b"', 'c="d"') == 'up{a="b",c="d"}'
    assert promql.increase("x{}", 10.0) == "increase(x{}[10s])"
    assert promql.duration(2.5) == "2500ms"
    assert promql.sum_by(("a", "b"), "x") == "sum by (a,b) (x)"
    assert promql.parts({"one": "x", "two": "y"}) == (
        'label_replace(x,"perftui_part","one","","") or label_replace(y,"perftui_part","two","","")'
    )
