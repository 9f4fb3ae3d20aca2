"""Each of the 21 rules fires on its bad case against a real database, and not on its good one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from query_api import COLUMNS, Api
from query_clients import FACTS, Watched

from perftui.queries.rules import ALL_RULES

Query = Mapping[str, Any]
Drive = Callable[[Watched], Query]
NARROW = ["id", "name", "price"]
HABIT = 105
"""Answers, a few more than are needed to call something a habit."""


def listing(size: int | None = 20, **more: Any) -> dict[str, Any]:
    parameters: dict[str, Any] = {} if size is None else {"page_size": size}
    parameters |= more.pop("parameters", {})
    return {"parameters": parameters, **more}


def by(field: str, value: Any, op: str = "eq", **more: Any) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value, **more}


def asked(query: Query, times: int = 12, step: float = 100.0, **more: Any) -> Drive:
    """Return a drive that asks one query some times."""

    def drive(watched: Watched) -> Query:
        for _ in range(times):
            watched.ask(query, step=step, **more)
        return query

    return drive


def sessions(pages: int) -> Drive:
    """Return a drive whose sessions read so many pages of ten."""

    def drive(watched: Watched) -> Query:
        common: dict[str, Any] = {"filters": [by("city", "city5")], "sort": ["price", "id"]}
        for size in (20, 50, 100):
            for number in range(6):
                query = listing(size, **common, parameters={"offset": 0})
                watched.ask(query, session=f"first {size} {number}", step=400)
        for number in range(35):
            for page in range(pages):
                query = listing(10, **common, parameters={"offset": 10 * page})
                watched.ask(query, session=f"{number}", step=400 if page == 0 else 1)
        return listing(10, **common, parameters={"offset": 0})

    return drive


def offsets(deepest: int) -> Drive:
    """Return a drive that skips up to so many rows."""

    def drive(watched: Watched) -> Query:
        query: Query = {}
        for number in range(60):
            offset = deepest * (1 + number % 6) // 6
            query = listing(20, sort=["id"], parameters={"offset": offset})
            watched.ask(query, step=100)
        return query

    return drive


def singles(fetched: int) -> Drive:
    """Return a drive whose lists are followed by so many fetches of single items."""

    def drive(watched: Watched) -> Query:
        query = listing(20, sort=["id"])
        for number in range(12):
            watched.now += 400
            answer = watched.ask(query, session=f"{number}", ids_returned=tuple(range(1, 21)))
            for row in answer.rows[:fetched]:
                watched.fetch(row["id"], session=f"{number}")
        return query

    return drive


def dropping(dropped: bool) -> Drive:
    """Return a drive of a client that looks at the state of rows and goes on with open ones."""

    def use(rows: list[Any]) -> None:
        for row in rows:
            if row["state"] == "open" or not dropped:
                row["name"], row["price"]

    return asked(listing(50, sort=["id"]), HABIT, use=use)


def later_pages(count: bool) -> Drive:
    """Return a drive whose later pages are counted or not."""
    filters = [by("city", "city9")]

    def drive(watched: Watched) -> Query:
        query: Query = {}
        for _ in range(32):
            watched.ask(listing(20, filters=filters, parameters={"count": True, "offset": 0}))
            parameters: dict[str, Any] = {"offset": 20}
            if count:
                parameters["count"] = True
            query = listing(20, filters=filters, parameters=parameters)
            watched.ask(query)
        return query

    return drive


MASKED = {"fields": [*NARROW, "note", "extra1"]}
CITY = [by("city", "city3")]

CASES: dict[str, tuple[Drive, Drive]] = {
    "P1": (
        asked(listing(parameters=MASKED), HABIT, reads=NARROW),
        asked(listing(parameters=MASKED), HABIT, reads=MASKED["fields"]),
    ),
    "P3": (
        asked(listing(), HABIT, reads=NARROW),
        asked(listing(), HABIT, reads=COLUMNS),
    ),
    "P4": (
        asked(listing(200, sort=["id"]), HABIT, reads=NARROW, consumed=9),
        asked(listing(200, sort=["id"]), HABIT, reads=NARROW, consumed=180),
    ),
    "P5": (sessions(15), sessions(1)),
    "P6": (asked(listing(None, filters=CITY), 5), asked(listing(20, filters=CITY), 5)),
    "P7": (asked(listing(500, sort=["id"]), HABIT), asked(listing(100, sort=["id"]), HABIT)),
    "P8": (offsets(240_000), offsets(100)),
    "P9": (later_pages(True), later_pages(False)),
    "P10": (asked(listing(), HABIT, step=5), asked(listing(), HABIT, step=100)),
    "P11": (singles(15), singles(4)),
    "F1": (
        asked(listing(filters=[by("owner_id", 7)])),
        asked(listing(filters=CITY)),
    ),
    "F2": (
        asked(listing(filters=[by("kind", "kind1"), by("owner_id", 1)])),
        asked(listing(filters=CITY)),
    ),
    "F3": (
        asked(listing(filters=[by("note", "number 77 ", "contains")])),
        asked(listing(filters=[by("city", "city3", "startswith")])),
    ),
    "F4": (
        asked(listing(filters=[by("email", "m9@example.org", function="lower")])),
        asked(listing(filters=CITY)),
    ),
    "F5": (
        asked(listing(filters=[by("state", "closed", "ne"), by("owner_id", 3)])),
        asked(listing(filters=[by("city", ["city1", "city2"], "in")])),
    ),
    "F6": (
        asked(listing(filters=[{"or": [by("city", "city1"), by("owner_id", 9)]}], sort=["price"])),
        asked(listing(filters=[{"or": [by("city", "city1"), by("city", "city2")]}])),
    ),
    "F9": (dropping(True), dropping(False)),
    "F10": (
        asked(listing(None, filters=[by("created", 0, "gt")]), HABIT, total_rows=150),
        asked(listing(None, filters=[by("price", 70_000, "gt")]), HABIT, total_rows=150),
    ),
    "S1": (
        asked(listing(sort=["price", "id"])),
        asked(listing(sort=["id"])),
    ),
    "S3": (asked(listing(sort=["random"]), 4), asked(listing(sort=["id"]), 4)),
    "S4": (
        asked(listing(sort=["city"], parameters={"offset": 40}), 4),
        asked(listing(sort=["city", "id"], parameters={"offset": 40}), 4),
    ),
}


def watched_by(rule: str, api: Api, path: Path) -> Watched:
    """Return the API as the case of a rule needs it."""
    if rule == "P7":
        return Watched(Api(path, most=100), {})
    if rule == "F10":
        return Watched(Api(path, table="few"), {})
    return Watched(api, FACTS)


def test_every_rule_has_a_case() -> None:
    assert sorted(CASES) == sorted(rule.id for rule in ALL_RULES)


@pytest.mark.parametrize("rule", CASES)
def test_fires_on_its_bad_case(rule: str, api: Api, items_database: Path) -> None:
    watched = watched_by(rule, api, items_database)
    query = CASES[rule][0](watched)
    advice = watched.analyze(query)
    found = {each["rule"]: each for each in advice["suggestions"]}
    assert rule in found, sorted(found)
    for part in ("title", "evidence", "risk", "verify"):
        assert found[rule][part]
    assert 0.0 <= advice["estimated_improvement"] <= 1.0


@pytest.mark.parametrize("rule", CASES)
def test_is_silent_on_its_good_case(rule: str, api: Api, items_database: Path) -> None:
    watched = watched_by(rule, api, items_database)
    query = CASES[rule][1](watched)
    assert rule not in watched.rules(query)
