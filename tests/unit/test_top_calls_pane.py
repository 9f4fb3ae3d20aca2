"""The pane of top calls as a function of a snapshot and a view."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from sample import full_snapshot
from sample_flames import hostile_profile, shop_profile, waiting_profile

from perftui.history import History
from perftui.profiling.breakdown import By
from perftui.profiling.comparison import Change
from perftui.snapshot import NOT_LOOKED_AT, Absent, Call, Maybe, Snapshot, State, TopCalls
from perftui.sources.source_text import read_source
from perftui.tui.glyphs import ASCII, UNICODE
from perftui.tui.lines import Line, width_of
from perftui.tui.panes.top_calls import TopCallsPane
from perftui.tui.panes.top_calls_detail import call_lines, line_seconds
from perftui.tui.profile_view import FEED_GONE, ProfileView, SourceText, shown_calls
from perftui.tui.table import TableState, arrange
from perftui.tui.view import View


def snapshot_of(calls: Maybe[TopCalls]) -> Snapshot:
    return msgspec.structs.replace(full_snapshot(), top_calls=calls)


def view_of(profile: ProfileView = ProfileView(), **changes: object) -> View:  # noqa: B008
    view = View(
        width=118, height=40, glyphs=UNICODE, history=History(60), interval=1.0, profile=profile
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def text_of(lines: list[Line] | Line) -> str:
    if lines and isinstance(lines, tuple):
        return "".join(text for text, _ in lines)  # type: ignore[misc]
    return "\n".join("".join(text for text, _ in line) for line in lines)  # type: ignore[misc]


def rows(calls: TopCalls, profile: ProfileView) -> list[Call | Change]:
    table = TopCallsPane().table(snapshot_of(calls), view_of(profile))
    assert table is not None
    keys = [table.key(record) for record in table.records]
    assert len(set(keys)) == len(keys), "the cursor could not tell two rows apart"
    return list(table.records)


@pytest.mark.parametrize(
    ("by", "first"),
    [("function", "price_for"), ("line", "price_for"), ("file", "price.py"), ("module", "price")],
)
def test_rows_are_added_up_as_chosen(by: By, first: str) -> None:
    found = rows(shop_profile(), ProfileView(by=by))
    assert isinstance(found[0], Call)
    assert first in found[0].function
    assert sum(row.own_percent for row in found if isinstance(row, Call)) == pytest.approx(100)


def test_each_thread_by_itself() -> None:
    found = rows(shop_profile(), ProfileView(per_thread=True))
    assert {row.thread for row in found if isinstance(row, Call)} == {
        "MainThread",
        "price-refresh",
    }


def test_a_baseline_shows_what_grew() -> None:
    pinned = ProfileView(pinned=shop_profile())
    pane = TopCallsPane()
    view = view_of(pinned)
    table = pane.table(snapshot_of(shop_profile(3.0)), view)
    assert table is not None
    first = arrange(table, TableState(sort="change"), UNICODE).records[0]
    assert first.call.function == "price_for"
    assert first.own_change > 20
    assert "against the baseline" in text_of(pane.heading(snapshot_of(shop_profile(3.0)), view))


def test_a_baseline_without_stacks_does_not_make_everything_grow() -> None:
    pinned = msgspec.structs.replace(shop_profile(), stacks=NOT_LOOKED_AT)
    assert rows(shop_profile(), ProfileView(pinned=pinned)), "functions need no stacks"
    for profile in (
        ProfileView(pinned=pinned, by="line"),
        ProfileView(pinned=pinned, per_thread=True),
    ):
        table = TopCallsPane().table(snapshot_of(shop_profile()), view_of(profile))
        assert table is not None
        assert not table.records
        assert "B twice pins a new one" in text_of(list(table.empty))


def test_one_thread_is_no_threads() -> None:
    calls = shop_profile()
    one = msgspec.structs.replace(calls, threads=calls.threads[:1], samples=1, errors=1)
    pane, view = TopCallsPane(), view_of(zoomed=True)
    shown = text_of(pane.heading(snapshot_of(one), view)) + text_of(
        pane.head(snapshot_of(one), view)
    )
    assert "1 thread " in shown
    assert "1 sample in" in shown
    assert "1 errors" not in shown


def test_what_is_held_still_does_not_move() -> None:
    held = ProfileView(frozen=shop_profile())
    newest = snapshot_of(shop_profile(9.0))
    assert shown_calls(newest, held) == shop_profile()
    assert "frozen" in text_of(TopCallsPane().heading(newest, view_of(held)))


def test_a_feed_that_is_gone_says_so() -> None:
    gone = ProfileView(feed=("shop", "nobody"))
    assert shown_calls(full_snapshot(), gone) == FEED_GONE
    assert FEED_GONE.reason in text_of(TopCallsPane().head(full_snapshot(), view_of(gone)))


def test_zoomed_it_tells_callers_callees_and_quality() -> None:
    snapshot = snapshot_of(shop_profile())
    pane = TopCallsPane()
    table = pane.table(snapshot, view_of())
    assert table is not None
    row = next(row for row in table.records if row.function == "price_for")
    lines = pane.head(snapshot, view_of(zoomed=True, selected=row))
    text = text_of(lines)
    assert "368 samples in 5.0 s" in text
    assert "target paused 1.6 %" in text
    assert "called by" in text
    assert "checkout" in text
    assert "rate_of" in text


@pytest.mark.parametrize(("width", "height"), [(78, 20), (118, 36), (198, 46)])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_nothing_is_wider_than_the_pane_or_leaves_no_table(
    width: int, height: int, glyphs: object, tmp_path: Path
) -> None:
    file = tmp_path / "price.py"
    file.write_text("\n".join(f"line {number} = [/x] \x1b[31m 价" for number in range(200)))
    for calls in (shop_profile(), hostile_profile(), waiting_profile()):
        assert not isinstance(calls.stacks, Absent)
        view = view_of(width=width, height=height, glyphs=glyphs, zoomed=True)
        pane = TopCallsPane()
        snapshot = snapshot_of(calls)
        table = pane.table(snapshot, view)
        assert table is not None
        selected = table.records[0] if table.records else None
        if selected is not None:
            lines = tuple(file.read_text().split("\n"))
            source = SourceText(calls.pid, selected.file, lines)
            view = replace(view, selected=selected, profile=ProfileView(source=source))
        head = pane.head(snapshot, view)
        assert len(head) <= height - 4
        for line in head:
            assert width_of(line) <= width or glyphs is not ASCII
            for text, _ in line:
                assert "\x1b" not in text


def test_lines_of_a_file_count_recursion_once() -> None:
    spent = line_seconds(shop_profile(), "/srv/app/shop/price.py")
    own, total = spent[88]
    assert own == total == pytest.approx(0.92)
    assert spent[93][0] == 0.0
    assert spent[93][1] == pytest.approx(0.53)


def test_without_stacks_it_says_when_there_will_be_some() -> None:
    calls = msgspec.structs.replace(shop_profile(), stacks=NOT_LOOKED_AT)
    table = TopCallsPane().table(snapshot_of(calls), view_of(ProfileView(by="module")))
    assert table is not None
    assert not table.records
    assert "a second" in text_of(list(table.empty))


def test_source_that_cannot_be_read_gives_its_reason(tmp_path: Path) -> None:
    import os

    fifo = tmp_path / "pipe.py"
    os.mkfifo(fifo)
    huge = tmp_path / "huge.py"
    huge.write_bytes(b"#" * (1 << 20) + b"\n")
    good = tmp_path / "good.py"
    good.write_text("x = 1\n")
    pid = os.getpid()
    assert read_source(pid, str(good)) == "x = 1\n"
    for file, reason in (
        ("<string>", "not a file of Python source"),
        ("", "not a file of Python source"),
        (str(tmp_path / "none.py"), "No such file"),
        (str(fifo), "not a regular file"),
        (str(huge), "larger than 1 MiB"),
        (str(tmp_path) + "/a\0.py", "not a file of Python source"),
    ):
        found = read_source(pid, file)
        assert isinstance(found, Absent)
        assert reason in found.reason


def test_a_profile_without_stacks_says_so_instead_of_promising_them() -> None:
    calls = shop_profile()
    call = rows(calls, ProfileView())[0]
    assert isinstance(call, Call)
    none = msgspec.structs.replace(
        calls, stacks=Absent(State.UNAVAILABLE, "cProfile keeps functions, not stacks")
    )
    soon = msgspec.structs.replace(calls, stacks=NOT_LOOKED_AT)
    assert "cProfile keeps functions" in text_of(call_lines(call, none, view_of(), 8))
    assert "gathered from now on" in text_of(call_lines(call, soon, view_of(), 8))
