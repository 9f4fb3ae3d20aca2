"""The profile as a flame graph and as a call tree, over the whole screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from perftui.history import History
from perftui.profiling.flame import EMPTY_FLAME, flame
from perftui.snapshot import Absent, Maybe, Snapshot, TopCalls
from perftui.tui.actions import ACTIONS, shown_key
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line
from perftui.tui.panes.pane import absent_lines
from perftui.tui.screens.flame_lines import (
    details,
    gathering,
    heading,
    is_gathering,
    keys_line,
    second_line,
)
from perftui.tui.screens.snapshot_screen import SnapshotScreen
from perftui.tui.view import View
from perftui.tui.widgets.flame_graph import Chosen, Direction, FlameGraph, Scrolled
from perftui.tui.widgets.flame_layout import Path
from perftui.tui.widgets.flame_state import FlameState
from perftui.tui.widgets.flame_tree import FlameTree
from perftui.tui.widgets.line_widget import LineWidget
from perftui.tui.widgets.search_input import SearchInput


class Display(Protocol):
    """The app as this screen sees it."""

    history: History
    snapshot: Snapshot | None


class FlameScreen(SnapshotScreen):
    """Flame graph, with the call tree behind a key; drawn anew with every snapshot.

    `calls` picks the profile out of a snapshot, `keys` are the keys that a person has chosen.
    """

    needs_stacks: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"top_calls"})

    CSS = """
    FlameScreen { layout: vertical; background: $background; }
    FlameScreen > LineWidget { width: 1fr; height: 1fr; }
    FlameScreen > #flame-head { height: 2; }
    FlameScreen > #flame-details { height: 2; }
    FlameScreen > #flame-keys { height: 1; }
    FlameScreen > .hidden { display: none; }
    FlameScreen > SearchInput { dock: bottom; width: 1fr; height: 1; border: none; padding: 0 1; }
    FlameScreen > SearchInput:focus { border: none; }
    """
    # A modal screen does not pass keys on to the app: those that mean the same there have its ids.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move('down')", show=False, id="row.down"),
        Binding("up,k", "move('up')", show=False, id="row.up"),
        Binding("left,h", "move('left')", show=False),
        Binding("right,l", "move('right')", show=False),
        Binding("pagedown", "page(1)", show=False, id="row.page_down"),
        Binding("pageup", "page(-1)", show=False, id="row.page_up"),
        Binding("home,g", "edge(-1)", show=False, id="row.first"),
        Binding("end,G", "edge(1)", show=False, id="row.last"),
        Binding("slash", "search", show=False, id="row.filter"),
        Binding("enter", "enter", show=False, id="pane.zoom"),
        Binding("backspace", "out", show=False),
        Binding("escape", "leave", show=False, id="app.back"),
        Binding("tab,shift+tab", "other", show=False),
        Binding("z", "freeze", show=False, id="profile.freeze"),
        Binding("H", "threads", show=False, id="profile.threads"),
        Binding("n", "match(1)", show=False),
        Binding("N", "match(-1)", show=False),
        Binding("q", "close", show=False),
        Binding("F", "close", show=False, id="profile.flame"),
        Binding("ctrl+c", "app.quit", show=False),
    ]

    def __init__(
        self,
        glyphs: Glyphs,
        keys: Mapping[str, str],
        calls: Callable[[Snapshot], Maybe[TopCalls]],
    ) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._pick = calls
        self._calls: Maybe[TopCalls] | None = None
        self._state = FlameState()
        self._graph = FlameGraph(self._state, glyphs)
        self._tree = FlameTree(self._state, glyphs)
        self._head = LineWidget("flame-head")
        self._missing = LineWidget("flame-missing")
        self._details = LineWidget("flame-details")
        self._keys = LineWidget("flame-keys")
        self._as_tree = False
        self._frozen = False
        self._per_thread = False
        self._found: tuple[float, list[Path]] = (0.0, [])
        shown = {spec.id: shown_key(spec, keys) for spec in ACTIONS}
        self._enter = shown["pane.zoom"]
        self._leave = shown["app.back"]
        self._slash = shown["row.filter"]
        self._freeze = shown["profile.freeze"]
        self._threads = shown["profile.threads"]

    def compose(self) -> ComposeResult:
        """Yield the heading, graph and tree in one place, the selected frame and the keys."""
        yield self._head
        yield self._graph
        yield self._tree
        yield self._missing
        yield self._details
        yield self._keys

    def on_mount(self) -> None:
        """Show the newest snapshot there is."""
        snapshot = cast(Display, self.app).snapshot
        if snapshot is not None and self._calls is None:
            self._take(self._pick(snapshot))
        self._arrange()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the profile of a snapshot, unless this screen is frozen."""
        if self._frozen:
            return
        calls = self._pick(snapshot)
        if calls is not self._calls:
            self._take(calls)
            self._arrange()

    def on_chosen(self, message: Chosen) -> None:
        """Draw what was clicked, and open it when it was selected before."""
        message.stop()
        if message.again:
            self.action_enter()
        else:
            self._draw_around()

    def on_scrolled(self, message: Scrolled) -> None:
        """Tell which rows are in view now."""
        message.stop()
        self._draw_around()

    def action_move(self, direction: Direction) -> None:
        """Move the selection."""
        (self._tree if self._as_tree else self._graph).move(direction)
        self._draw_around()

    def action_page(self, step: int) -> None:
        """Move the selection by a page."""
        (self._tree if self._as_tree else self._graph).page(step)
        self._draw_around()

    def action_edge(self, step: int) -> None:
        """Move the selection to the begin or the end."""
        (self._tree if self._as_tree else self._graph).edge(step)
        self._draw_around()

    def action_enter(self) -> None:
        """Zoom into the selected frame, or open or close its row."""
        if self._as_tree:
            self._tree.toggle()
        else:
            box = self._graph.selected
            if box is None:
                return
            self._state.zoom_in(box.path)
            self._graph.show_zoomed()
        self._draw_around()

    def action_out(self) -> None:
        """Return to the zoom before, or close."""
        if self._as_tree or not self._state.zoom_out():
            self.dismiss()
            return
        self._graph.show_zoomed()
        self._draw_around()

    def action_leave(self) -> None:
        """Drop the search, return to the zoom before, or close."""
        if self._state.search:
            self._search("")
        else:
            self.action_out()

    def action_close(self) -> None:
        """Return to the dashboard."""
        self.dismiss()

    def action_other(self) -> None:
        """Show the call tree in the place of the flame graph, or the other way round."""
        self._as_tree = not self._as_tree
        if not self._as_tree:
            self._state.zoom_towards_selected()
        self._arrange()

    def action_freeze(self) -> None:
        """Hold the picture still, or go on with the newest snapshot."""
        self._frozen = not self._frozen
        snapshot = cast(Display, self.app).snapshot
        if not self._frozen and snapshot is not None:
            self._take(self._pick(snapshot))
        self._arrange()

    def action_threads(self) -> None:
        """Give each thread a branch of its own, or merge them."""
        self._per_thread = not self._per_thread
        self._state.forget_paths()
        if self._calls is not None:
            self._take(self._calls)
        self._arrange()

    def action_search(self) -> None:
        """Search functions and files."""
        if not self.query(SearchInput):
            self.mount(
                SearchInput(
                    "flame-search",
                    "search functions and files: enter keeps, escape drops",
                    self._state.search,
                    self._search,
                )
            )

    def action_match(self, step: int) -> None:
        """Select the next frame that was found, the largest one first."""
        paths = self._found[1]
        if not paths:
            return
        selected = self._state.selected
        place = paths.index(selected) + step if selected in paths else 0
        self._state.selected = paths[place % len(paths)]
        if self._as_tree:
            self._tree.reveal()
        else:
            self._state.zoom_towards_selected()
        self._draw()

    def _search(self, text: str) -> None:
        self._state.search_for(text)
        self._found = self._state.matching()
        self._draw()

    def _take(self, calls: Maybe[TopCalls]) -> None:
        self._calls = calls
        root = EMPTY_FLAME if isinstance(calls, Absent) else flame(calls, self._per_thread)
        self._state.take(root)
        self._found = self._state.matching()

    def _arrange(self) -> None:
        """Show graph, tree or the reason for their absence, and draw once it has a size."""
        some = bool(self._state.root.children)
        self._graph.set_class(not some or self._as_tree, "hidden")
        self._tree.set_class(not some or not self._as_tree, "hidden")
        self._missing.set_class(some, "hidden")
        self._details.set_class(not some, "hidden")
        if some and self._as_tree:
            self._tree.reveal()
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if not self._state.root.children:
            self._missing.set_lines(self._missing_lines())
        elif self._as_tree:
            self._tree.redraw()
        else:
            self._graph.redraw()
        self._draw_around()

    def _missing_lines(self) -> list[Line]:
        calls = self._calls
        if calls is None:
            return []
        width, height = self._missing.size
        view = View(
            width, height, self._glyphs, cast(Display, self.app).history, interval=1.0, zoomed=True
        )
        if isinstance(calls, Absent):
            return absent_lines(calls, view)
        if isinstance(calls.stacks, Absent) and not is_gathering(calls.stacks):
            return absent_lines(calls.stacks, view)
        return gathering(calls, self._glyphs, width)

    def _draw_around(self) -> None:
        width = self._head.size.width
        calls = None if isinstance(self._calls, Absent) else self._calls
        badges = (("frozen", "paused"),) * self._frozen
        badges += (("per thread", "badge"),) * self._per_thread
        title = "Call tree" if self._as_tree else "Flame graph"
        body = self._tree if self._as_tree else self._graph
        seconds, paths = self._found
        head = heading(calls, title, badges, self._glyphs, width)
        lines: list[Line] = [head]
        if self._state.root.children:
            found = (seconds, len(paths))
            lines.append(second_line(self._state, found, body.position, self._glyphs, width))
            self._details.set_lines(details(self._state, self._glyphs, width))
        self._head.set_lines(lines)
        self._keys.set_lines([keys_line(self._shown_keys())])

    def _shown_keys(self) -> tuple[tuple[str, str], ...]:
        go_on = (self._freeze, "go on" if self._frozen else "freeze")
        if not self._state.root.children:
            return (go_on, (self._leave, "close")) if self._frozen else ((self._leave, "close"),)
        threads = (self._threads, "merge threads" if self._per_thread else "threads")
        search = (self._slash, "search")
        if self._as_tree:
            return (
                (self._enter, "open/close"), ("tab", "flame graph"), search, go_on, threads,
                (self._leave, "close"),
            )  # fmt: skip
        return (
            (self._enter, "zoom"), ("tab", "call tree"), search, go_on, threads,
            (self._leave, "out" if self._state.zoom else "close"),
        )  # fmt: skip
