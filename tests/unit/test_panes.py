"""Panes and tables as pure functions."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample import filled_history, full_snapshot

from perftui.history import History
from perftui.snapshot import Absent, Process, Snapshot, State
from perftui.text import cell_width
from perftui.tui.charts import HistoryChart, bar, sparkline
from perftui.tui.glyphs import ASCII, UNICODE, choose_glyphs
from perftui.tui.layouts import COMPACT_HEIGHT, COMPACT_WIDTH, LAYOUTS, arrange_panes
from perftui.tui.lines import fit_line, width_of, wrap
from perftui.tui.panes import make_panes
from perftui.tui.panes.bars import footer_line, gauges_line, header_line, tabs_line
from perftui.tui.panes.processes import short_command
from perftui.tui.panes.resources import core_lines
from perftui.tui.table import Column, Table, TableState, arrange, fit_columns, record_line
from perftui.tui.theme import STYLES
from perftui.tui.view import View


def view(width: int = 60, height: int = 20, ascii_only: bool = False, zoomed: bool = False) -> View:
    return View(width, height, ASCII if ascii_only else UNICODE, filled_history(), 1.0, zoomed)


spans = st.lists(st.tuples(st.text(max_size=12), st.sampled_from(["text", "muted"])), max_size=6)


@given(spans, st.integers(0, 40))
def test_a_fitted_line_is_exactly_as_wide_as_asked(line: list[tuple[str, str]], width: int) -> None:
    from perftui.text import printable

    clean = tuple((printable(text), style) for text, style in line)
    fitted = fit_line(clean, width, "…")
    assert width_of(fitted) == width
    assert all(text for text, _ in fitted)
    assert all(a[1] != b[1] for a, b in pairwise(fitted))


@given(st.text(alphabet="ab 名", max_size=60), st.integers(4, 20))
def test_wrapped_text_fits_and_loses_no_word(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_width(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(
    st.lists(st.floats(0, 200) | st.just(float("nan")), max_size=80),
    st.integers(0, 30),
    st.sampled_from(["braille", "block", "ascii"]),
)
def test_sparklines_have_their_width(values: list[float], width: int, chart: str) -> None:
    glyphs = choose_glyphs(False, chart, True)
    assert cell_width(sparkline(values, width, 100.0, glyphs)) == width


def test_a_gap_is_not_drawn_as_zero() -> None:
    for chart in ("braille", "block", "ascii"):
        glyphs = choose_glyphs(False, chart, True)
        gap = sparkline([float("nan")] * 2, 1, 100.0, glyphs)
        assert sparkline([0.0, 0.0], 1, 100.0, glyphs) != gap


@given(st.none() | st.floats(-10, 500), st.integers(0, 40))
def test_bars_have_their_width(percent: float | None, width: int) -> None:
    for glyphs in (UNICODE, ASCII):
        assert width_of(bar(percent, width, glyphs, "bar")) == width


@pytest.mark.parametrize("width", [24, 58, 98, 198])
@pytest.mark.parametrize("zoomed", [False, True])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_panes_use_known_styles_and_tables_fill_their_width(
    width: int, zoomed: bool, ascii_only: bool
) -> None:
    for snapshot in (full_snapshot(), Snapshot(0, 0.0, 0.0)):
        for pane in make_panes().values():
            seen = view(width, 30, ascii_only, zoomed)
            table = pane.table(snapshot, seen)
            lines = [*pane.head(snapshot, seen), pane.heading(snapshot, seen)]
            if table is not None:
                sized = fit_columns(table.columns, width)
                rows = [record_line(r, sized, seen.glyphs) for r in table.records]
                assert all(width_of(row) <= max(width, 40) for row in rows)
                lines += [*rows, *table.empty]
            for line in lines:
                for text, style in line:
                    assert style in STYLES, style
                    assert text.isprintable() or ascii_only, text
                    assert not ascii_only or text.isascii(), text


@pytest.mark.parametrize("width", [20, 80, 120, 200])
def test_bars_around_the_panes_never_exceed_the_screen(width: int) -> None:
    panes = list(make_panes().values())
    for snapshot in (full_snapshot(), Snapshot(0, 0.0, 0.0)):
        for glyphs in (UNICODE, ASCII):
            header = header_line(snapshot, width, glyphs, None, (("demo steady", "muted"),))
            footer = footer_line([], {}, snapshot, width, glyphs, None)
            assert width_of(header) == width
            assert width_of(footer) == width
            if width >= 80:
                assert width_of(gauges_line(snapshot, width, glyphs)) <= width
                assert width_of(tabs_line(panes, "cache", snapshot, width)) <= width


def test_absent_values_differ_from_zero_and_say_their_reason() -> None:
    gone = Absent(State.DENIED, "no rights", "sudo perftui")
    snapshot = msgspec.structs.replace(full_snapshot(), processes=gone)
    text = "\n".join(
        "".join(text for text, _ in line)
        for line in make_panes()["processes"].head(snapshot, view())
    )
    assert "denied: no rights" in text
    assert "fix: sudo perftui" in text


def test_many_cores_take_one_character_each() -> None:
    lines = core_lines(tuple(float(n) for n in range(96)), view(60))
    assert sum(width_of(line[1:]) for line in lines) == 96


@given(
    st.integers(COMPACT_WIDTH, 400),
    st.integers(COMPACT_HEIGHT - 2, 200),
    st.sampled_from([*LAYOUTS]),
)
def test_layouts_cover_the_area_without_overlap(width: int, height: int, name: str) -> None:
    rects = arrange_panes(LAYOUTS[name], width, height)
    covered = sum(rect.width * rect.height for rect in rects.values())
    assert covered == width * height
    for rect in rects.values():
        assert rect.x >= 0
        assert rect.y >= 0
        assert rect.x + rect.width <= width
        assert rect.y + rect.height <= height
        assert rect.height >= 4


Row = tuple[int, int, str]
ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.text(max_size=4)),
    max_size=25,
    unique_by=lambda row: row[0],
)


def table_of(rows: list[Row]) -> Table[Row]:
    return Table(
        columns=(
            Column("id", "id", 4, lambda r: (str(r[0]), "text"), lambda r: r[0]),
            Column("name", "name", 6, lambda r: (r[2], "text"), lambda r: r[2], flex=True),
        ),
        records=rows,
        key=lambda r: r[0],
        text=lambda r: r[2],
        parent=lambda r: r[1],
        tree_column="name",
    )


@given(ROWS, st.booleans())
def test_sorting_keeps_every_record(rows: list[Row], reverse: bool) -> None:
    arranged = arrange(table_of(rows), TableState(sort="id", reverse=reverse), UNICODE)
    ids = [row[0] for row in arranged.records]
    assert ids == sorted(ids, reverse=not reverse)
    assert sorted(ids) == sorted(row[0] for row in rows)


@given(ROWS)
def test_a_tree_shows_each_record_once_below_its_parent(rows: list[Row]) -> None:
    arranged = arrange(table_of(rows), TableState(sort="id", tree=True), UNICODE)
    order = [row[0] for row in arranged.records]
    assert len(order) == len(set(order))
    by_id = {row[0]: row for row in rows}
    for row in arranged.records:
        parent = by_id[row[0]][1]
        if parent in by_id and parent != row[0] and arranged.prefixes[row[0]]:
            assert order.index(parent) < order.index(row[0])


@given(ROWS, st.text(max_size=2))
def test_the_filter_keeps_exactly_what_contains_it(rows: list[Row], text: str) -> None:
    arranged = arrange(table_of(rows), TableState(filter=text), UNICODE)
    assert arranged.records == [row for row in rows if text.casefold() in row[2].casefold()]


def test_a_circle_of_parents_does_not_hang() -> None:
    rows: list[Row] = [(1, 2, "a"), (2, 1, "b"), (3, 3, "c")]
    arranged = arrange(table_of(rows), TableState(tree=True), UNICODE)
    assert [row[0] for row in arranged.records] == [3]


@pytest.mark.parametrize(
    ("command", "python", "short"),
    [
        ("/usr/bin/python3 -P -m shop.worker --name a", True, "shop.worker --name a"),
        ("/usr/bin/python3 -W error /srv/app/run.py -v", True, "run.py -v"),
        ("/usr/bin/python3", True, "python3"),
        ("/usr/bin/python3 -c pass", True, "python3 -c pass"),
        ("/usr/sbin/nginx -g daemon", False, "nginx -g daemon"),
        ("gunicorn: worker [shop]", True, "gunicorn: worker [shop]"),
        ("[kworker/0:1]", False, "[kworker/0:1]"),
    ],
)
def test_short_commands(command: str, python: bool, short: str) -> None:
    process = Process(1, 0, "n", command, "u", "S", 0.0, 0, 1, 0.0, python)
    assert short_command(process) == short


def test_history_charts_survive_gaps_spikes_and_tiny_sizes() -> None:
    history = History(300)
    for tick in range(300):
        value = None if tick % 7 == 0 else 1e12 if tick == 150 else tick / 3
        history.record(float(tick), {"x": value})
    chart = HistoryChart("x")
    assert chart.lines(history, "x", 1.0, (5, 3), (0.0, 100.0), UNICODE) == []
    for glyphs in (UNICODE, ASCII, choose_glyphs(False, "block", True)):
        for size in ((20, 4), (60, 12), (200, 40)):
            lines = chart.lines(history, "x", 1.0, size, (0.0, 100.0), glyphs)
            assert len(lines) <= size[1]
            assert all(width_of(line) <= size[0] for line in lines)
    assert chart.lines(history, "nothing", 1.0, (60, 12), (0.0, None), UNICODE)


def test_a_chart_is_only_built_anew_when_a_bucket_closes() -> None:
    history = filled_history()
    chart = HistoryChart("cpu")
    first = chart.lines(history, "cpu.percent", 1.0, (60, 12), (0.0, 100.0), UNICODE)
    assert chart.lines(history, "cpu.percent", 1.0, (60, 12), (0.0, 100.0), UNICODE) is first
    for tick in range(6):
        history.record(300.0 + tick, {"cpu.percent": 3.0})
    assert chart.lines(history, "cpu.percent", 1.0, (60, 12), (0.0, 100.0), UNICODE) is not first
