"""The keys of a Redis as a list: sorted by what is known of them, formatted only where seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from textual import events
from textual.message import Message

from perftui.cache.key_details import GONE, KeyDetail
from perftui.cache.key_listing import ListedKey
from perftui.cache.typed_pattern import shown_key
from perftui.format import age, size
from perftui.text import printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span, fit_line
from perftui.tui.table import Column, TableState, fit_columns, header_line, record_line
from perftui.tui.widgets.line_widget import LineWidget

SORTS = ("", "key", "size", "ttl", "type")
"""What the list is sorted by one after the other; empty is as they were found."""
MOST_SORTED = 10_000
"""Keys up to which the order is kept while more are found."""
MOST_KEY = 100
"""Cells of the column of keys: what is known of a key stands not too far from it."""
LONGEST_KEY = 1_024
"""Bytes of a key that are looked at to show it; no terminal is as wide."""


class Row(NamedTuple):
    """A key with what is known of it; `detail` None: not read."""

    listed: ListedKey
    detail: KeyDetail | None
    ttl: float | None


class KeyList(LineWidget, can_focus=True):
    """Draws keys under a head; the cursor stays on its key when others come."""

    class Moved(Message):
        """Another key was selected, or other rows are in view."""

    def __init__(self, glyphs: Glyphs, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("key-list")
        self._glyphs = glyphs
        self._clock = clock
        self._keys: dict[bytes, ListedKey] = {}
        self._details: dict[bytes, tuple[KeyDetail, float]] = {}
        self._order: list[bytes] = []
        self._in_order = True
        self._index = 0
        self._top = 0
        self._state = TableState()
        self._columns = self._make_columns()

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def selected(self) -> Row | None:
        """The key under the cursor."""
        return self._row(self._order[self._index]) if self._order else None

    @property
    def position(self) -> str:
        """Which rows are in view, empty when all are."""
        rows, page = len(self._order), self._page
        if rows <= page:
            return ""
        return f"rows {self._top + 1:,}-{min(rows, self._top + page):,} of {rows:,}"

    @property
    def ends_soon(self) -> bool:
        """Whether the last row is less than a page away."""
        return self._top + 2 * self._page >= len(self._order)

    @property
    def details_known(self) -> int:
        """Of how many keys type and expiry are known."""
        return len(self._details)

    def unknown(self, most: int, in_view: bool = True) -> list[bytes]:
        """Return keys of which type and expiry were not read, those in view or any."""
        keys = self._order[self._top : self._top + self._page] if in_view else self._order
        found: list[bytes] = []
        for key in keys:
            if key not in self._details:
                found.append(key)
                if len(found) == most:
                    break
        return found

    def take_keys(self) -> None:
        """Have the keys of the keyboard go here."""
        self.focus()

    def clear(self) -> None:
        """Forget all keys."""
        self._keys, self._details, self._order = {}, {}, []
        self._index = self._top = 0
        self._in_order = True

    def add(self, keys: Iterable[ListedKey], final: bool) -> None:
        """Take more keys; `final`: for now no more are being looked for."""
        before = len(self._keys)
        for one in keys:
            if one.key not in self._keys:
                self._order.append(one.key)
            self._keys[one.key] = one
        if len(self._keys) != before:
            self._in_order = not self._state.sort
        elif self._in_order:
            return
        if not self._in_order and (final or len(self._keys) <= MOST_SORTED):
            self._arrange()
        self.redraw()

    def tell(self, details: dict[bytes, KeyDetail]) -> None:
        """Take type and expiry of some keys."""
        now = self._clock()
        for key, detail in details.items():
            if key in self._keys:
                self._details[key] = (detail, now)
        # Rows that jump while one reads them would be worse than an order that waits for `s`.
        self.redraw()

    def drop(self, key: bytes) -> None:
        """Take a key out of the list."""
        if self._keys.pop(key, None) is None:
            return
        self._details.pop(key, None)
        index = self._order.index(key)
        del self._order[index]
        if index < self._index:
            self._index -= 1
        self.redraw()

    def sort_next(self) -> str:
        """Sort by the next column and return it, empty for the order of Redis."""
        order = SORTS[(SORTS.index(self._state.sort) + 1) % len(SORTS)]
        self._state = TableState(sort=order)
        self._arrange()
        self.redraw()
        return order

    def sort_again(self) -> None:
        """Sort by the same column with what has become known since."""
        self._arrange()
        self.redraw()

    def reverse(self) -> None:
        """Turn the order round."""
        self._state = TableState(sort=self._state.sort, reverse=not self._state.reverse)
        self._arrange()
        self.redraw()

    def move(self, rows: int) -> None:
        """Move the cursor by a number of rows."""
        self._go(self._index + rows)

    def page(self, step: int) -> None:
        """Move the cursor by a page."""
        self._go(self._index + step * max(1, self._page - 1))

    def edge(self, step: int) -> None:
        """Select the first or the last key that is loaded."""
        self._go(0 if step < 0 else len(self._order) - 1)

    def redraw(self) -> None:
        """Draw the rows in view, with the cursor among them."""
        width, height = self.size
        if not width or not height:
            return
        self._index = max(0, min(self._index, len(self._order) - 1))
        if self._index < self._top:
            self._top = self._index
        elif self._index >= self._top + self._page:
            self._top = self._index - self._page + 1
        self._top = max(0, min(self._top, len(self._order) - self._page))
        sized = fit_columns(self._columns, width - 2)
        lines: list[Line] = [((" ", "header"), *header_line(sized, self._state, self._glyphs),
                              (" ", "header"))]  # fmt: skip
        for index, key in enumerate(self._order[self._top : self._top + self._page], self._top):
            line: Line = ((" ", "text"), *record_line(self._row(key), sized, self._glyphs))
            if index == self._index:
                style = "selected" if self.has_focus else "selected-unfocused"
                same = tuple((text, style) for text, _ in line)
                line = fit_line(same, width, self._glyphs.ellipsis, style)
            lines.append(line)
        # Without keys it says why there are none, which the screen knows.
        if self._order:
            self.set_lines(lines)
        self.post_message(self.Moved())

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.forget_lines()
        self.redraw()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show whether the keys go here."""
        super().watch_has_focus(has_focus)
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """Select the key that was clicked."""
        if event.y and self._top + event.y - 1 < len(self._order):
            self._go(self._top + event.y - 1)

    def on_mouse_scroll_down(self) -> None:
        """Move the cursor down by the wheel."""
        self.move(3)

    def on_mouse_scroll_up(self) -> None:
        """Move the cursor up by the wheel."""
        self.move(-3)

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def _go(self, index: int) -> None:
        self._index = index
        self.redraw()

    def _row(self, key: bytes) -> Row:
        known = self._details.get(key)
        if known is None:
            return Row(self._keys[key], None, None)
        detail, read = known
        ttl = None if detail.ttl is None else detail.ttl - (self._clock() - read)
        return Row(self._keys[key], detail, ttl)

    def _arrange(self) -> None:
        selected = self._order[self._index] if self._order else b""
        state = self._state
        if not state.sort:
            self._order = list(self._keys)
            if state.reverse:
                self._order.reverse()
        else:
            column = next(one for one in self._columns if one.id == state.sort)
            falling = column.descending is not state.reverse
            self._order.sort(key=self._sort_key(state.sort), reverse=falling)
        self._in_order = True
        if self._order:
            self._index = self._order.index(selected)

    def _sort_key(self, column: str) -> Callable[[bytes], Any] | None:
        """Return what keys are ordered by; it must be quick, for there may be very many."""
        if column == "key":
            return None
        if column == "size":
            sizes = {key: one.size or 0 for key, one in self._keys.items()}
            return sizes.__getitem__
        known = {}
        for key, (detail, read) in self._details.items():
            ends = float("inf") if detail.ttl is None else read + detail.ttl
            known[key] = (0, ends if column == "ttl" else detail.type)
        # What is not known comes last.
        return lambda key: known.get(key, (1,))

    def _make_columns(self) -> tuple[Column[Row], ...]:
        ascii_only = self._glyphs.chart == "ascii"

        def key(row: Row) -> Span:
            gone = row.detail is not None and row.detail.type == GONE
            text = shown_key(row.listed.key[:LONGEST_KEY])
            return (printable(text, ascii_only), "muted" if gone else "text")

        def kind(row: Row) -> Span:
            if row.detail is None:
                return ("", "muted")
            if row.detail.type == GONE:
                return ("gone", "warning")
            return (printable(row.detail.type, ascii_only) or "-", "muted")

        def ttl(row: Row) -> Span:
            if row.detail is None or row.detail.type in (GONE, ""):
                return ("", "muted")
            if row.ttl is None:
                return ("none", "muted")
            return (age(row.ttl), "text") if row.ttl > 0 else ("expired", "warning")

        def bytes_of(row: Row) -> Span:
            known = row.listed.size
            return ("-", "absent") if known is None else (size(known), "text")

        return (
            Column("key", "key", 20, key, None, "left", flex=True, most=MOST_KEY, descending=False),
            Column("type", "type", 8, kind, None, "left", spare=1, descending=False),
            Column("ttl", "expires", 9, ttl, descending=False),
            Column("size", "size", 9, bytes_of),
        )
