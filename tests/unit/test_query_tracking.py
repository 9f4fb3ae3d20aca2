"""Rows that note their reads: nothing that was used is ever called unused."""

from __future__ import annotations

import dataclasses
import gc
import subprocess
import sys
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest
from query_programs import (
    ALL,
    BLIND_DICT_WAYS,
    DATACLASS_WAYS,
    DICT_WAYS,
    KINDS,
    MODEL_WAYS,
    Access,
    row_of,
    run,
)

from perftui.queries.field_reads import TrackedReads
from perftui.queries.log import ObservationLog
from perftui.queries.observation import Glance
from perftui.queries.optimizer import QueryOptimizer
from perftui.queries.query_parse import parse_query
from perftui.queries.rules import field_evidence, parameters_fields
from perftui.queries.tracking import Tracker

BLIND = ("orjson", "msgspec", "pydantic_core", "ujson", "cbor2")
ASKED = {"endpoint": "GET /items", "parameters": {"page_size": 3}}


def one_answer(tracker: Tracker, rows: list[Any], use: Any) -> TrackedReads:
    """Let `use` have the rows of an answer and return what was noted of it."""
    told: list[TrackedReads] = []
    tracked = tracker.track(rows, told.append)
    use(tracked)
    del tracked
    if not told:
        gc.collect()
    return told[0]


def every_way() -> Iterator[Any]:
    for kind, (_, ways) in KINDS.items():
        for name in ways:
            yield pytest.param(kind, name, id=f"{kind}: {name}")


@pytest.mark.parametrize(("kind", "way"), every_way())
def test_every_way_to_read_a_row_is_seen(kind: str, way: str) -> None:
    make, ways = KINDS[kind]
    used: set[str] = set()
    reads = one_answer(
        Tracker(trusted=BLIND),
        [make(row_of(number)) for number in range(3)],
        lambda rows: used.update(ways[way](rows[1], "price")),
    )
    assert used <= reads.fields_read
    assert reads.read_mode == ("tracked" if reads.fields_read != ALL else reads.read_mode)
    assert reads.rows_consumed == 2


@pytest.mark.parametrize("way", BLIND_DICT_WAYS)
def test_reads_that_are_hidden_make_an_answer_opaque(way: str) -> None:
    reads = one_answer(Tracker(), [row_of(1)], lambda rows: BLIND_DICT_WAYS[way](rows[0], "name"))
    assert (reads.read_mode, reads.rows_consumed) == ("opaque", None)


@pytest.mark.parametrize("way", BLIND_DICT_WAYS)
def test_what_is_strict_shows_or_refuses_them(way: str) -> None:
    refused: list[str] = []
    used: set[str] = set()

    def use(rows: list[Any]) -> None:
        try:
            used.update(BLIND_DICT_WAYS[way](rows[0], "name"))
        except Exception as error:
            refused.append(str(error))

    reads = one_answer(Tracker(strict=True), [row_of(1)], use)
    assert reads.read_mode in ("tracked", "bulk")
    assert refused or used <= reads.fields_read


