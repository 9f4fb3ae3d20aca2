"""The Servers pane as functions of a snapshot: states, columns, advice, reasons, absences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sample import HOSTILE, NOW, filled_history, full_snapshot

from perftui.assembly import NO_HAPROXY, NO_REDIS
from perftui.snapshot import (
    Absent,
    Pool,
    PoolAdvice,
    PoolEvent,
    PoolServer,
    PoolThresholds,
    Snapshot,
    State,
)
from perftui.tui.glyphs import ASCII, UNICODE
from perftui.tui.lines import Line, width_of
from perftui.tui.panes.server_detail import why_lines
from perftui.tui.panes.server_rows import ServerRow, list_servers, state_span
from perftui.tui.panes.servers import ServersPane
from perftui.tui.table import fit_columns, record_line
from perftui.tui.view import View

NONE = Absent(State.NOT_COLLECTED, "not measured")
LIMITS = PoolThresholds(80.0, 90.0, 1000.0)


def server(name: str = "api-1", state: str = "ready", **changed: Any) -> PoolServer:
    known = PoolServer(
        name, "10.0.0.1:80", state, "", 1, 41.0, 60.0, 120.0, 3, 500, 0.6, False,
        weight_set=1, response_p95=0.084, error_percent=0.2, since=42.0, eligible=True,
        picks_percent=31.0, picks_expected_percent=33.3,
    )  # fmt: skip
    return msgspec.structs.replace(known, **changed)


def pool(*servers: PoolServer, name: str = "web", **changed: Any) -> Pool:
    return msgspec.structs.replace(Pool(name, servers or (server(),), thresholds=LIMITS), **changed)


def shown(*pools: Pool, haproxy: Any = NO_HAPROXY) -> Snapshot:
    return msgspec.structs.replace(full_snapshot(), pools=pools, haproxy=haproxy)


def view(width: int = 118, height: int = 36, ascii_only: bool = False, **changed: Any) -> View:
    glyphs = ASCII if ascii_only else UNICODE
    return replace(View(width, height, glyphs, filled_history(), 1.0), **changed)


def text(*lines: Line) -> str:
    return "\n".join("".join(part for part, _ in line) for line in lines)


def row(one: PoolServer, of: Pool | None = None) -> ServerRow:
    return list_servers((of or pool(one),)).rows[0]


def drawn(snapshot: Snapshot, look: View) -> list[str]:
    table = ServersPane().table(snapshot, look)
    assert table is not None
    sized = fit_columns(table.columns, look.width)
    return [text(record_line(record, sized, look.glyphs)) for record in table.records]


def seen_columns(snapshot: Snapshot, width: int) -> list[str]:
    table = ServersPane().table(snapshot, view(width))
    assert table is not None
    return [column.id for column, _ in fit_columns(table.columns, width)]


@pytest.mark.parametrize(
    ("changed", "panic", "word"),
    [
        ({}, False, "ready"),
        ({"overloaded": True}, False, "overload"),
        ({"overloaded": True, "kept": True}, False, "kept"),
        ({"overloaded": True, "kept": True}, True, "panic-kept"),
        ({"detail": "slow start: 50 % of its weight"}, False, "slow start"),
        ({"leaving": True}, False, "leaving"),
        ({"state": "stale", "last_seen": 12.0}, False, "stale 12 s"),
        ({"state": "drain", "overloaded": True}, False, "drain"),
        ({"state": "down"}, False, "down"),
    ],
)
def test_the_state_says_why_a_server_is_not_just_ready(
    changed: dict[str, Any], panic: bool, word: str
) -> None:
    one = server(**changed)
    assert state_span(pool(one, panic=panic), one, False)[0] == word


def test_names_carry_pool_and_haproxy_only_where_there_are_several() -> None:
    assert drawn(shown(pool()), view())[0].startswith("api-1 ")
    two = drawn(shown(pool(), pool(name="batch")), view())
    assert two[0].startswith("web/api-1 ")
    assert two[1].startswith("batch/api-1 ")
    backends = tuple(
        pool(name="be", origin="haproxy", endpoint=where) for where in ("/a.sock", "h:1")
    )
    proxied = drawn(shown(haproxy=backends), view(198))
    assert "/a.sock be/api-1" in proxied[0]
    assert "h:1 be/api-1" in proxied[1]


def test_what_tells_least_is_dropped_first() -> None:
    wide = seen_columns(shown(pool()), 198)
    assert {"reason", "since", "seen", "queue", "weight"} <= set(wide)
    assert seen_columns(shown(pool()), 118) == wide
    assert "reason" not in seen_columns(shown(pool()), 78)
    assert {"id", "state", "cpu", "rps", "share"} <= set(seen_columns(shown(pool()), 58))


def test_picks_stand_against_what_was_expected_and_a_weight_against_the_set_one() -> None:
    line = drawn(shown(pool(server(weight=1, weight_set=4))), view())[0]
    assert " 31/33% " in line
    assert " 1/4 " in line


def test_a_mean_is_not_taken_for_a_p95() -> None:
    mean = server(response_p95=NONE, response_mean=0.021)
    table = ServersPane().table(shown(pool(mean)), view())
    assert table is not None
    assert "mean ms" in [column.title for column in table.columns]
    both = drawn(shown(pool(server(), msgspec.structs.replace(mean, id="b"))), view())
    assert " 84.0 " in both[0]
    assert "m  21.0 " in both[1]


def test_colours_follow_the_thresholds_of_the_pool() -> None:
    hot = server(cpu_usage=85.0)
    for limit, style in ((80.0, "warning"), (85.0, "text"), (90.0, "text")):
        one = pool(hot, thresholds=PoolThresholds(limit, 90.0, 1000.0))
        table = ServersPane().table(shown(one), view())
        assert table is not None
        cpu = next(column for column in table.columns if column.id == "cpu")
        assert cpu.cell(table.records[0])[1] == style


@pytest.mark.parametrize("ascii_only", [False, True])
def test_marks_have_a_column_only_while_a_server_is_marked(ascii_only: bool) -> None:
    snapshot = shown(pool(server("a"), server("b")))
    key = list_servers(snapshot.all_pools).rows[1].key
    assert drawn(snapshot, view(ascii_only=ascii_only))[0].startswith("a")
    marked = drawn(snapshot, view(ascii_only=ascii_only, marked_servers=frozenset({key})))
    glyph = (ASCII if ascii_only else UNICODE).bullet
    assert marked[0].startswith("  a")
    assert marked[1].startswith(f"{glyph} b")
    gone = key._replace(server="gone")
    assert drawn(snapshot, view(marked_servers=frozenset({gone})))[0].startswith("a")


def advice(held_by: str = "", reason: str = "cpu 91 % > 80 %, at most x1.5") -> PoolAdvice:
    return PoolAdvice(4, 6, reason, "cpu", 91.0, 80.0, held_by, "combined", 2, 8, 3.0)


def test_the_frame_tells_who_may_be_picked_panic_and_advice() -> None:
    one = pool(server(), server("b", eligible=False), panic=True, advice=advice(), eligible=1)
    heading = ServersPane().heading(shown(one), view())
    assert text(heading) == (
        "pool web · panic · 1 of 2 eligible · advice 4 → 6: cpu 91 % > 80 %, at most x1.5"
    )
    assert ("panic", "critical") in heading
    held = pool(advice=advice("cooldown 34 s"))
    assert "4 -> 6: held by cooldown 34 s" in text(
        ServersPane().heading(shown(held), view(ascii_only=True))
    )


def test_why_lines_tell_decision_and_each_threshold() -> None:
    one = server(
        state="drain", decided="drain", decided_by="ana@ops", reason="new version",
        eligible=False, cpu_usage=91.0, requests_per_second=NONE,
    )  # fmt: skip
    said = text(*why_lines(row(one), view()))
    assert "not picked: drained by ana@ops 42 s ago: new version" in said
    assert "cpu 91.0 % over 80 %" in said
    assert "memory 60.0 % of 90 %" in said
    assert "requests unknown, limit 1000/s" in said


def test_a_zoom_tells_pool_reasons_and_events_newest_first() -> None:
    events = (
        PoolEvent(NOW - 5, "overload", "api-1", "", "cpu 91 % > 80 %"),
        PoolEvent(NOW - 60, "scale", "", "advisor", "3 → 4: cpu"),
        PoolEvent(NOW - 90, "ready", "api-1", "ana@ops", "done"),
    )
    one = pool(events=events, advice=advice())
    snapshot = msgspec.structs.replace(shown(one), time=NOW)
    said = text(*ServersPane().head(snapshot, view(zoomed=True, selected=row(one.servers[0], one))))
    assert "min 2" in said
    assert "max 8" in said
    assert "1m 0s ago 3 → 4: cpu" in said
    assert said.index("overload ") < said.index("by ana@ops")
    whole = text(*ServersPane().head(snapshot, view(zoomed=True)))
    assert "events of the pool" in whole


def test_haproxy_alone_is_enough_and_nothing_tells_both_ways() -> None:
    alone = msgspec.structs.replace(
        full_snapshot(), pools=NO_REDIS, haproxy=(pool(origin="haproxy", endpoint="/a.sock"),)
    )
    assert ServersPane().head(alone, view()) == []
    assert len(drawn(alone, view())) == 1
    none = msgspec.structs.replace(full_snapshot(), pools=NO_REDIS, haproxy=NO_HAPROXY)
    said = text(*ServersPane().head(none, view()))
    assert NO_REDIS.fix in said
    assert NO_HAPROXY.fix in said
    assert ServersPane().table(none, view()) is None


@pytest.mark.parametrize("width", [24, 58, 78, 118, 198])
@pytest.mark.parametrize("height", [6, 20, 46])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_hostile_names_stay_text_and_the_table_keeps_its_room(
    width: int, height: int, ascii_only: bool
) -> None:
    one = server(HOSTILE, address=HOSTILE, reason=HOSTILE, detail=HOSTILE, last_check=HOSTILE)
    events = (PoolEvent(NOW, HOSTILE, HOSTILE, HOSTILE, HOSTILE),) * 30
    bad = pool(one, name=HOSTILE, events=events, advice=advice(HOSTILE, HOSTILE))
    snapshot = shown(*(bad,) * 40)
    look = view(width, height, ascii_only, zoomed=True, selected=row(one, bad))
    pane = ServersPane()
    lines = [pane.heading(snapshot, look), *pane.head(snapshot, look)]
    said = text(*lines) + "\n".join(drawn(snapshot, look)[:2])
    assert "\x1b" not in said
    assert said.isascii() or not ascii_only
    assert len(lines) - 1 <= max(1, height - 5)
    assert all(width_of(line) >= 0 for line in lines)
