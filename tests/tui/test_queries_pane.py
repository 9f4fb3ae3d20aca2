"""The Queries pane: its table, the evidence behind advice, the copied query."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from dashboard_app import make_app, screen_text
from query_sample import hostile_queries, sample_queries
from sample import full_snapshot
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from test_pictures import SIZES, picture
from textual.pilot import Pilot

from perftui.snapshot import Absent, Queries, Snapshot, State
from perftui.tui.app import PerftuiApp


async def begin(app: PerftuiApp, pilot: Pilot[int], *keys: str) -> None:
    """Show the app's snapshot and press keys."""
    await pilot.pause()
    snapshot = app.monitor.mailbox.latest()
    assert snapshot is not None
    app.show(snapshot)
    await pilot.pause()
    await pilot.press(*keys)
    await pilot.pause()


def with_queries(queries: Queries | Absent) -> Snapshot:
    return msgspec.structs.replace(full_snapshot(), queries=queries)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_the_worst_query_comes_first_with_what_it_would_save(size: tuple[int, int]) -> None:
    queries = sample_queries()
    app = make_app(with_queries(queries))
    async with app.run_test(size=size) as pilot:
        await begin(app, pilot, "7")
        text = screen_text(app)
        lines = [line for line in text.splitlines() if "GET /" in line]
        assert "7 Queries" in text
        assert queries.shapes[0].endpoint in lines[0]
        assert "3 of 3 with advice" in text
        assert app.dashboard.active == "queries"


async def test_queries_take_the_place_of_operations_and_give_it_back() -> None:
    app = make_app(with_queries(sample_queries()))
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(app, pilot)
        assert "queries" not in app.dashboard.visible_panes()
        await pilot.press("7")
        await pilot.pause()
        assert "operations" not in app.dashboard.visible_panes()
        await pilot.press("5")
        await pilot.pause()
        assert "queries" not in app.dashboard.visible_panes()
        assert "operations" in app.dashboard.visible_panes()


async def test_the_zoom_tells_evidence_saving_risk_and_what_came_of_a_change() -> None:
    queries = sample_queries()
    app = make_app(with_queries(queries))
    async with app.run_test(size=(200, 60)) as pilot:
        await begin(app, pilot, "7", "enter")
        text = " ".join(screen_text(app).split())
        shape = queries.shapes[0]
        for step in shape.steps[:2]:
            assert step.title in text
            assert " ".join(step.evidence.split()[:4]) in text
            assert f"risk {' '.join(step.risk.split()[:4])}" in text
        assert "single savings do not add up" in text
        assert "latency ms by rows returned" in text
        assert "P4 3 of 3 predictions held" in text


async def test_the_advised_query_is_copied_as_json() -> None:
    queries = sample_queries()
    app = make_app(with_queries(queries))
    copied: list[str] = []
    async with app.run_test(size=(120, 40)) as pilot:
        app.copy_to_clipboard = copied.append  # type: ignore[method-assign]
        await begin(app, pilot, "7", "y")
    (text,) = copied
    assert json.loads(text) == json.loads(queries.shapes[0].suggested)
    assert "Bonn" not in text


def endpoints(app: PerftuiApp) -> list[str]:
    """Return the endpoints in the rows of the table, from the first row on."""
    table = screen_text(app).partition("calls/m")[2]
    return re.findall(r"GET /\w+", table)


async def test_queries_are_sorted_by_any_column_and_filtered() -> None:
    shapes = sample_queries().shapes
    app = make_app(with_queries(sample_queries()))
    async with app.run_test(size=(200, 50)) as pilot:
        await begin(app, pilot, "7", "enter")
        pane = app.dashboard.panes["queries"]
        assert endpoints(app) == [shape.endpoint for shape in shapes]
        tried = set()
        for _ in range(10):
            await pilot.press("s")
            tried.add(pane.state.sort)
        assert tried == {
            "query", "what", "calls", "mean", "p95", "rows", "examined", "saves", "score", "rules",
        }  # fmt: skip
        while pane.state.sort != "rows":
            await pilot.press("s")
        await pilot.pause()
        most_rows_first = sorted(shapes, key=lambda shape: shape.rows, reverse=True)
        assert most_rows_first != list(shapes)
        assert endpoints(app) == [shape.endpoint for shape in most_rows_first]
        await pilot.press("S")
        await pilot.pause()
        assert endpoints(app) == [shape.endpoint for shape in reversed(most_rows_first)]
        await pilot.press("slash", *shapes[-1].id, "enter")
        await pilot.pause()
        assert endpoints(app) == [shapes[-1].endpoint]


async def test_without_queries_the_pane_says_how_to_get_them() -> None:
    absent = Absent(State.NOT_COLLECTED, "no service observes its queries", "add QueryMiddleware")
    app = make_app(with_queries(absent))
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(app, pilot, "7")
        text = screen_text(app)
    assert "no service observes its queries" in text
    assert "fix: add QueryMiddleware" in text


async def test_hostile_names_do_no_harm() -> None:
    app = make_app(with_queries(hostile_queries()))
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(app, pilot, "7", "enter")
        text = screen_text(app)
    assert "[b]" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", [("7",), ("7", "enter")])
async def test_pictures(
    keys: tuple[str, ...], size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    svg = await picture(make_app(with_queries(sample_queries())), size, keys)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_picture_in_ascii_without_colour(snapshot: SnapshotAssertion) -> None:
    app = make_app(with_queries(sample_queries()), ascii_only=True, colour=False)
    svg = await picture(app, (120, 40), ("7", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)
