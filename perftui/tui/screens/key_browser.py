"""The keys of a Redis over the whole screen: looked through, looked into, deleted one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from perftui.cache.invalidation import InvalidationResult
from perftui.cache.typed_pattern import pattern_bytes, typed_key
from perftui.snapshot import Absent, Maybe, State
from perftui.tui.actions import ACTIONS, shown_key
from perftui.tui.glyphs import Glyphs
from perftui.tui.jobs import Job
from perftui.tui.key_browsing import MOST_KEYS, PAGE, KeyBrowsing, KeySearch
from perftui.tui.key_types import KeyTypes
from perftui.tui.screens.delete_key import DeleteKeyScreen
from perftui.tui.screens.key_browser_lines import (
    Notice,
    Shown,
    deletion_notice,
    detail_lines,
    empty_lines,
    facts_of,
    heading,
    keys_line,
    second_line,
    sort_notice,
)
from perftui.tui.screens.key_preview import Display, KeyPreviewScreen
from perftui.tui.view import View
from perftui.tui.widgets.key_list import KeyList
from perftui.tui.widgets.line_widget import LineWidget
from perftui.tui.widgets.search_input import SearchInput

POLL = 0.1
SETTLE = 0.3
"""Seconds of no typing and no scrolling before Redis is asked."""
PATTERN_HELP = "pattern of Redis: user:*  *cart*  price:[0-9]  \\xff is a byte"
SHOWN_IDS = ("pane.zoom", "row.filter", "row.sort", "row.copy", "cache.invalidate", "cache.undo",
             "app.back")  # fmt: skip


class KeyBrowserScreen(ModalScreen[None]):
    """Lists keys by pattern; what it takes more than names and sizes is asked for by a key.

    `pattern` is as it is typed. Type and expiry are read of the keys in view, and what Redis
    counted for that is taken out of the hit ratios. `keys` are the keys a person has chosen.
    """

    CSS = """
    KeyBrowserScreen { layout: vertical; background: $background; }
    KeyBrowserScreen > LineWidget { width: 1fr; height: 1fr; }
    KeyBrowserScreen > #browser-head { height: 2; }
    KeyBrowserScreen > #browser-details { height: 4; }
    KeyBrowserScreen > #browser-keys { height: 1; }
    KeyBrowserScreen > SearchInput {
        dock: bottom; width: 1fr; height: 1; border: none; padding: 0 1;
    }
    KeyBrowserScreen > SearchInput:focus { border: none; }
    """
    # A modal screen does not pass keys on to the app: those that mean the same there have its ids.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", show=False, id="row.down"),
        Binding("up,k", "move(-1)", show=False, id="row.up"),
        Binding("pagedown,space", "page(1)", show=False, id="row.page_down"),
        Binding("pageup", "page(-1)", show=False, id="row.page_up"),
        Binding("home,g", "edge(-1)", show=False, id="row.first"),
        Binding("end,G", "edge(1)", show=False, id="row.last"),
        Binding("slash", "search", show=False, id="row.filter"),
        Binding("s", "sort", show=False, id="row.sort"),
        Binding("S", "reverse", show=False, id="row.reverse"),
        Binding("y", "copy", show=False, id="row.copy"),
        Binding("enter", "preview", show=False, id="pane.zoom"),
        Binding("v", "preview", show=False),
        Binding("a", "all", show=False),
        Binding("t", "types", show=False),
        Binding("r", "again", show=False),
        Binding("x,delete", "delete", show=False),
        Binding("i", "invalidate", show=False, id="cache.invalidate"),
        Binding("u", "undo", show=False, id="cache.undo"),
        Binding("escape", "leave", show=False, id="app.back"),
        Binding("q", "close", show=False),
        Binding("ctrl+c", "app.quit", show=False),
    ]

    def __init__(
        self,
        browsing: KeyBrowsing,
        glyphs: Glyphs,
        pattern: str = "*",
        keys: Mapping[str, str] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._browsing = browsing
        self._glyphs = glyphs
        self._first = pattern or "*"
        self._pattern = self._first
        self._remapped = keys or {}
        self._wall = wall
        self._list = KeyList(glyphs)
        self._types = KeyTypes(browsing, self._list)
        self._head = LineWidget("browser-head")
        self._details = LineWidget("browser-details")
        self._keys = LineWidget("browser-keys")
        self._search: KeySearch | None = None
        self._typed_at: float | None = None
        self._moved_at = self._tick_at = 0.0
        self._deleting: Job[Maybe[InvalidationResult]] | None = None
        self._doomed = b""
        self._notice: Notice | None = None
        self._stale = False
        self._shown = {
            spec.id: shown_key(spec, self._remapped) for spec in ACTIONS if spec.id in SHOWN_IDS
        }

    def compose(self) -> ComposeResult:
        """Yield the heading, the keys, the selected one, and what can be pressed."""
        yield self._head
        yield self._list
        yield self._details
        yield self._keys

    def on_mount(self) -> None:
        """Find the first keys."""
        self._list.focus()
        self.set_interval(POLL, self._poll)
        self.call_after_refresh(self._begin)

    def on_unmount(self) -> None:
        """Ask Redis for nothing more."""
        if self._search is not None:
            self._search.close()
        self._browsing.close()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    def on_screen_resume(self) -> None:
        """Look again after a dialog that may have changed keys."""
        if self._stale:
            self._stale = False
            self._begin()

    def on_key_list_moved(self, message: KeyList.Moved) -> None:
        """Tell about the key that is selected now."""
        message.stop()
        self._draw_around()

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._turn(lambda: self._list.move(rows))

    def action_page(self, step: int) -> None:
        """Move the cursor by a page."""
        self._turn(lambda: self._list.page(step))

    def action_edge(self, step: int) -> None:
        """Move the cursor to the first key, or to the last one that is loaded."""
        self._turn(lambda: self._list.edge(step))

    def action_search(self) -> None:
        """Type another pattern."""
        if self._browsing.absent is None and not self.query(SearchInput):
            typed = "" if self._pattern == "*" else self._pattern
            self.mount(
                SearchInput("key-pattern", PATTERN_HELP, typed, self._type, self._list.take_keys)
            )

    def action_sort(self) -> None:
        """Sort what is loaded by the next column."""
        column = self._list.sort_next()
        self._say(sort_notice(column, self._list.details_known, len(self._list)))

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._list.reverse()

    def action_copy(self) -> None:
        """Copy the pattern that finds exactly the selected key."""
        row = self._list.selected
        if row is not None:
            cast(Display, self.app).copy_to_clipboard(typed_key(row.listed.key))
            self._say("copied the key to the clipboard, as it is typed in a pattern", "ok")

    async def action_preview(self) -> None:
        """Show what the selected key holds."""
        row = self._list.selected
        if row is not None:
            await self.app.push_screen(
                KeyPreviewScreen(
                    self._browsing, row.listed.key, self._glyphs, self._remapped, self._wall
                )
            )

    def action_all(self) -> None:
        """Find all keys, up to the most that are kept."""
        if self._search is not None:
            self._notice = None
            self._search.load(MOST_KEYS)
            self._draw_around()

    def action_types(self) -> None:
        """Read type and expiry of all keys that are loaded, or stop that."""
        if self._types.asked:
            self._types.stop()
        elif not self._types.ask_all():
            self._say("type and expiry of all loaded keys are known")

    def action_again(self) -> None:
        """Look for the keys anew."""
        self._notice = None
        self._begin()

    async def action_delete(self) -> None:
        """Ask whether the selected key shall be deleted."""
        row = self._list.selected
        if row is None or self._deleting is not None or not self._may("delete keys"):
            return
        facts = facts_of(row, self._glyphs)
        await self.app.push_screen(
            DeleteKeyScreen(
                row.listed.key, facts, self._browsing.address, self._glyphs, self._delete
            )
        )

    async def action_invalidate(self) -> None:
        """Open the dialog that deletes all keys of the pattern."""
        if not self._may("delete keys"):
            return
        from perftui.tui.invalidation_jobs import InvalidationJobs
        from perftui.tui.screens.invalidate import InvalidateScreen

        self._stale = True
        jobs = InvalidationJobs(self._browsing.url)
        await self.app.push_screen(InvalidateScreen(jobs, self._glyphs, self._pattern, self._wall))

    async def action_undo(self) -> None:
        """Open the dialog that puts deleted keys back."""
        if not self._may("put keys back"):
            return
        from perftui.tui.screens.undo import UndoScreen
        from perftui.tui.undo_jobs import UndoJobs

        self._stale = True
        jobs = UndoJobs(self._browsing.url)
        await self.app.push_screen(UndoScreen(jobs, self._glyphs, wall=self._wall))

    def action_leave(self) -> None:
        """Stop what runs, return to the first pattern, or close."""
        if self._types.asked:
            self._types.stop()
        elif self._search is not None and self._search.running:
            self._search.cancel()
        elif self._pattern != self._first:
            self._pattern = self._first
            self._begin()
        else:
            self.dismiss()
            return
        self._draw_around()

    def action_close(self) -> None:
        """Return to the dashboard."""
        self.dismiss()

    def _may(self, what: str) -> bool:
        if self._browsing.absent is not None:
            return False
        if not self._browsing.allowed:
            self._say(f"read-only: start with --allow-actions to {what}", "warning")
        return self._browsing.allowed

    def _say(self, text: str, style: str = "accent") -> None:
        self._notice = (text, style)
        self._draw_around()

    def _turn(self, move: Callable[[], None]) -> None:
        self._moved_at = time.monotonic()
        self._notice = None
        move()
        search = self._search
        if search is not None and self._list.ends_soon:
            # A person who scrolls on tries again what failed or was broken off.
            search.load(PAGE)

    def _type(self, text: str) -> None:
        if (text or self._first) != self._pattern:
            self._pattern = text or self._first
            self._typed_at = time.monotonic()

    def _begin(self) -> None:
        """Look for the keys of the pattern from the start."""
        self._typed_at = None
        self._types.forget()
        if self._search is not None:
            self._search.close()
            self._search = None
        self._list.clear()
        if self._browsing.absent is None:
            self._search = self._browsing.search(pattern_bytes(self._pattern))
            self._search.load(max(PAGE, 2 * self.size.height))
        self._draw()

    def _poll(self) -> None:
        now = time.monotonic()
        if self._typed_at is not None and now - self._typed_at >= SETTLE:
            self._begin()
        search = self._search
        if search is not None:
            ended = not search.running
            fresh = search.take()
            if fresh or ended:
                self._list.add(fresh, ended)
        self._types.poll(resting=now - self._moved_at >= SETTLE)
        self._follow_deletion()
        if now >= self._tick_at:
            self._tick_at = now + 1.0
            # Lives that are left become shorter.
            self._list.redraw()
        self._draw_around()

    def _delete(self, key: bytes) -> None:
        self._doomed = key
        self._deleting = self._browsing.delete(key)
        self._say("deleting it")

    def _follow_deletion(self) -> None:
        job = self._deleting
        if job is None or not job.done:
            return
        self._deleting = None
        result = job.result
        if isinstance(result, InvalidationResult):
            if not (result.error or result.denied):
                self._list.drop(self._doomed)
            self._notice = deletion_notice(result, self._shown["cache.undo"])
        else:
            self._notice = result or Absent(State.UNAVAILABLE, job.error)

    # What is drawn

    def _now(self) -> Shown:
        search = self._search
        return Shown(
            glyphs=self._glyphs,
            pattern=self._pattern,
            progress=None if search is None else search.progress,
            running=search is not None and search.running,
            cancelled=search is not None and search.cancelled,
            position=self._list.position,
            lookups=self._browsing.lookups,
            asked=self._types.asked,
        )

    @property
    def _problem(self) -> Absent | None:
        return self._browsing.absent or (None if self._search is None else self._search.problem)

    def _view(self, widget: LineWidget) -> View:
        width, height = widget.size
        history = cast(Display, self.app).history
        return View(width, height, self._glyphs, history, interval=1.0)

    def _draw(self) -> None:
        self._list.redraw()
        self._draw_around()

    def _draw_around(self) -> None:
        width = self._head.size.width
        if not width:
            return
        now = self._now()
        allowed = self._browsing.allowed
        self._head.set_lines([
            heading(now, self._browsing.address, allowed, width), second_line(now, width),
        ])  # fmt: skip
        if not len(self._list):
            self._list.set_lines(empty_lines(now, self._problem, self._view(self._list)))
        notice: Notice | None = self._notice
        if notice is None and len(self._list):
            # Without any key the list itself says it.
            refused = "" if now.progress is None else now.progress.refused
            notice = self._problem or self._types.problem
            if notice is None and refused:
                notice = self._browsing.explained(refused)
        row = self._list.selected
        self._details.set_lines(detail_lines(row, notice, self._view(self._details)))
        some = len(self._list) > 0
        self._keys.set_lines([keys_line(self._shown, some, allowed, now, width)])
