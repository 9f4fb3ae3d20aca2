from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiled_sample import named, profiles

from perftui.profiling.flame import FlameNode, flame
from perftui.snapshot import TopCalls
from perftui.tui.glyphs import ASCII, UNICODE
from perftui.tui.widgets.flame_layout import Path, box_at, box_of, found, key_of, layout
from perftui.tui.widgets.flame_marks import cut_left, label_of, style_of
from perftui.tui.widgets.flame_state import FlameState

FILE = "/srv/shop/shop.py"


def path(*functions: str) -> Path:
    return tuple((function, FILE) for function in functions)


def names(state: FlameState) -> list[str]:
    return [node.place.function for node in state.selected_nodes if node.place]


@given(profiles(), st.integers(1, 200), st.integers(0, 3))
def test_boxes_fill_their_caller_without_overlap(calls: TopCalls, width: int, depth: int) -> None:
    root = flame(calls)
    zoom: list[tuple[str, str]] = []
    node = root
    while node.children and len(zoom) < depth:
        node = node.children[0]
        zoom.append(key_of(node))
    rows = layout(root, tuple(zoom), width)
    assert all(rows[depth][0].width == width for depth in range(len(zoom) + 1))
    for row in rows:
        reached = 0
        for box in row:
            assert box.x >= reached
            assert box.width >= 1
            reached = box.x + box.width
            if box.parent is not None:
                assert box.parent.x <= box.x
                assert reached <= box.parent.x + box.parent.width
            assert box_at(row, box.x) is box
            if box.node is not None:
                assert box_of(rows, box.path) is box
                assert found(root, box.path)[-1] is box.node
        assert reached <= width
    for box in rows[len(zoom) + 1] if len(rows) > len(zoom) + 1 else []:
        if box.node is not None:
            assert abs(box.width - width * box.node.total / node.total) <= 1
    for box in (box for row in rows[len(zoom) :] for box in row if box.node is not None):
        below = [b for row in rows[box.depth + 1 : box.depth + 2] for b in row if b.parent is box]
        frames = [b.node for b in below if b.node is not None]
        hidden = sum(b.hidden for b in below)
        assert box.node is not None
        assert frames == sorted(frames, key=key_of)
        if hidden:
            assert len(frames) + hidden == len(box.node.children)


def test_frames_stand_by_name_and_narrow_ones_share_a_box() -> None:
    root = flame(
        named(("m>zeta", 50.0), ("m>alpha", 28.0), ("m>thin", 0.5), ("m>slim", 0.4), ("m", 21.1))
    )
    rows = layout(root, (), 50)
    shown = [
        (box.node.place.function if box.node and box.node.place else box.hidden, box.x, box.width)
        for box in rows[2]
    ]
    assert shown == [("alpha", 0, 14), ("zeta", 14, 25), (2, 39, 1)]


def test_a_very_deep_recursion_is_laid_out() -> None:
    root = flame(named((">".join(["walk"] * 3000), 1.0)))
    rows = layout(root, (), 80)
    assert len(rows) == 3001
    assert len(rows[-1][0].path) == 3000


def test_zooming_goes_in_and_back_out() -> None:
    state = FlameState()
    state.take(flame(named(("a>b>c", 1.0), ("a>d", 1.0))))
    state.zoom_in(path("a", "b"))
    state.zoom_in(path("a", "b", "c"))
    assert state.zoom_out()
    assert state.zoom == path("a", "b")
    assert state.zoom_out()
    assert state.zoom == ()
    assert not state.zoom_out()


def test_the_zoom_is_left_as_far_as_the_selected_frame_needs() -> None:
    state = FlameState()
    state.take(flame(named(("a>b>c", 1.0), ("a>d", 1.0))))
    state.zoom_in(path("a", "b", "c"))
    state.selected = path("a", "d")
    state.zoom_towards_selected()
    assert state.zoom == path("a")
    state.selected = path("a", "b", "c")
    state.zoom_towards_selected()
    assert state.zoom == path("a")


def test_the_hottest_path_is_open_once_and_stays_as_the_person_left_it() -> None:
    state = FlameState()
    state.take(FlameNode(None, 0.0, 0.0, 0))
    state.take(flame(named(("a>b>c", 3.0), ("a>d>e", 1.0))))
    key = path("a", "b")
    assert state.opened == {key[0]: {key[1]: {}}}
    state.opened.clear()
    state.take(flame(named(("a>b>c", 3.0))))
    assert state.opened == {}


def test_found_time_counts_each_stack_once() -> None:
    state = FlameState()
    state.take(flame(named(("main>Load>load_x>f", 3.0), ("main>g>loader", 1.0), ("main", 4.0))))
    state.search_for("lOAD")
    seconds, paths = state.matching()
    assert seconds == pytest.approx(4.0)
    assert paths == [path("main", "Load"), path("main", "g", "loader")]
    state.search_for("")
    assert state.matching() == (0.0, [])


def test_a_selected_frame_that_was_not_seen_is_still_the_selected_one() -> None:
    state = FlameState()
    state.take(flame(named(("a>b>c", 3.0))))
    state.selected = path("a", "b", "c")
    state.take(flame(named(("a>x", 3.0))))
    assert names(state) == ["a"]
    state.take(flame(named(("a>b>c", 3.0))))
    assert names(state) == ["a", "b", "c"]


def test_kinds_differ_without_colour() -> None:
    calls = named(("f", 1.0), file="/v/lib/python3.11/site-packages/redis/client.py")
    (library,) = flame(calls).children
    (own,) = flame(named(("f", 1.0))).children
    (standard,) = flame(named(("f", 1.0), file="/usr/lib/python3.11/json/decoder.py")).children
    (native,) = flame(named(("f", 1.0), file="libc.so.6")).children
    kinds = (own, library, standard, native)
    assert [label_of(node.place, UNICODE) for node in kinds] == ["f", "+f", "·f", "#f"]
    assert [label_of(node.place, ASCII) for node in kinds] == ["f", "+f", ".f", "#f"]
    assert len({style_of(key_of(node)[1]).removesuffix("-2") for node in kinds}) == 4


@given(st.text(alphabet="ab/", max_size=30), st.integers(2, 20))
def test_a_path_is_cut_to_its_end(text: str, width: int) -> None:
    shown = cut_left(text, width, "…")
    assert text.endswith(shown.lstrip("…"))
    if len(text) <= width:
        assert shown == text
