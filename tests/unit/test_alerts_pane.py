"""Alerts as lines: their order, their words, their detail, and what is left out."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample import HOSTILE, NOW, filled_history, full_snapshot
from sample_alerts import (
    CRITICAL,
    DAY,
    WARNING,
    alarmed,
    alert,
    all_alerts,
    past,
    slow_checkout,
)

from perftui.assembly import history_values
from perftui.snapshot import Absent, Alert, AlertState, Snapshot, State
from perftui.text import cell_width, printable
from perftui.tui.block_list import block_page
from perftui.tui.glyphs import ASCII, UNICODE, Glyphs
from perftui.tui.lines import Line, width_of
from perftui.tui.panes import make_panes
from perftui.tui.panes.alert_lines import alert_line, event_line, sentence
from perftui.tui.panes.alert_marks import state_mark
from perftui.tui.panes.alert_series import find_series
from perftui.tui.panes.alerts import AlertsPane
from perftui.tui.panes.bars import compact_alerts, header_line, tabs_line
from perftui.tui.table import Blocks
from perftui.tui.view import View

replace = msgspec.structs.replace


def view(width: int, height: int, glyphs: Glyphs = UNICODE, **more: object) -> View:
    return View(width, height, glyphs, filled_history(), 1.0, **more)  # type: ignore[arg-type]


def text_of(lines: list[Line]) -> str:
    return "\n".join("".join(text for text, _ in line) for line in lines)


def listed(snapshot: Snapshot, drawn: View, index: int = 0) -> str:
    """Return the list of the pane as it is drawn with the cursor on a record."""
    table = AlertsPane().table(snapshot, drawn)
    assert table is not None
    assert table.blocks is not None
    return text_of(block_page(table.records, table.blocks, index, 0, drawn.height).lines)


def detail(snapshot: Snapshot, record: object, width: int = 120, height: int = 40) -> str:
    drawn = view(width, height, zoomed=True, selected=record)
    pane = make_panes()["alerts"]
    lines = pane.head(snapshot, drawn)
    assert all(width_of(line) <= width for line in lines)
    assert len(lines) < height
    return text_of(lines)


def test_what_asks_for_a_look_is_first_then_what_is_quiet_then_the_past() -> None:
    table = AlertsPane().table(alarmed(), view(120, 40))
    assert table is not None
    assert [getattr(r, "fingerprint", "") for r in table.records] == [
        "slow_operation", "high_cpu", "hostile", "disk_nearly_full", "swap_used", "io_stalled",
        "quiet_cache", "server_overloaded", "many_descriptors", "e1", "e2",
    ]  # fmt: skip
    text = listed(alarmed(), view(120, 40))
    assert text.index("io stalled") < text.index(" quiet\n") < text.index("quiet cache")
    assert text.index("many descriptors") < text.index(" before\n") < text.index("peak 350 ms")


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_every_state_has_a_shape_and_a_word_of_its_own(glyphs: Glyphs) -> None:
    marks = [state_mark(found, glyphs) for found in all_alerts() if found.rule != "hostile"]
    assert len({mark.shape for mark in marks}) == len(marks)
    assert len({mark.word for mark in marks}) == len(marks)
    assert all(cell_width(mark.shape) == 1 for mark in marks)


def test_alerts_that_do_not_fit_are_counted_never_dropped_silently() -> None:
    snapshot = replace(
        full_snapshot(),
        alerts=tuple(alert("high_memory", f"s{n}", fingerprint=f"f{n}") for n in range(10)),
    )
    lines = listed(snapshot, view(60, 4)).split("\n")
    assert len(lines) == 4
    assert lines[-1].strip() == "7 more: enter shows all"
    assert "s2:" in lines[2]
    last = listed(snapshot, view(60, 4), index=9)
    assert "s9:" in last
    assert "more" not in last


def test_the_message_and_the_hint_are_shown_where_there_is_room() -> None:
    snapshot = replace(full_snapshot(), alerts=(slow_checkout(),))
    assert "p profiles a worker" in listed(snapshot, view(60, 8))
    short = listed(snapshot, view(60, 2))
    assert "n=860" in short
    assert "p profiles" not in short


def test_a_line_says_what_its_message_leaves_out() -> None:
    bare = replace(slow_checkout(), message="is slow", title="p95")
    assert sentence(bare, False) == "p95 shop/checkout: is slow, 3.1 x its usual 133 ms (n=860)"
    whole = slow_checkout()
    assert sentence(whole, False).endswith(f"shop/checkout: {whole.message}")


def test_what_began_long_ago_is_not_told_as_a_time_of_day() -> None:
    assert "since " in text_of([alert_line(alert("a", "s"), 100, UNICODE, NOW)])
    old = alert("a", "s", since=NOW - 2 * DAY)
    assert text_of([alert_line(old, 100, UNICODE, NOW)]).rstrip().endswith("for 2d 0h")
    assert text_of([alert_line(old, 50, UNICODE, NOW)]).rstrip().endswith(" 2d 0h")
    line = text_of([event_line(past()[2], view(120, 5), NOW)])
    assert "2025-12-2" in line
    assert "1h 30m" in line
    assert "peak 97.2 %" in line


def test_the_detail_tells_all_there_is() -> None:
    text = detail(alarmed(), slow_checkout())
    for part in (
        "CRIT", "slow operation shop/checkout", "value 412 ms over 1 min", "threshold 266 ms",
        "clears at 213 ms", "usual 133 ms, now 3.1 x", "n 860", "confidence high",
        "peak 498 ms", "mean 405 ms of 130", "pid 101 gunicorn 88.5 %",
        "high cpu host", "p profiles a worker", "5 Operations", "p95 ms",
    ):  # fmt: skip
        assert part in text, part


def test_what_the_detail_has_no_room_for_is_counted() -> None:
    whole = detail(alarmed(), slow_checkout(), 60, 60).split("\n")
    lines = detail(alarmed(), slow_checkout(), 60, 12).split("\n")
    hidden = len(whole) - 1 - lines.index("") if "" in lines else None
    assert hidden is None
    assert lines[-1] == " 5 more lines in a taller terminal"
    assert "next       p profiles" in lines[-2]
    assert len(detail(alarmed(), slow_checkout(), 60, 6).split("\n")) == 2


def test_the_detail_links_causes_and_symptoms_both_ways() -> None:
    cause = detail(alarmed(), all_alerts()[6])
    assert "leads to" in cause
    assert "slow operation shop/checkout" in cause
    assert "flapping" in cause
    symptom = detail(alarmed(), slow_checkout())
    assert "because of" in symptom


def test_the_detail_says_who_keeps_it_quiet_and_why_it_is_not_heard() -> None:
    silenced, inhibited, acknowledged, lost = all_alerts()[:4]
    text = detail(alarmed(), silenced)
    assert "1h 0m more" in text
    assert "deploy until noon" in text
    assert "by high cpu host" in detail(alarmed(), inhibited)
    assert "by ann@web-01" in detail(alarmed(), acknowledged)
    assert "/proc/pressure/io is gone" in detail(alarmed(), lost)


def test_the_detail_of_the_past() -> None:
    text = detail(alarmed(), past()[1])
    for part in ("lasted 5m 0s", "peak 350 ms", "mean 300 ms of 300", "gunicorn 95 % of a core"):
        assert part in text, part


def test_an_interval_that_goes_on_is_only_shown_as_its_alert() -> None:
    table = AlertsPane().table(alarmed(), view(120, 40))
    assert table is not None
    assert sum(record.fingerprint == "slow_operation" for record in table.records) == 1
    lone = replace(alarmed(), alerts=())
    assert "goes on" in listed(lone, view(120, 40))


def test_a_filter_finds_subject_state_and_comment() -> None:
    table = AlertsPane().table(alarmed(), view(120, 40))
    assert table is not None

    def found(wanted: str) -> set[str]:
        return {r.fingerprint for r in table.records if wanted in table.text(r).casefold()}

    assert found("checkout") == {"slow_operation"}
    assert found("pending") == {"disk_nearly_full"}
    assert found("deploy until") == {"quiet_cache"}
    assert "e2" in found("crit")


def test_a_small_terminal_has_lines_for_those_that_fire_and_are_not_quiet() -> None:
    lines = compact_alerts(alarmed(), 100, UNICODE)
    assert len(lines) == 3
    assert "CRIT slow operation" in text_of(lines[:1])
    assert "pending" not in text_of(lines)
    assert "silenced" not in text_of(lines)
    quiet = tuple(
        found for found in all_alerts() if found.quiet or found.state is not AlertState.FIRING
    )
    assert compact_alerts(replace(alarmed(), alerts=quiet), 100, UNICODE) == []


def test_the_header_counts_what_fires_where_the_alerts_are_hidden() -> None:
    alone = text_of([header_line(alarmed(), 120, UNICODE, None, (), alone=True)])
    assert "● 1 CRIT  ▲ 2 WARN" in alone
    assert "CRIT" not in text_of([header_line(alarmed(), 120, UNICODE, None, ())])
    assert "CRIT" not in text_of([header_line(full_snapshot(False), 120, UNICODE, None, (), True)])


def test_tabs_are_marked_by_what_fires_there() -> None:
    panes = list(make_panes().values())
    marked = replace(
        full_snapshot(), alerts=(slow_checkout(), alert("evictions", "redis", pane="cache"))
    )
    spans = tabs_line(panes, "resources", marked, 200)
    styles = {before[0]: mark for before, mark in pairwise(spans) if mark[0] == "! "}
    assert styles["Cache"][1] == "warning"
    assert styles["Operations"][1] == "critical"
    assert styles["Alerts"][1] == "critical"
    quiet = replace(marked, alerts=(replace(slow_checkout(), acknowledged_by="ann"),))
    assert AlertsPane().mark(quiet) == (" ", "muted")
    lost = replace(marked, alerts=(replace(slow_checkout(), state=AlertState.NODATA),))
    assert AlertsPane().mark(lost)[0] == "?"


def test_the_heading_counts_each_state() -> None:
    heading = text_of([AlertsPane().heading(alarmed(), view(120, 40))])
    assert heading == "3 firing · 1 pending · 1 recovering · 1 no data · 3 quiet"
    assert text_of([AlertsPane().heading(full_snapshot(False), view(80, 9))]) == "none firing"


def test_outside_text_is_made_safe_everywhere() -> None:
    hostile = replace(
        slow_checkout(), title=HOSTILE, subject=HOSTILE, message=HOSTILE, hint=HOSTILE,
        comment=HOSTILE, reason=HOSTILE, acknowledged_by=HOSTILE, origin=HOSTILE,
        silenced_until=NOW + 60, evidence=(HOSTILE,), inhibited_by=HOSTILE,
    )  # fmt: skip
    snapshot = replace(alarmed(), alerts=(hostile, replace(hostile, silenced_until=0.0)))
    shown = detail(snapshot, hostile) + listed(snapshot, view(80, 30))
    assert shown.replace("\n", "") == printable(shown.replace("\n", ""))
    assert "\\x1b[31m" in shown


@given(st.integers(24, 200), st.sampled_from(all_alerts()), st.sampled_from([UNICODE, ASCII]))
def test_a_line_is_as_wide_as_the_pane(width: int, found: Alert, glyphs: Glyphs) -> None:
    assert width_of(alert_line(found, width, glyphs, NOW)) == width


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from("abc")), min_size=1, max_size=30),
       st.data(), st.integers(3, 20))  # fmt: skip
def test_the_selected_record_is_always_on_the_page_and_no_other_is_lost(
    records: list[tuple[int, str]], data: st.DataObject, room: int
) -> None:
    records.sort(key=lambda record: record[1])
    index = data.draw(st.integers(0, len(records) - 1))
    first = data.draw(st.integers(0, len(records)))
    blocks: Blocks[tuple[int, str]] = Blocks(
        lines=lambda record: [(("x", "text"),)] * record[0], section=lambda record: record[1]
    )
    page = block_page(records, blocks, index, first, room)
    assert len(page.lines) == len(page.rows) <= room
    seen = {row for row in page.rows if row is not None}
    assert index in seen
    assert seen == set(range(page.first, page.first + len(seen)))
    last = "".join(text for text, _ in page.lines[-1])
    below = len(records) - page.first - len(seen)
    assert (f"{below} more" in last) is (below > 0)


@pytest.mark.parametrize(
    ("rule", "subject", "name"),
    [
        ("R03", "shop/checkout", "operation.p95.redis.shop/checkout"),
        ("R07", "shop/checkout", "operation.errors.redis.shop/checkout"),
        ("R10", "host", "cpu.percent"),
        ("R10", "cgroup limit", "cgroup.cpu"),
        ("R09", "cgroup limit", "cgroup.memory"),
        ("R03", "shop/gone", "alert.f"),
        ("own", "web/api-2", "alert.f"),
    ],
)
def test_the_course_of_an_alert(rule: str, subject: str, name: str) -> None:
    found = find_series(alert(rule, subject, fingerprint="f"), full_snapshot())
    assert found[0].name == name
    assert found[-1].name == "alert.f"


def test_the_course_of_any_value_is_drawn_with_its_threshold() -> None:
    found = alert("own", "anything", value=7.0, threshold=5.0, unit="x")
    snapshot = replace(full_snapshot(), alerts=(found,))
    drawn = view(100, 40, zoomed=True, selected=found)
    assert "value in x" not in text_of(AlertsPane().head(snapshot, drawn))
    for tick in range(30):
        drawn.history.record(300.0 + tick, history_values(snapshot))
    text = text_of(AlertsPane().head(snapshot, drawn))
    assert "value in x, dots at the threshold 5" in text


def test_an_alert_without_measured_values_is_told_without_them() -> None:
    unknown = Absent(State.UNAVAILABLE, "no value")
    bare = alert("x", "y", value=unknown, threshold=unknown, hint="", message="broken")
    text = detail(replace(alarmed(), alerts=(bare,)), bare)
    assert "value -" in text
    assert "threshold -" in text
    assert "next" not in text


def test_severity_is_told_apart_for_quiet_ones_too() -> None:
    words = {state_mark(alert("a", "b", level, silenced_until=NOW), UNICODE).word
             for level in (CRITICAL, WARNING)}  # fmt: skip
    assert words == {"silenced CRIT", "silenced WARN"}
