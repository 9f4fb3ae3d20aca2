"""A change that somebody made is found, and what was foretold is compared with what came."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from perftui.queries.evidence import QueryEvidence
from perftui.queries.optimizer import QueryOptimizer
from perftui.queries.verification import records, verified_changes

FILTERS = {"city": "Bonn"}


class History:
    """An endpoint whose latency is known: 2 ms, 30 us a row, 0.1 us a row examined, 50 us a kB."""

    def __init__(self) -> None:
        self.random = Random(11)
        self.now = 1_700_000_000.0
        self.optimizer = QueryOptimizer(clock=lambda: self.now)

    def ask(
        self,
        size: int,
        offset: int = 0,
        examined: int | None = None,
        factor: float = 1.0,
        query: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self.now += 5.0
        rows_examined = size + offset if examined is None else examined
        size_bytes = more.pop("bytes", 200 * size)
        latency = 0.002 + 3e-5 * size + 1e-7 * rows_examined + 5e-8 * size_bytes
        asked = query or {"parameters": {"page_size": size, "offset": offset}, "filters": FILTERS}
        self.optimizer.observe(
            {"endpoint": "GET /items", **asked},
            factor * latency * self.random.uniform(0.9, 1.1),
            size,
            rows_examined=rows_examined,
            bytes=size_bytes,
            client="web",
            **more,
        )

    def others(self, count: int = 60) -> None:
        """Ask other things of the same endpoint, from which its costs are learned."""
        for _ in range(count):
            self.ask(
                self.random.choice([10, 40, 80, 160, 320]),
                self.random.choice([0, 20_000, 80_000]),
                query={
                    "parameters": {"page_size": 1, "offset": 0},
                    "filters": {"other": self.random.random()},
                },
            )

    def evidence(self) -> QueryEvidence:
        return self.optimizer.evidence()


def page_size(history: History, factor: float = 1.0) -> None:
    for _ in range(80):
        history.ask(200)
    for _ in range(80):
        history.ask(25, factor=factor)


def cursor(history: History) -> None:
    for _ in range(80):
        history.ask(50, 90_000)
    for _ in range(80):
        asked = {"parameters": {"page_size": 50, "cursor": "x"}, "filters": FILTERS}
        history.ask(50, query=asked)


def index(history: History) -> None:
    for _ in range(80):
        history.ask(50, examined=300_000)
    for _ in range(80):
        history.ask(50, examined=50)


@pytest.mark.parametrize(
    ("change", "rule", "saved"),
    [(page_size, "P4", 0.72), (cursor, "P8", 0.69), (index, "F1", 0.88)],
)
def test_a_change_is_found_and_was_foretold(
    change: Callable[[History], None], rule: str, saved: float
) -> None:
    history = History()
    history.others()
    change(history)
    (found,) = verified_changes(history.evidence())
    assert rule in found.rules
    assert found.actual == pytest.approx(saved, abs=0.06)
    assert found.predicted == pytest.approx(saved, abs=0.1)
    assert found.hit
    assert found.calls >= 30
    (told,) = history.optimizer.verified()
    assert (told["rules"], told["hit"]) == (found.rules, True)
    assert [tuple(each)[:3] for each in records([found])] == [(rule, 1, 1)]


def test_a_change_that_saved_less_than_foretold_is_no_hit() -> None:
    history = History()
    history.others()
    page_size(history, factor=3.0)
    (found,) = verified_changes(history.evidence())
    assert not found.hit
    assert found.actual < 0.3
    (record,) = records([found])
    assert (record.verified, record.hits) == (1, 0)
    assert record.error < -0.3


def test_two_ways_side_by_side_are_no_change() -> None:
    history = History()
    history.others()
    for _ in range(100):
        history.ask(200)
        history.ask(25)
    assert verified_changes(history.evidence()) == ()


def test_too_few_answers_after_a_change_say_nothing_yet() -> None:
    history = History()
    history.others()
    for _ in range(80):
        history.ask(200)
    for _ in range(20):
        history.ask(25)
    assert verified_changes(history.evidence()) == ()


def test_fewer_fields_are_a_change() -> None:
    history = History()
    history.others()
    sizes = {"id": 20, "name": 80, "blob": 900}
    for _ in range(80):
        history.ask(
            50,
            query={"parameters": {"page_size": 50}, "filters": FILTERS},
            bytes=50_000,
            fields_returned={name: 50 * size for name, size in sizes.items()},
        )
    for _ in range(80):
        history.ask(
            50,
            query={
                "parameters": {"page_size": 50, "fields": ["id", "name"]},
                "filters": FILTERS,
            },
            bytes=5_000,
            fields_returned={"id": 1_000, "name": 4_000},
        )
    (found,) = verified_changes(history.evidence())
    assert found.rules == ("P3",)
    assert found.title == "1 fields less"
    assert found.hit
