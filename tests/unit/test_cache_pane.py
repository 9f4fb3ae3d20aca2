"""The cache pane as functions of a snapshot: order, coherence, details, views, absences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample import NOW, filled_history, full_snapshot
from sample_caches import (
    ALONE,
    HOSTILE,
    LIVE,
    LOST,
    OFF,
    SYNCING,
    cached,
    namespace,
    prefix_samples,
    process,
    shop_caches,
    tiers,
)
from sample_services import shop

from perftui.history import History
from perftui.snapshot import (
    NOT_LISTENED,
    Absent,
    CacheCoherence,
    CacheNamespace,
    Maybe,
    Snapshot,
    State,
)
from perftui.tui.cache_view import CACHE_VIEWS, CacheBy, CacheView, PrefixLook
from perftui.tui.glyphs import ASCII, UNICODE
from perftui.tui.lines import Line, width_of
from perftui.tui.panes.cache import CachePane
from perftui.tui.panes.cache_cells import nearness
from perftui.tui.panes.cache_coherence import coherence_lines, summarise
from perftui.tui.panes.cache_detail import ghost_lines
from perftui.tui.panes.cache_rows import (
    SERVER_KEY,
    CacheGroup,
    TierRow,
    cache_groups,
    server_row,
    urgent_tiers,
)
from perftui.tui.panes.operation_columns import SteadyValues
from perftui.tui.table import fit_columns, record_line
from perftui.tui.theme import STYLES
from perftui.tui.view import View


def view(
    width: int = 60,
    height: int = 20,
    *,
    ascii_only: bool = False,
    zoomed: bool = False,
    by: CacheBy = "namespaces",
    selected: Any = None,
    prefixes: PrefixLook | None = None,
    history: History | None = None,
) -> View:
    cache = CacheView(by, prefixes or PrefixLook())
    glyphs = ASCII if ascii_only else UNICODE
    return View(width, height, glyphs, history or filled_history(), 1.0, zoomed, cache=cache,
                selected=selected)  # fmt: skip


def text_of(lines: Iterable[Line]) -> str:
    return "\n".join("".join(text for text, _ in line) for line in lines)


def groups_of(snapshot: Snapshot) -> tuple[CacheGroup, ...]:
    return cache_groups(snapshot, SteadyValues())


def names(rows: Iterable[TierRow]) -> list[tuple[str, str]]:
    return [(row.name, row.tier.tier) for row in rows]


def records(snapshot: Snapshot, seen: View) -> list[Any]:
    table = CachePane().table(snapshot, seen)
    assert table is not None
    return list(table.records)


# Order


def test_the_cache_that_misses_most_comes_first_and_unknown_ones_last() -> None:
    found = [group.namespace.namespace for group in groups_of(cached())]
    assert found == ["price", "product", "basket", HOSTILE, "old"]


def test_noise_does_not_change_the_order() -> None:
    steady = SteadyValues()

    def order(*rates: float) -> list[str]:
        caches = tuple(namespace(n, 0.9, r) for n, r in zip("abc", rates, strict=True))
        return [group.namespace.namespace for group in cache_groups(cached(caches), steady)]

    assert order(100.0, 99.0, 50.0) == ["a", "b", "c"]
    assert order(99.0, 101.0, 50.0) == ["a", "b", "c"]
    assert order(50.0, 60.0, 200.0) == ["c", "b", "a"]


def test_all_tiers_are_shown_where_there_is_room() -> None:
    caches = (namespace("price", 0.9, 100.0),)
    server = server_row(full_snapshot().redis)
    rows = urgent_tiers(groups_of(cached(caches)), server, 4)
    assert names(rows) == [
        ("price", "memory"), ("price", "redis"), ("price", "overall"), ("all clients", "server"),
    ]  # fmt: skip


def test_five_lines_hold_the_worst_overall_and_the_server() -> None:
    rows = urgent_tiers(groups_of(cached()), server_row(full_snapshot().redis), 5)
    assert names(rows)[:5] == [
        ("price", "overall"), ("product", "overall"), ("basket", "overall"),
        (HOSTILE, "overall"), ("all clients", "server"),
    ]  # fmt: skip
    # What has no room is further down, not lost.
    assert len({row.key for row in rows}) == len(rows) == 16


def test_room_that_is_left_goes_to_the_tiers_of_the_first() -> None:
    rows = urgent_tiers(groups_of(cached()), server_row(full_snapshot().redis), 8)
    assert names(rows)[:8] == [
        ("price", "memory"), ("price", "redis"), ("price", "overall"), ("product", "overall"),
        ("basket", "overall"), (HOSTILE, "overall"), ("old", "overall"), ("all clients", "server"),
    ]  # fmt: skip


@given(st.integers(0, 12), st.integers(-2, 40), st.booleans())
def test_no_row_is_lost_or_shown_twice(count: int, room: int, with_server: bool) -> None:
    caches = tuple(namespace(f"n{n}", 0.9, 10.0 * n + 1) for n in range(count))
    server = server_row(full_snapshot().redis) if with_server else None
    rows = urgent_tiers(groups_of(cached(caches)), server, room)
    assert len({row.key for row in rows}) == len(rows) == 3 * count + with_server
    assert [row.place for row in rows] == list(range(len(rows)))
    if with_server and room >= 1:
        assert SERVER_KEY in {row.key for row in rows[:room]}


# Coherence


def headings(coherence: Maybe[CacheCoherence], ascii_only: bool = False) -> str:
    seen = view(120, ascii_only=ascii_only)
    return text_of([CachePane().heading(cached(shop_caches(coherence)), seen)])


def test_the_heading_tells_the_worst_coherence_and_lag() -> None:
    assert headings(LIVE) == "shop · memory+redis · coherence LIVE 400 us"
    assert headings(LOST) == "✗ coherence LOST in 1 of 4 · shop · memory+redis"
    assert headings(SYNCING) == "◐ coherence SYNCING in 1 of 4 · shop · memory+redis"
    assert headings(OFF) == "shop · memory+redis · ○ coherence OFF in 1 of 4"
    assert headings(LOST, ascii_only=True) == "x coherence LOST in 1 of 4 - shop - memory+redis"


def test_the_worst_lag_of_all_processes_counts() -> None:
    slow = msgspec.structs.replace(LIVE, lag=0.25)
    assert headings(slow).endswith("coherence LIVE 250 ms")


def test_a_process_that_does_not_tell_is_not_live() -> None:
    assert headings(NOT_LISTENED).endswith("coherence LIVE 400 us, 1 unknown")
    mute = CacheNamespace("price", tiers(0.9, 0.5, 0.95), (process(1, NOT_LISTENED),))
    heading = text_of([CachePane().heading(cached((mute,)), view(120))])
    assert heading == "shop · memory+redis · coherence -"


def test_silent_processes_do_not_make_the_coherence_worse() -> None:
    one = CacheNamespace(
        "price", tiers(0.9, 0.5, 0.95), (process(1), process(2, LOST, State.STALE)), LIVE
    )
    summary = summarise(groups_of(cached((one,))))
    assert summary is not None
    assert summary.worst == LIVE
    assert summary.processes == 1


def test_errors_stand_in_the_frame() -> None:
    heading = CachePane().heading(cached(shop_caches(LIVE, 3.0)), view(120))
    assert text_of([heading]).startswith("▲ 3.00 errors/s · shop")


@pytest.mark.parametrize("coherence", [LOST, OFF])
def test_reason_fix_bound_and_time_are_told_of_what_is_not_live(coherence: CacheCoherence) -> None:
    text = text_of(coherence_lines(coherence, view(100), NOW))
    assert coherence.state.upper() in text
    assert coherence.reason in text
    assert f"fix: {coherence.fix}" in text
    assert "since " in text
    told = {"lost": ("memory is not read meanwhile", "lost 3 times"),
            "off": ("values at most 5.00 s old",)}  # fmt: skip
    for part in told[coherence.state]:
        assert part in text


def test_live_tells_lag_bound_and_since_when_on_one_line() -> None:
    (line,) = coherence_lines(LIVE, view(100), NOW)
    text = text_of([line])
    assert "LIVE · lag 400 us · values at most 1.50 s old · since " in text
    assert "lost" not in text


def test_a_cache_without_redis_is_not_a_problem() -> None:
    pane = CachePane()
    snapshot = cached(shop_caches(ALONE))
    assert pane.mark(snapshot) == (" ", "muted")
    assert "fix" not in text_of(coherence_lines(ALONE, view(100), NOW))
    assert pane.mark(cached(shop_caches(OFF))) == ("!", "warning")
    assert pane.mark(cached(shop_caches(LOST))) == ("!", "critical")


# Details


def row_of(snapshot: Snapshot, name: str, tier: str) -> TierRow:
    seen = view(100, 40, zoomed=True)
    rows: list[TierRow] = records(snapshot, seen)
    return next(row for row in rows if (row.name, row.tier.tier) == (name, tier))


def test_the_selected_cache_tells_limits_ghosts_loads_and_coherence() -> None:
    snapshot = cached()
    row = row_of(snapshot, "price", "memory")
    text = text_of(CachePane().head(snapshot, view(118, 36, zoomed=True, selected=row)))
    for part in (
        "940 of 4,000 items", "11.4 MiB of 256 MiB", "4 processes", "11.8/s loads",
        "twice the items would give 94.0 % in memory, now 91.2 %", "coherence LIVE",
        "price memory hit %", "server hit %, all clients",
    ):  # fmt: skip
        assert part in text


def test_what_is_lost_is_told_first_in_a_small_zoom() -> None:
    snapshot = cached(shop_caches(LOST))
    row = row_of(snapshot, "price", "overall")
    head = CachePane().head(snapshot, view(78, 20, zoomed=True, selected=row))
    assert f"fix: {LOST.fix}" in text_of(head)
    assert len(head) <= 20 - 8


def test_ghosts_that_gain_nothing_say_so() -> None:
    memory = tiers(0.94, 0.5, 0.97)[0]
    assert "not worth it" in text_of(ghost_lines(memory, 0.943, view(100)))
    assert "not worth it" not in text_of(ghost_lines(memory, 0.99, view(100)))
    assert ghost_lines(memory, Absent(State.NOT_COLLECTED, "no list"), view(100)) == []


def test_a_tier_is_as_full_as_the_nearer_of_its_limits() -> None:
    memory = tiers(0.9, 0.5, 0.95)[0]
    assert nearness(memory) == 940 / 4000
    assert nearness(msgspec.structs.replace(memory, size=250 * 2**20)) == 250 / 256
    unlimited = msgspec.structs.replace(memory, items_limit=NOT_LISTENED, size_limit=NOT_LISTENED)
    assert nearness(unlimited) is NOT_LISTENED
    no_items = Absent(State.UNAVAILABLE, "not told")
    assert nearness(msgspec.structs.replace(memory, items=no_items, size=no_items)) is no_items


def test_the_table_stays_where_it_is_when_the_cursor_moves() -> None:
    snapshot, pane = cached(shop_caches(LOST)), CachePane()
    for width, height in ((78, 20), (118, 36), (198, 46)):
        rows = records(snapshot, view(width, height, zoomed=True))
        heights = {
            len(pane.head(snapshot, view(width, height, zoomed=True, selected=row))) for row in rows
        }
        assert len(heights) == 1


# Views


def test_processes_that_are_out_of_step_come_first() -> None:
    rows = records(cached(shop_caches(LOST)), view(118, 36, zoomed=True, by="processes"))
    assert {row.process.pid for row in rows[:4]} == {4714}
    assert len(rows) == 16


def test_redis_that_nobody_could_look_at_says_why() -> None:
    gone = Absent(State.DENIED, "the user may not run SLOWLOG", "ACL SETUSER shop +slowlog")
    snapshot = cached(detail=gone)
    views: tuple[CacheBy, ...] = ("commands", "slow", "errors")
    for by in views:
        table = CachePane().table(snapshot, view(118, 36, zoomed=True, by=by))
        assert table is not None
        assert not table.records
        text = text_of(table.empty)
        assert "may not run SLOWLOG" in text
        assert "ACL SETUSER shop +slowlog" in text


def test_prefixes_show_progress_age_and_parts() -> None:
    samples = prefix_samples()
    look = PrefixLook((20_000, 50_000), samples, full_snapshot().monotonic - 12)
    seen = view(118, 36, zoomed=True, by="prefixes", prefixes=look)
    rows = records(cached(), seen)
    assert [row.pattern for row in rows] == [b"shop:price:*", b"session:*", b"\xff\xfe*"]
    selected = view(118, 36, zoomed=True, by="prefixes", prefixes=look, selected=rows[0])
    text = text_of(CachePane().head(cached(), selected))
    for part in (
        "20,000 of 50,000 keys  r cancels", "sampled 12 s ago", "50,000 of 1,000,000 keys",
        "of which shop:price:eu:*", "others waited 900 us (p99)",
    ):  # fmt: skip
        assert part in text
    first = view(118, 36, zoomed=True, by="prefixes")
    table = CachePane().table(cached(), first)
    assert table is not None
    assert "r samples up to" in text_of(table.empty)
    failed = view(118, 36, zoomed=True, by="prefixes", prefixes=PrefixLook(problem="it is gone"))
    assert "it is gone" in text_of(CachePane().head(cached(), failed))


def test_views_are_written_out_and_the_slow_log_says_from_when_on() -> None:
    text = text_of(CachePane().head(cached(), view(118, 36, zoomed=True, by="slow")))
    for title in CACHE_VIEWS.values():
        assert f" {title} " in text
    assert "slower than 10.0 ms" in text


# Missing


def test_no_redis_and_no_services_say_what_to_do() -> None:
    gone = Absent(State.UNAVAILABLE, "Redis refused the connection", "systemctl start redis")
    pane = CachePane()
    nothing = cached((), redis=gone)
    assert pane.table(nothing, view()) is None
    assert "systemctl start redis" in text_of(pane.head(nothing, view()))
    assert pane.mark(nothing) == ("!", "critical")
    # What the services said before is still there.
    told = cached(redis=gone)
    assert "systemctl start redis" in text_of(pane.head(told, view(height=20)))
    assert names(records(told, view()))[0] == ("price", "memory")
    without = pane.head(cached(()), view())
    assert "caches=manager" in text_of(without)
    assert [row.key for row in records(cached(()), view())] == [SERVER_KEY]


@pytest.mark.parametrize("by", CACHE_VIEWS)
@pytest.mark.parametrize("zoomed", [False, True])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_view_fits_and_hostile_names_stay_text(
    by: CacheBy, zoomed: bool, ascii_only: bool
) -> None:
    hostile = msgspec.structs.replace(LOST, reason=HOSTILE, fix=HOSTILE, state=HOSTILE)
    look = PrefixLook(None, prefix_samples(cancelled=True), 900.0)
    gone = Absent(State.UNAVAILABLE, HOSTILE, HOSTILE)
    service = msgspec.structs.replace(shop(), name=HOSTILE, caches=shop_caches(hostile, 1.0))
    for snapshot in (
        msgspec.structs.replace(cached(), services=(service,)),
        cached(detail=gone),
        cached((), redis=gone),
        Snapshot(0, 0.0, 0.0),
    ):
        for width, height in ((24, 6), (58, 12), (78, 20), (118, 36), (198, 46)):
            seen = view(width, height, ascii_only=ascii_only, zoomed=zoomed, by=by, prefixes=look)
            pane = CachePane()
            table = pane.table(snapshot, seen)
            lines: list[Line] = [pane.heading(snapshot, seen)]
            lines += pane.head(snapshot, seen)
            if table is not None:
                sized = fit_columns(table.columns, width)
                lines += [record_line(row, sized, seen.glyphs) for row in table.records]
                assert width < 78 or sum(w + 1 for _, w in sized) - 1 <= width
                lines += table.empty
                for row in table.records:
                    lines += pane.head(snapshot, replace(seen, selected=row))
            for line in lines:
                for text, style in line:
                    assert style in STYLES, style
                    assert text.isprintable(), text
                    assert not ascii_only or text.isascii(), text


def test_columns_fit_a_pane_of_a_usual_screen() -> None:
    pane, seen = CachePane(), view(58, 12)
    table = pane.table(cached(), seen)
    assert table is not None
    sized = fit_columns(table.columns, 58)
    assert [column.id for column, _ in sized] == [
        "cache", "tier", "10", "100", "1000", "items", "bytes", "evictions",
    ]  # fmt: skip
    lines = [record_line(row, sized, seen.glyphs) for row in table.records]
    assert {width_of(line) for line in lines} == {58}
