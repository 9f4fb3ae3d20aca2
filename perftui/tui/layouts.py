"""Layouts as data, and the arithmetic that turns one into rectangles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

COMPACT_WIDTH = 100
COMPACT_HEIGHT = 30
TALL = 45
"""Rows of a terminal from which on panes that share a place are both shown."""
VERY_WIDE = 240
"""Columns of a terminal from which on they are too, in a column of their own."""


@dataclass(frozen=True)
class Slot:
    """A pane in a column: its share of the height and the least it needs, frame included.

    `partner` is a pane that shares the place: a key brings one of the two to the front. `guests`
    come there by key only, also where there is room for both partners: most people have nothing to
    show in them.
    """

    pane: str
    weight: int
    least: int = 4
    most: int = 1000
    partner: str = ""
    guests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Columns from left to right, each with its share of the width."""

    columns: tuple[tuple[int, tuple[Slot, ...]], ...]


@dataclass(frozen=True)
class Rect:
    """Where a pane stands; `above` says that it hangs under another pane's frame."""

    x: int
    y: int
    width: int
    height: int
    above: bool = False
    below: bool = False


_RESOURCES = Slot("resources", 2, 6, 10)
_ALERTS = Slot("alerts", 2, 5, 10)

_GUESTS = ("queries",)

LAYOUTS: Mapping[str, Layout] = {
    "overview": Layout((
        (1, (_RESOURCES, Slot("top_calls", 4),
             Slot("operations", 4, partner="processes", guests=_GUESTS))),
        (1, (_ALERTS, Slot("cache", 4), Slot("servers", 4))),
    )),
    "profile": Layout((
        (3, (Slot("top_calls", 3), Slot("processes", 2))),
        (2, (_RESOURCES, _ALERTS, Slot("operations", 3, guests=_GUESTS))),
    )),
    "cache": Layout((
        (3, (Slot("cache", 4), Slot("operations", 2, partner="processes", guests=_GUESTS))),
        (2, (_RESOURCES, _ALERTS, Slot("top_calls", 3))),
    )),
    "pool": Layout((
        (3, (Slot("servers", 4), Slot("operations", 3, partner="processes", guests=_GUESTS))),
        (2, (_RESOURCES, _ALERTS, Slot("cache", 3))),
    )),
}  # fmt: skip

SHARING = frozenset(
    pane
    for layout in LAYOUTS.values()
    for _, slots in layout.columns
    for slot in slots
    if slot.partner or slot.guests
    for pane in (slot.pane, slot.partner, *slot.guests)
    if pane
)
"""Panes that share a place in some layout."""

COMPACT = "compact"
ORDER = (*LAYOUTS, COMPACT)


def fits(width: int, height: int) -> bool:
    """Return whether there is room for several panes at once."""
    return width >= COMPACT_WIDTH and height >= COMPACT_HEIGHT


def seat_partners(layout: Layout, front: str, width: int, height: int) -> Layout:
    """Return the layout for a terminal of `width` x `height` in which every place has one pane.

    `front` is the partner that was asked for last. Where there is room both are shown: the other
    one below, or in a column of its own.
    """
    columns: list[tuple[int, tuple[Slot, ...]]] = []
    beside: list[Slot] = []
    for weight, slots in layout.columns:
        seated: list[Slot] = []
        for slot in slots:
            guest = front in slot.guests
            if not slot.partner:
                seated.append(replace(slot, pane=front) if guest else slot)
                continue
            own = replace(slot, partner="", pane=front if guest else slot.pane)
            other = replace(slot, pane=slot.partner, partner="")
            if height >= TALL:
                seated += [own, other]
            elif width >= VERY_WIDE:
                seated.append(own)
                beside.append(other)
            else:
                seated.append(other if front == other.pane else own)
        columns.append((weight, tuple(seated)))
    if beside:
        columns.append((max(weight for weight, _ in columns), tuple(beside)))
    return Layout(tuple(columns))


def arrange_panes(layout: Layout, width: int, height: int) -> dict[str, Rect]:
    """Return the rectangle of each pane in an area of `width` x `height` cells.

    Panes in a column share a frame line, so all but the last have no bottom line of their own.
    """
    rects: dict[str, Rect] = {}
    total = sum(weight for weight, _ in layout.columns)
    x = 0
    for index, (weight, slots) in enumerate(layout.columns):
        last_column = index == len(layout.columns) - 1
        column_width = width - x if last_column else width * weight // total
        y = 0
        heights = _share(slots, height)
        for place, (slot, rows) in enumerate(zip(slots, heights, strict=True)):
            rects[slot.pane] = Rect(
                x, y, column_width, rows, above=place > 0, below=place < len(slots) - 1
            )
            y += rows
        x += column_width
    return rects


def _share(slots: tuple[Slot, ...], height: int) -> list[int]:
    """Return heights that add up to `height`: by weight, within least and most."""
    heights = [slot.least for slot in slots]
    room = height - sum(heights)
    open_slots = {index for index, slot in enumerate(slots) if slot.least < slot.most}
    while room > 0 and open_slots:
        wanted = {
            i: height * slots[i].weight / sum(slot.weight for slot in slots) - heights[i]
            for i in open_slots
        }
        index = max(open_slots, key=lambda i: (wanted[i], -i))
        heights[index] += 1
        room -= 1
        if heights[index] >= slots[index].most:
            open_slots.discard(index)
    if room > 0:
        heights[-1] += room
    return heights
