"""What a query asks for, and what is said of one that is wrong."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.queries.filter_parse import parse_filters
from perftui.queries.optimizer import QueryOptimizer
from perftui.queries.query import Filter, SortKey
from perftui.queries.query_parse import parse_query
from perftui.queries.shape import shape_of, variant_of

SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SIMPLE,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_an_empty_query_asks_for_everything() -> None:
    query = parse_query({})
    assert (query.fields, query.page_size, query.paging) == (None, None, "none")
    assert query.filters == query.sort == ()


def test_parameters_by_their_many_names() -> None:
    query = parse_query(
        {"endpoint": " GET /items ", "parameters": {"$select": "a, b", "$top": "50", "$skip": 100}}
    )
    assert query.endpoint == "GET /items"
    assert query.fields == ("a", "b")
    assert (query.page_size, query.offset, query.paging, query.depth) == (50, 100, "offset", 100)
    page = parse_query({"parameters": {"page": 3, "per_page": 20}})
    assert (page.depth, page.later_page) == (40, True)
    first = parse_query({"parameters": {"cursor": "", "limit": 20}})
    assert (first.paging, first.later_page) == ("limit", False)
    json_api = parse_query({"parameters": {"fields[a]": "x", "fields[b]": ["y"]}})
    assert json_api.fields == ("x", "y")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"status": "open"}, Filter("status", "eq", 1, "text")),
        ({"age": {"$gte": 4}}, Filter("age", "ge", 1, "number")),
        ({"id": [1, 2, 3]}, Filter("id", "in", 3, "list")),
        ([{"field": "x", "op": "=", "value": None}], Filter("x", "eq", 1, "null")),
        ([["x", "!=", True]], Filter("x", "ne", 1, "bool")),
        ({"lower(name)": "a"}, Filter("name", "eq", 1, "text", "lower")),
        ({"cast(x as date)": "2024-01-01"}, Filter("x", "eq", 1, "time", "cast")),
        ({"x::int": 3}, Filter("x", "eq", 1, "number", "cast")),
        ({"created__date": "2024-01-01"}, Filter("created", "eq", 1, "time", "date")),
        ({"n": {"like": "%a"}}, Filter("n", "like", 1, "text", "", True)),
        ({"n": {"like": "a%"}}, Filter("n", "like", 1, "text", "", False)),
        ({"n": {"icontains": "a"}}, Filter("n", "contains", 1, "text", "", True)),
        ({"n": {"regex": "^a"}}, Filter("n", "regex", 1, "text", "", False)),
        ({"or": [{"a": 1}]}, Filter("a", "eq", 1, "number", "", False, 1)),
    ],
)
def test_conditions(filters: Any, expected: Filter) -> None:
    assert parse_filters(filters, "filters") == (expected,)


def test_alternatives_are_numbered_apart() -> None:
    found = parse_filters([{"or": [{"a": 1}, {"b": 2}]}, {"or": [{"c": 3}]}, {"d": 4}], "filters")
    assert [(each.field, each.group) for each in found] == [("a", 1), ("b", 1), ("c", 2), ("d", 0)]


@pytest.mark.parametrize(
    "sort",
    ["-a,b", ["-a", "b"], [["a", "desc"], ("b", "asc")], {"a": -1, "b": 1}, "a desc, b",
     [{"field": "a", "dir": "DESC"}, {"field": "b"}]],
)  # fmt: skip
def test_sorts(sort: Any) -> None:
    assert parse_query({"sort": sort}).sort == (SortKey("a", True), SortKey("b"))


@pytest.mark.parametrize(
    ("query", "part"),
    [
        (None, "a mapping is wanted"),
        ([], "a mapping is wanted"),
        ({1: 2}, "its key 1"),
        ({"parameters": []}, "parameters: a mapping"),
        ({"parameters": {"page_size": math.nan}}, "parameters.page_size"),
        ({"parameters": {"page_size": -1}}, "parameters.page_size: -1 is less than 0"),
        ({"parameters": {"page_size": True}}, "parameters.page_size"),
        ({"parameters": {"page_size": 1e300}}, "parameters.page_size"),
        ({"parameters": {"offset": "x"}}, "parameters.offset"),
        ({"parameters": {"fields": 7}}, "parameters.fields"),
        ({"parameters": {"fields": [1]}}, "parameters.fields[0]"),
        ({"parameters": {"fields": ["x"] * 5000}}, "parameters.fields"),
        ({"filters": [{"op": "=", "value": 1}]}, 'filters[0]: the key "field" is missing'),
        ({"filters": "x"}, "filters: a list or a mapping"),
        ({"filters": [7]}, "filters[0]: a condition"),
        ({"filters": {"a": list(range(200_000))}}, "filters.a.value: 200000 values"),
        ({"sort": [{"dir": "asc"}]}, 'sort[0]: the key "field" is missing'),
        ({"sort": [["a", "up"]]}, "sort[0][1]"),
        ({"sort": 5}, "sort: a list"),
        ({"endpoint": 5}, "endpoint: text"),
    ],
)
def test_what_is_wrong_is_named(query: Any, part: str) -> None:
    with pytest.raises(ValueError, match="query: ") as raised:
        parse_query(query)
    assert part in str(raised.value)


def test_depth_is_bounded() -> None:
    deep: Any = []
    for _ in range(3000):
        deep = [deep]
    for query in ({"filters": deep}, {"parameters": {"x": deep}}, {"filters": {"a": {"b": deep}}}):
        with pytest.raises(ValueError, match="levels deep"):
            parse_query(query)


@given(st.dictionaries(st.sampled_from(["parameters", "filters", "sort", "endpoint"]), ANYTHING))
def test_anything_is_understood_or_refused_and_never_changed(query: dict[str, Any]) -> None:
    before = copy.deepcopy(query)
    refusal = "query: "
    try:
        assert len(shape_of(parse_query(query)).fingerprint) == 16
    except ValueError as error:
        refusal = str(error)
    assert refusal.startswith("query: ")
    assert repr(query) == repr(before)


def test_no_value_of_a_filter_is_kept() -> None:
    query = parse_query({"filters": {"email": "secret@example.com"}, "parameters": {"q": "secret"}})
    assert "secret" not in repr(query)


def test_equal_queries_have_one_hash_and_one_shape_whatever_their_order() -> None:
    one = parse_query({"filters": {"a": 1, "b": 2}, "parameters": {"limit": 5, "x": 1}})
    two = parse_query({"parameters": {"x": 1, "limit": 5}, "filters": {"b": 2, "a": 1}})
    other = parse_query({"parameters": {"x": 1, "limit": 5}, "filters": {"b": 2, "a": 7}})
    assert one.values_hash == two.values_hash != other.values_hash
    assert shape_of(one) == shape_of(two) == shape_of(other)
    assert variant_of(one) == variant_of(other)


def test_the_query_is_handed_back_as_a_copy() -> None:
    query = {"parameters": {"fields": ["a"]}, "filters": [], "sort": []}
    result = QueryOptimizer().analyze_query(query)
    assert result["original_query"] == query
    assert result["original_query"]["parameters"]["fields"] is not query["parameters"]["fields"]  # type: ignore[call-overload]


def test_without_observations_no_number_is_claimed() -> None:
    query = {"endpoint": "GET /x", "filters": {"lower(n)": "a"}, "sort": ["random()"]}
    result = QueryOptimizer().analyze_query(query)
    assert result["estimated_improvement"] == 0.0
    assert "no observations" in result["estimate"]["reason"]
    assert {each["rule"] for each in result["suggestions"]} == {"P6", "F4", "S3"}
    assert all(each["saving"]["latency"] is None for each in result["suggestions"])