@pytest.fixture
def one_answer_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a single tracked answer suffice for advice, which makes it as bold as can be."""
    monkeypatch.setattr(field_evidence, "LEAST_ANSWERS", 1)
    monkeypatch.setattr(parameters_fields, "LEAST_ANSWERS", 1)


@pytest.mark.usefixtures("one_answer_is_enough")
@pytest.mark.parametrize(
    ("kind", "ways", "trusted", "programs"),
    [
        pytest.param("dict", DICT_WAYS, BLIND, 3_000, id="dicts"),
        pytest.param("dict", {**DICT_WAYS, **BLIND_DICT_WAYS}, (), 3_000, id="hidden reads"),
        pytest.param("dataclass", DATACLASS_WAYS, (), 2_000, id="dataclasses"),
        pytest.param("pydantic", MODEL_WAYS, (), 2_000, id="pydantic"),
    ],
)
def test_10_000_random_programs_lose_no_field_they_use(
    kind: str, ways: Mapping[str, Access], trusted: tuple[str, ...], programs: int
) -> None:
    make = KINDS[kind][0]
    random = Random(8)
    advised = 0
    for number in range(programs):
        optimizer = QueryOptimizer(window=0, track_share=1, trusted=trusted)
        used: set[str] = set()
        for _ in range(2):
            rows = optimizer.track(ASKED, [make(row_of(each)) for each in range(2)])
            used |= run(rows, ways, random)
            del rows
        if kind == "pydantic":
            gc.collect(0)
        answer = optimizer.analyze_query(ASKED)
        removed = {
            field
            for action in answer["optimizations"]
            if action["type"] == "remove_fields"
            for field in action["fields"]
        }
        advised += bool(removed)
        assert not removed & used, f"program {number} uses {removed & used}"
    # Without advice at all nothing would be proved.
    assert (advised > programs / 20) == (kind != "dict" or bool(trusted))


def test_an_answer_that_nobody_reads_blocks_advice() -> None:
    optimizer = QueryOptimizer(window=0, track_share=1, trusted=BLIND)
    for number in range(150):
        rows = optimizer.track(ASKED, [row_of(1)])
        if number:
            rows[0]["name"]
        del rows
    assert not [
        each for each in optimizer.analyze_query(ASKED)["optimizations"] if "fields" in each
    ]


def test_fields_that_nobody_reads_are_found() -> None:
    optimizer = QueryOptimizer(window=0, track_share=1, trusted=BLIND)
    for _ in range(120):
        rows = optimizer.track(ASKED, [row_of(1), row_of(2)], client="billing")
        assert rows[0]["name"] == "n1"
        del rows
    found = optimizer.analyze_query(ASKED)["optimizations"]
    # The id is kept whatever is read.
    wanted = sorted(ALL - {"id", "name"})
    assert {"type": "remove_fields", "fields": wanted} in found


def test_sizes_of_fields_are_those_of_json() -> None:
    optimizer = QueryOptimizer(track_share=1, trusted=BLIND)
    optimizer.track(ASKED, [{"short": 1, "long": "x" * 1_000}] * 10)
    (shape,) = optimizer.evidence().shapes
    sizes = {field.path: field.bytes for field in shape.clients[0].fields}
    assert sizes["long"] == pytest.approx(10 * len('"long":"",' + "x" * 1_000), rel=0.02)
    assert sizes["short"] < 0.02 * sizes["long"]


def test_rows_are_what_they_were() -> None:
    rows = [row_of(number) for number in range(5)]
    tracked = QueryOptimizer(track_share=1).track(ASKED, rows)
    assert isinstance(tracked, list)
    assert tracked == rows
    assert tracked[1:3] == rows[1:3]
    assert isinstance(tracked[0], dict)
    tracked[0]["name"] = "other"
    assert rows[0]["name"] == "n0"


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    """A row without a `__dict__`."""

    name: str
    city: str


def test_dataclasses_with_slots_are_tracked() -> None:
    row = Slotted("n", "c")
    tracked = QueryOptimizer(track_share=1).track(ASKED, [row])
    assert tracked[0] == row
    assert isinstance(tracked[0], Slotted)
    reads = one_answer(Tracker(), [row], lambda rows: rows[0].city)
    assert reads.fields_read == {"city"}


def test_a_method_counts_as_what_it_reads() -> None:
    @dataclasses.dataclass
    class Row:
        name: str
        city: str

        def title(self) -> str:
            return self.name.title()

    reads = one_answer(Tracker(), [Row("n", "c")], lambda rows: rows[0].title())
    assert (reads.read_mode, reads.fields_read) == ("tracked", {"name"})


@pytest.mark.parametrize("rows", [[(1, 2)], ["text"], [{"a": 1}, (1,)], [object()]])
def test_rows_of_other_kinds_are_left_alone(rows: list[Any]) -> None:
    told: list[TrackedReads] = []
    tracked = Tracker().track(rows, told.append)
    assert tracked == rows
    assert [reads.read_mode for reads in told] == ["opaque"]


def test_rows_dropped_by_one_field_are_glances() -> None:
    def use(rows: list[Any]) -> None:
        for row in rows:
            if row["city"] == "Bonn" and row["id"] == 3:
                print(row["name"])

    reads = one_answer(Tracker(trusted=BLIND), [row_of(number) for number in range(6)], use)
    assert reads.glances == ()

    def drop(rows: list[Any]) -> None:
        for row in rows:
            if row["id"] == 3:
                print(row["name"])

    reads = one_answer(Tracker(trusted=BLIND), [row_of(number) for number in range(6)], drop)
    assert reads.glances == (Glance("id", 6, 5),)


def test_rows_consumed_are_those_come_to() -> None:
    def use(rows: list[Any]) -> None:
        for index, row in enumerate(rows):
            if index == 4:
                break
            row["name"]

    reads = one_answer(Tracker(trusted=BLIND), [row_of(number) for number in range(9)], use)
    assert reads.rows_consumed == 5


def test_a_share_of_answers_is_tracked() -> None:
    optimizer = QueryOptimizer(track_share=0.1)
    kinds = [type(optimizer.track(ASKED, [row_of(1)])) is list for _ in range(2_000)]
    assert 0.85 < sum(kinds) / len(kinds) < 0.95


def test_reads_are_counted_though_rows_go_while_the_log_is_locked() -> None:
    log = ObservationLog()
    optimizer = QueryOptimizer(log, track_share=1, trusted=BLIND)
    rows = optimizer.track(ASKED, [row_of(1)])
    rows[0]["name"]
    with log._lock:
        del rows
    (shape,) = optimizer.evidence().shapes
    assert shape.shape.endpoint == parse_query(ASKED).endpoint
    assert shape.clients[0].reads.tracked == 1


MSGSPEC = """
import sys
from perftui.queries.tracking import Tracker
{more}
found = []
rows = Tracker().track([{{"a": 1}}], found.append)
rows[0]["a"]
del rows
print(found[0].read_mode)
"""


@pytest.mark.parametrize(
    ("more", "mode"),
    [
        ("", "tracked"),
        ("import msgspec", "opaque"),
        ("from msgspec.json import encode", "opaque"),
        ("def late():\n    import msgspec", "opaque"),
        ("class A:\n    def late(self):\n        import msgspec", "opaque"),
        ("from perftui.queries.evidence import QueryEvidence", "tracked"),
    ],
)
def test_msgspec_counts_where_it_is_used(more: str, mode: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", MSGSPEC.format(more=more)], capture_output=True, text=True
    )
    assert ended.stdout.strip() == mode, ended.stderr
