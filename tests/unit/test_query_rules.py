"""Each rule speaks up on its bad case and is silent on its good one."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from perftui.queries.log import ObservationLog
from perftui.queries.observed import observed
from perftui.queries.optimizer import QueryOptimizer
from perftui.queries.query_parse import parse_query
from perftui.queries.rules import ALL_RULES

NAMES = [f"f{number}" for number in range(8)]
DAY = 86_400.0
Case = Callable[["Bench"], Any]


class Bench:
    """An optimiser with a clock, into which observations of one kind are put."""

    def __init__(self, **facts: Any) -> None:
        self.now = 1_000_000.0
        self.chance = random.Random(1)
        self.log = ObservationLog(clock=lambda: self.now)
        self.optimizer = QueryOptimizer(self.log, {"GET /items": facts}, window=7 * DAY)

    def see(
        self,
        query: dict[str, Any],
        count: int = 150,
        seconds: float = 8 * DAY,
        latency: Callable[[], float] | float = 0.01,
        rows: int = 10,
        **more: Any,
    ) -> None:
        asked = {"endpoint": "GET /items", **query}
        for _ in range(count):
            self.now += seconds / count
            base = latency() if callable(latency) else latency
            self.log.add(
                observed(
                    parse_query(asked),
                    self.now,
                    base * self.chance.lognormvariate(0, 0.05),
                    rows,
                    **more,
                )
            )

    def rules(self, query: dict[str, Any]) -> set[str]:
        self.now += 400
        self.log.evidence()
        result = self.optimizer.analyze_query({"endpoint": "GET /items", **query})
        return {each["rule"] for each in result["suggestions"]}


PAGE = {"parameters": {"page_size": 100}, "sort": ["id"]}
OFFSET = {"parameters": {"page_size": 20, "offset": 0}, "sort": ["id"]}
FILTER = {"parameters": {"page_size": 20}, "filters": {"a": 1}, "sort": ["id"]}


def reading(fields: list[str], **more: Any) -> dict[str, Any]:
    return {"fields_returned": dict.fromkeys(NAMES, 100), "fields_read": fields, **more}


def p1(bench: Bench, fields: list[str]) -> Any:
    query = {"parameters": {"fields": NAMES, "page_size": 20}, "sort": ["id"]}
    bench.see(query, **reading(fields))
    return query


def p3(bench: Bench, fields: list[str]) -> Any:
    bench.see(PAGE, **reading(fields))
    return PAGE


def consumed(bench: Bench, rows: int) -> Any:
    bench.see(PAGE, rows=100, rows_consumed=rows)
    return PAGE


def sessions(bench: Bench, pages: int) -> Any:
    for number in range(60):
        size = (20, 30, 50)[number % 3] if pages == 1 else 20
        for page in range(pages):
            query = {"parameters": {"page_size": size, "offset": page * size}, "sort": ["id"]}
            bench.see(
                query, 1, 1.0, rows=size - (page == pages - 1), session=f"s{number}", latency=0.04
            )
    for size in (50, 100):
        query = {"parameters": {"page_size": size, "offset": 0}, "sort": ["id"]}
        bench.see(query, 15, 1.0, rows=size, session="x", latency=0.04 + size * 2e-4)
    return OFFSET


def unlimited(bench: Bench, query: dict[str, Any], rows: int) -> Any:
    bench.see(query, rows=rows)
    return query


def beyond(bench: Bench, given: int) -> Any:
    bench.see(PAGE, rows=given)
    return PAGE


def deep(bench: Bench, slope: float) -> Any:
    for depth in (0, 100, 1_000, 5_000, 20_000):
        query = {"parameters": {"page_size": 20, "offset": depth}, "sort": ["id"]}
        bench.see(query, 20, latency=0.002 + depth * slope, rows=20)
    return OFFSET


def counting(bench: Bench, page: int) -> Any:
    query = {"parameters": {"page_size": 20, "page": page, "count": True}, "sort": ["id"]}
    bench.see(query, count_latency=0.008)
    return query


def repeating(bench: Bench, apart: float) -> Any:
    bench.see(PAGE, seconds=150 * apart, client="ui", body_hash=7)
    return PAGE


def singles(bench: Bench, each: int) -> Any:
    for _ in range(5):
        bench.see(PAGE, 1, 1.0, client="ui", ids_returned=tuple(range(50)))
        for number in range(each):
            one = {"endpoint": "GET /items/{id}"}
            bench.see(one, 1, 0.1, rows=1, client="ui", id_hash=number)
        bench.now += 400
    return PAGE


def examined(bench: Bench, rows: int, index: str | None, query: dict[str, Any] = FILTER) -> Any:
    bench.see(query, rows=10, rows_examined=rows, index_used=index or "", sorted_in_memory=False)
    return query


def glancing(bench: Bench, dropped: int) -> Any:
    from perftui.queries.observation import Glance

    bench.see(FILTER, 0)
    for _ in range(150):
        bench.now += 1000
        seen = observed(parse_query({"endpoint": "GET /items", **FILTER}), bench.now, 0.01, 10)
        from msgspec.structs import replace

        bench.log.add(replace(seen, glances=(Glance("status", 10, dropped),)))
    return FILTER


def selecting(bench: Bench, rows: int) -> Any:
    query = {"filters": {"deleted": False}, "parameters": {"page_size": 1000}, "sort": ["id"]}
    bench.see(query, rows=rows, rows_examined=1000, total_rows=rows if rows > 900 else 1000)
    return query


def sorting(bench: Bench, memory: bool) -> Any:
    query = {"parameters": {"page_size": 20}, "sort": ["-created", "id"]}
    bench.see(query, rows=20, rows_examined=300_000, index_used="", sorted_in_memory=memory)
    return query


def plain(query: dict[str, Any]) -> Case:
    return lambda bench: query


def f(text: Any, **more: Any) -> dict[str, Any]:
    return {"filters": text, "parameters": {"page_size": 20}, "sort": ["id"], **more}


CASES: dict[str, tuple[dict[str, Any], Case, Case]] = {
    "P1": ({}, lambda b: p1(b, ["f1"]), lambda b: p1(b, NAMES)),
    "P3": ({"masks": True}, lambda b: p3(b, ["f1"]), lambda b: p3(b, NAMES)),
    "P4": ({}, lambda b: consumed(b, 8), lambda b: consumed(b, 90)),
    "P5": ({}, lambda b: sessions(b, 12), lambda b: sessions(b, 1)),
    "P6": ({}, lambda b: unlimited(b, {"sort": ["id"]}, 900), lambda b: unlimited(b, PAGE, 100)),
    "P7": ({}, lambda b: beyond(b, 50), lambda b: beyond(b, 100)),
    "P8": ({}, lambda b: deep(b, 2e-7), lambda b: deep(b, 0.0)),
    "P9": ({}, lambda b: counting(b, 2), lambda b: counting(b, 1)),
    "P10": ({}, lambda b: repeating(b, 5), lambda b: repeating(b, 600)),
    "P11": ({}, lambda b: singles(b, 20), lambda b: singles(b, 2)),
    "F1": ({}, lambda b: examined(b, 300_000, None), lambda b: examined(b, 12, "i_a")),
    "F2": ({}, lambda b: examined(b, 300_000, "i_b"), lambda b: examined(b, 12, "i_b")),
    "F3": ({}, plain(f({"n": {"like": "%x"}})), plain(f({"n": {"like": "x%"}}))),
    "F4": ({}, plain(f({"lower(n)": "x"})), plain(f({"n": "x"}))),
    "F5": ({}, plain(f({"n": {"ne": 3}})), plain(f({"n": {"in": [1, 2]}}))),
    "F6": (
        {"indexes": [["a"]]},
        plain(f({"or": [{"a": 1}, {"b": 2}]})),
        plain(f({"or": [{"a": 1}, {"a": 2}]})),
    ),
    "F9": ({}, lambda b: glancing(b, 8), lambda b: glancing(b, 1)),
    "F10": ({}, lambda b: selecting(b, 995), lambda b: selecting(b, 300)),
    "S1": ({}, lambda b: sorting(b, True), lambda b: sorting(b, False)),
    "S3": ({}, plain({"sort": ["random()"]}), plain({"sort": ["id"]})),
    "S4": (
        {},
        plain({"parameters": {"page": 2, "limit": 5}, "sort": ["name"]}),
        plain({"parameters": {"page": 2, "limit": 5}, "sort": ["name", "id"]}),
    ),
}


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == {rule.id for rule in ALL_RULES}
    assert len(CASES) == 21


@pytest.mark.parametrize("rule", CASES)
def test_fires_on_its_bad_case(rule: str) -> None:
    facts, bad, _ = CASES[rule]
    bench = Bench(**facts)
    assert rule in bench.rules(bad(bench))


@pytest.mark.parametrize("rule", CASES)
def test_is_silent_on_its_good_case(rule: str) -> None:
    facts, _, good = CASES[rule]
    bench = Bench(**facts)
    assert rule not in bench.rules(good(bench))


@pytest.mark.parametrize(
    "more",
    [
        {"read_mode": "opaque"},
        {"read_mode": "bulk"},
        {"fields_read": []},
        {"fields_read": None},
        {"seconds": 3 * DAY},
        {"count": 60},
    ],
)
def test_nothing_is_called_unused_without_proof(more: dict[str, Any]) -> None:
    bench = Bench(masks=True)
    query = {"parameters": {"fields": NAMES, "page_size": 20}, "sort": ["id"]}
    bench.see(query, **{**reading(["f1"]), **more})
    assert not {"P1", "P3"} & bench.rules(query)


def test_a_client_that_nobody_watches_forbids_the_advice() -> None:
    bench = Bench()
    query = {"parameters": {"fields": NAMES, "page_size": 20}, "sort": ["id"]}
    bench.see(query, **reading(["f1"], client="watched"))
    assert "P1" in bench.rules(query)
    bench.optimizer = QueryOptimizer(bench.log, window=7 * DAY)
    bench.see(query, 1, 1.0, client="unwatched")
    assert "P1" not in bench.rules(query)


def test_ids_sort_keys_and_pinned_fields_stay() -> None:
    fields = ["id", "user_id", "created", "keep", "f1", "f2"]
    bench = Bench(pinned=["keep"])
    query = {"parameters": {"fields": fields, "page_size": 20}, "sort": ["created", "id"]}
    bench.see(query, fields_returned=dict.fromkeys(fields, 10), fields_read=["f1"])
    bench.now += 400
    result = bench.optimizer.analyze_query({"endpoint": "GET /items", **query})
    removed = [each for each in result["optimizations"] if each["type"] == "remove_fields"]
    assert removed == [{"type": "remove_fields", "fields": ["f2"]}]


def test_memory_is_bounded_with_many_shapes() -> None:
    bench = Bench()
    for number in range(5_000):
        bench.see({"filters": {f"field{number}": 1}}, 1, 0.01)
    evidence = bench.log.evidence()
    assert len(evidence.shapes) == 2_000
    assert evidence.other == 3_000
    assert sum(len(shape.points) for shape in evidence.shapes) <= 40_000
    bench.now += 1_000
    bench.see({"filters": {"late": 1}}, 1, 1.0)
    assert any(shape.shape.conditions[0].field == "late" for shape in bench.log.evidence().shapes)
