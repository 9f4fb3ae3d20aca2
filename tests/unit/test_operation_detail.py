"""One operation in detail: buckets, statuses, processes and charts in whatever room there is."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample import filled_history, full_snapshot
from sample_services import BOUNDS, checkout_detail, shop

from perftui.snapshot import Absent, Service, State
from perftui.tui.glyphs import ASCII, UNICODE
from perftui.tui.lines import Line
from perftui.tui.panes.operation_detail import detail_lines, merged_buckets
from perftui.tui.panes.operation_rows import OperationRow, list_operations
from perftui.tui.panes.operations import OperationsPane
from perftui.tui.view import Choice, View

replace = msgspec.structs.replace


def view(
    width: int,
    height: int,
    selected: OperationRow | None = None,
    ascii_only: bool = False,
) -> View:
    glyphs = ASCII if ascii_only else UNICODE
    return View(width, height, glyphs, filled_history(), 1.0, True, selected=selected)


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def row_of(name: str, service: Service | None = None) -> OperationRow:
    rows = list_operations([service or shop()], Choice()).rows
    return next(row for row in rows if row.operation.name == name)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=80), st.integers(1, 14))
def test_merged_buckets_lose_no_call(counts: list[int], most: int) -> None:
    bounds = tuple(0.001 * 1.41**n for n in range(len(counts) - 1))
    bars = merged_buckets(bounds, counts, most)
    assert sum(bar.count for bar in bars) == sum(counts)
    assert len(bars) <= max(2, most)
    for one, other in pairwise(bars):
        assert one.high <= other.low
    assert all(bar.count for bar in bars) or len(bars) > 2
    if bars:
        assert bars[-1].count > 0
        assert bars[0].count > 0


def test_calls_beyond_the_last_bound_stay_apart() -> None:
    counts = [0] * len(BOUNDS) + [7]
    counts[-2] = 3
    last_two = merged_buckets(BOUNDS, counts, 12)
    assert [(bar.low, bar.high, bar.count) for bar in last_two] == [
        (5.0, 10.0, 3),
        (10.0, math.inf, 7),
    ]


@pytest.mark.parametrize("width", [30, 58, 78, 118, 198])
@pytest.mark.parametrize("room", [1, 3, 6, 12, 30])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_detail_fits_its_room(width: int, room: int, ascii_only: bool) -> None:
    seen = view(width, 30, ascii_only=ascii_only)
    for name in ("checkout", "report", "refund"):
        service = replace(shop(), details=(replace(checkout_detail(10.0), operation=name),))
        lines = detail_lines(row_of(name, service), seen, room)
        assert 0 < len(lines) <= room
        for line in lines:
            assert not ascii_only or all(text.isascii() for text, _ in line)


def test_the_detail_tells_why_numbers_are_missing() -> None:
    row = next(r for r in list_operations([shop()], Choice()).rows if "[/x]" in r.name)
    text = " ".join(texts(detail_lines(row, view(118, 30), 20)))
    assert "quantiles: the service exposes no histogram buckets" in text
    assert "from now on" in text


def test_the_detail_shows_buckets_statuses_and_processes() -> None:
    lines = texts(detail_lines(row_of("checkout"), view(118, 30), 20))
    text = "\n".join(lines)
    for part in ("250-500 ms", ">10 s", "42.5 %", "success 113", "watched for 4 s", "pid 104",
                 "web-2", "!!25.0"):  # fmt: skip
        assert part in text
    # The process that takes most of the time comes first.
    assert text.index("pid 104") < text.index("pid 101")
    waiting = replace(
        checkout_detail(10.0), instances=Absent(State.NOT_COLLECTED, "looked at from now on")
    )
    row = row_of("checkout", replace(shop(), details=(waiting,)))
    assert "looked at from now on" in " ".join(texts(detail_lines(row, view(118, 30), 20)))


def test_hundreds_of_processes_are_counted_not_cut() -> None:
    row = row_of("checkout", replace(shop(), details=(checkout_detail(10.0, instances=300),)))
    lines = texts(detail_lines(row, view(118, 30), 20))
    shown = sum("web-" in line for line in lines)
    assert f"{300 - shown} more processes" in "\n".join(lines)


@pytest.mark.parametrize(
    ("size", "charts"),
    [((78, 20), 0), ((118, 36), 1), ((198, 46), 1), ((78, 56), 3)],
)
def test_charts_stand_where_there_is_room_and_the_table_stays(
    size: tuple[int, int], charts: int
) -> None:
    seen = view(*size, selected=row_of("checkout"))
    lines = texts(OperationsPane().head(full_snapshot(), seen))
    titles = [line for line in lines if "calls/s" in line or "errors %" in line
              or line.strip() == "p95 ms"]  # fmt: skip
    assert len(titles) == charts
    assert len(lines) <= size[1] - 6
    assert any("per process" in line for line in lines)
