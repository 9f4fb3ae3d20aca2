"""Operations as pure functions: rows, columns, problems and the detail of one operation."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sample import filled_history, full_snapshot, statuses
from sample_services import (
    fleet,
    many,
    operation,
    scraped,
    shop,
    shop_operations,
    windows,
)

from perftui.assembly import NO_REDIS
from perftui.format import latency, rate_short, share
from perftui.history import History
from perftui.snapshot import (
    NOT_STARTED,
    Absent,
    Quantile,
    Service,
    Snapshot,
    SourceStatus,
    State,
)
from perftui.text import cell_width
from perftui.tui.glyphs import ASCII, UNICODE
from perftui.tui.lines import Line, width_of
from perftui.tui.panes.alert_marks import pane_mark
from perftui.tui.panes.bars import header_line, tabs_line
from perftui.tui.panes.operation_columns import (
    Courses,
    SteadyValues,
    errors_span,
    interval,
    latency_unit,
    operation_columns,
    quantile_text,
)
from perftui.tui.panes.operation_rows import OperationRow, list_operations
from perftui.tui.panes.operations import OperationsPane
from perftui.tui.table import fit_columns
from perftui.tui.view import Choice, View

replace = msgspec.structs.replace
UNREACHED = Absent(
    State.UNAVAILABLE, "Redis at localhost:6379 refused the connection", "redis-server"
)


def view(
    width: int = 58,
    height: int = 12,
    zoomed: bool = False,
    choice: Choice | None = None,
    selected: OperationRow | None = None,
    ascii_only: bool = False,
) -> View:
    return View(
        width, height, ASCII if ascii_only else UNICODE, filled_history(), 1.0, zoomed,
        choice=choice or Choice(), selected=selected,
    )  # fmt: skip


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def answering(name: str) -> SourceStatus:
    return SourceStatus(name, State.OK, "", "", 0.4, 0.002, 2.0, 0, 10)


def with_services(*services: Service) -> Snapshot:
    return replace(full_snapshot(), services=services)


def row_of(name: str, service: Service | None = None) -> OperationRow:
    rows = list_operations([service or shop()], Choice()).rows
    return next(row for row in rows if row.operation.name == name)


# Numbers


@pytest.mark.parametrize(
    ("seconds", "unit", "text"),
    [
        (0.0, "ms", "0"), (0.0000052, "ms", "5 us"), (0.0002, "ms", "0.20"),
        (0.00923, "ms", "9.23"), (0.0312, "ms", "31.2"), (0.412, "ms", "412"),
        (3.2049, "ms", "3200"), (9.994, "ms", "9990"), (9.996, "ms", "10.0 s"),
        (61.0, "ms", "61.0 s"), (3.2049, "s", "3.20"), (61.0, "s", "61.0"), (0.012, "s", "12 ms"),
        (math.nan, "ms", "-"),
    ],
)  # fmt: skip
def test_latencies_have_three_significant_digits(seconds: float, unit: str, text: str) -> None:
    assert latency(seconds, unit).strip() == text


@given(st.floats(0, 1e12) | st.none(), st.sampled_from(["ms", "s"]))
def test_columns_never_jump(value: float | None, unit: str) -> None:
    assert len(latency(value, unit)) == 6
    assert len(rate_short(value)) == 5
    assert len(share(value)) == 4


@given(st.floats(0.0005, 1e6))
@example(0.005)
def test_a_rate_that_is_not_zero_is_not_shown_as_zero(value: float) -> None:
    assert rate_short(value).strip() not in ("0", "0.00", "0.000")
    assert share(min(1.0, value)).strip() != "0"


@pytest.mark.parametrize(
    ("quantile", "text", "bounds"),
    [
        (Quantile(0.295, 0.2, 0.3), "295", "(200-300)"),
        (Quantile(0.22, 0.1, 0.3), "~220", "(100-300)"),
        (Quantile(0.0004, 0.0, 0.001), "~0.40", "(0-1)"),
        (Quantile(16.0, 16.0, math.inf), ">16 s", ""),
        (Quantile(0.5, 0.5, math.inf), ">500 ms", ""),
        (Quantile(0.0, -math.inf, 0.0), "~0", "(<=0)"),
    ],
)
def test_wide_buckets_are_marked(quantile: Quantile, text: str, bounds: str) -> None:
    assert quantile_text(quantile, "ms")[0] == text
    assert interval(quantile, "ms") == bounds


def test_errors_are_marked_by_more_than_colour() -> None:
    assert errors_span(0.01)[0].strip() == "1.0"
    assert errors_span(0.011) == ("!1.1", "warning")
    assert errors_span(0.051) == ("!!5.1", "critical")
    assert errors_span(Absent(State.NOT_COLLECTED, "not told"))[0] == "-"


def test_seconds_are_the_unit_where_everything_takes_seconds() -> None:
    assert latency_unit([operation("a", 1, 2.0, 1.0), operation("b", 1, 90.0, 0.0)]) == "s"
    assert latency_unit([operation("a", 1, 0.2, 1.0), operation("b", 1, 90.0, 0.0)]) == "ms"
    assert latency_unit([]) == "ms"


@pytest.mark.parametrize("width", [24, 58, 78, 98, 118, 158, 198])
def test_the_bounds_stand_beside_p95_where_there_is_room(width: int) -> None:
    rows = list_operations([shop()], Choice()).rows
    columns = operation_columns(rows, view(width), Courses(), SteadyValues())
    shown = {column.id: column for column, _ in fit_columns(columns, width)}
    report = row_of("report")
    p95 = shown["p95"].cell(report)[0]
    if "bounds" in shown:
        assert (p95, shown["bounds"].cell(report)[0]) == ("870", "(500-1000)")
    else:
        assert p95 == "~870"
    assert ("bounds" in shown) == (width >= 158)
    assert "name" in shown


def test_what_was_not_called_is_dashes_and_a_measured_zero() -> None:
    rows = list_operations([shop()], Choice()).rows
    columns = operation_columns(rows, view(198), Courses(), SteadyValues())
    cells = {column.id: column.cell(row_of("refund")) for column in columns}
    for name in ("p50", "p95", "p99", "mean", "errors", "share"):
        assert cells[name][0] == "-"
    assert cells["rate"][0].strip() == cells["count"][0].strip() == "0"
    assert {cells[name][1] for name in ("name", "p95", "rate", "count")} == {"absent"}


# Courses


def test_a_course_is_drawn_anew_only_when_a_dot_is_complete() -> None:
    history, courses = History(300), Courses()
    drawn = []
    for tick in range(60):
        history.record(float(tick), {"x": float(tick)})
        drawn.append(courses.course(history, "x", 1.0, UNICODE))
    changes = sum(one != other for one, other in pairwise(drawn))
    assert 5 <= changes <= 12
    assert {cell_width(text) for text in drawn} <= {0, 12}
    assert courses.course(history, "nothing", 1.0, UNICODE) == ""


# Which services


def test_the_time_of_several_services_is_shared_among_all_rows() -> None:
    one = Service("a", 1, ("h",), 0.0, windows([operation("x", 10, 0.3, 1.0)]))
    other = Service("b", 1, ("h",), 0.0, windows([operation("x", 10, 0.1, 1.0)]))
    listing = list_operations([one, other], Choice())
    assert [(row.name, round(row.share, 2)) for row in listing.rows] == [
        ("a/x", 0.75),
        ("b/x", 0.25),
    ]
    (alone,) = list_operations([one, other], Choice(services=frozenset({("redis", "b")}))).rows
    assert (alone.name, alone.share) == ("x", 1.0)
    twice = list_operations([one, replace(one, origin="scrape")], Choice())
    assert [row.name for row in twice.rows] == ["a (redis)/x", "a (scrape)/x"]


def test_chosen_hosts_show_only_what_was_counted_on_them() -> None:
    choice = Choice(hosts=("web-1",))
    assert list_operations([shop()], choice).silent == (shop(),)
    told = replace(
        shop(), chosen_hosts=("web-1",), chosen=windows([operation("x", 1, 0.1, 1.0)], 4.0)
    )
    listing = list_operations([told], choice)
    assert [row.name for row in listing.rows] == ["x"]
    assert listing.covered == 4.0
    # What belongs to the choice before is not shown as what belongs to this one.
    assert list_operations([told], Choice(hosts=("web-2",))).rows == ()
    assert list_operations([told], Choice(hosts=("elsewhere",))).shown == ()


def test_a_window_that_is_not_there_or_longer_than_asked_is_named() -> None:
    snapshot = replace(
        full_snapshot(), prometheus=fleet(), sources=statuses(prometheus=answering("prometheus"))
    )
    pane = OperationsPane()
    assert "pay 1 min" in "".join(t for t, _ in pane.heading(snapshot, view()))
    stretched = windows([operation("x", 1, 0.1, 1.0)])
    stretched = (replace(stretched[0], covered=90.0), *stretched[1:])
    snapshot = with_services(Service("slow", 1, ("h",), 0.0, stretched))
    assert "slow 1m 30s" in "".join(t for t, _ in pane.heading(snapshot, view()))
    full = "".join(t for t, _ in pane.heading(full_snapshot(), view()))
    assert "10 s" in full
    assert " of " not in full


def test_a_window_that_is_not_full_says_how_much_was_watched() -> None:
    snapshot = with_services(replace(shop(), windows=windows(shop_operations(), covered=4.0)))
    pane = OperationsPane()
    assert "4 of 10 s" in "".join(t for t, _ in pane.heading(snapshot, view()))
    choice = Choice(60.0)
    assert "4 s of 1 min" in "".join(t for t, _ in pane.heading(snapshot, view(choice=choice)))


# What is missing


def test_nothing_configured_names_all_three_ways_at_any_size() -> None:
    nothing = replace(full_snapshot(), services=NO_REDIS, sources=())
    for width, height in ((58, 5), (58, 12), (118, 30)):
        lines = OperationsPane().head(nothing, view(width, height))
        assert len(lines) <= height
        text = " ".join(texts(lines))
        for way in ('Reporter(service="NAME").start()', "--redis", "--scrape", "--prometheus"):
            assert way in text
        assert all(width_of(line) <= width for line in lines)
    assert OperationsPane().table(nothing, view()) is None


def test_before_the_first_answer_nothing_is_called_missing() -> None:
    waiting = Snapshot(0, 0.0, 0.0)
    text = " ".join(texts(OperationsPane().head(waiting, view())))
    assert "no sample yet" in text
    assert "configured" not in text
    assert waiting.services == NOT_STARTED


def test_a_dead_redis_is_one_line_above_what_is_still_read() -> None:
    snapshot = replace(
        full_snapshot(),
        services=UNREACHED,
        scrape=replace(scraped(), endpoints=scraped().endpoints[:1]),
        sources=statuses(scrape=answering("scrape")),
    )
    pane = OperationsPane()
    (line,) = texts(pane.head(snapshot, view()))
    assert "unavailable: Redis at localhost:6379 refused the connection" in line
    table = pane.table(snapshot, view())
    assert table is not None
    assert [row.name for row in table.records] == ["reserve"]
    zoomed = " ".join(texts(pane.head(snapshot, view(zoomed=True))))
    assert "fix: redis-server" in zoomed


def test_a_dead_redis_alone_says_reason_and_fix() -> None:
    snapshot = replace(full_snapshot(), services=UNREACHED)
    text = " ".join(" ".join(texts(OperationsPane().head(snapshot, view()))).split())
    assert "refused the connection" in text
    assert "fix: redis-server" in text


@given(st.integers(1, 60), st.booleans(), st.integers(3, 40))
def test_problems_are_bounded_and_counted(failing: int, zoomed: bool, height: int) -> None:
    page = scraped()
    endpoints = tuple(
        replace(page.endpoints[1], address=f"http://h{n}/metrics", reason=f"http://h{n}/metrics x")
        for n in range(failing)
    )
    snapshot = replace(
        full_snapshot(),
        scrape=replace(page, endpoints=endpoints),
        sources=statuses(scrape=answering("scrape")),
    )
    lines = texts(OperationsPane().head(snapshot, view(58, height, zoomed)))
    named = sum("http://h" in line for line in lines)
    hidden = [line for line in lines if " more" in line]
    counted = int(hidden[0].rpartition(" more")[0].split()[-1]) if hidden else 0
    assert named + counted == failing
    assert len(lines) <= (max(4, height // 4) if zoomed else 2)


def test_notes_of_services_are_shown_once_with_how_many_they_concern() -> None:
    note = "scraped too rarely for 10 s"
    snapshot = with_services(replace(shop(), notes=(note,)), replace(many(3), notes=(note,)))
    (line,) = texts(OperationsPane().head(snapshot, view()))
    assert "shop and 1 more: scraped too rarely" in line
    assert "1 warning" in "".join(t for t, _ in OperationsPane().heading(snapshot, view()))


def test_only_the_sources_of_operations_are_needed() -> None:
    assert OperationsPane.needs == {"services", "scrape", "prometheus"}


# Around the panes


def test_the_header_names_the_services_as_far_as_there_is_room() -> None:
    several = replace(full_snapshot(), scrape=scraped(), prometheus=fleet())
    for width, part in ((160, "shop ● 3 stock ● 1 pay ● 12"), (100, "3 services ● 16")):
        assert part in "".join(text for text, _ in header_line(several, width, UNICODE, None, ()))
    silent = with_services(*(replace(shop(), name=f"s{n}", processes=n % 2) for n in range(9)))
    line = "".join(text for text, _ in header_line(silent, 160, UNICODE, None, ()))
    assert "9 services ● 4 5 silent" in line


def test_a_narrow_tab_strip_has_whole_words() -> None:
    from perftui.tui.panes import make_panes

    panes = list(make_panes().values())
    strip = "".join(text for text, _ in tabs_line(panes, "operations", full_snapshot(), 80))
    for tab in ("1 Res", "4 Cache", "5 Ops", "7 Query", "8 Procs"):
        assert tab in strip
    wide = "".join(text for text, _ in tabs_line(panes, "operations", full_snapshot(), 120))
    assert "5 Operations" in wide


def test_operations_carry_their_mark() -> None:
    assert pane_mark(full_snapshot(), "operations") == ("!", "warning")
    assert pane_mark(full_snapshot(alerts=False), "operations") is None
    assert OperationsPane().mark(full_snapshot(alerts=False)) == (" ", "muted")
    dead = replace(full_snapshot(alerts=False), services=UNREACHED)
    assert OperationsPane().mark(dead) == ("!", "warning")
