"""Reads Textual's compositor updates, and is itself one that sends only the cells that differ.

Rests on private names of Textual 8.2; importing this module raises ImportError where they are
gone, and `placements` raises AttributeError or TypeError where they have changed their shape.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate

from perftui.tui.cell_grid import CellGrid, Placement
from perftui.tui.terminal_meter import TerminalMeter


def placements(update: RenderableType) -> list[Placement] | None:
    """Strips of an update with their places; None for an update that is not full-screen."""
    if isinstance(update, LayoutUpdate):
        return _layout_placements(update)
    if isinstance(update, ChopsUpdate):
        return _chops_placements(update)
    return None


def _layout_placements(update: LayoutUpdate) -> list[Placement]:
    found: list[Placement] = []
    right = update.region.right
    for y, strips in enumerate(update.strips, update.region.y):
        x = update.region.x
        for strip in strips:
            length = strip.cell_length
            if length:
                found.append((y, x, right, strip))
            x += length
    return found


def _chops_placements(update: ChopsUpdate) -> list[Placement]:
    """The chops that a span touches, whole.

    A chop is as wide as no widget's edge crosses it, so its content is complete when any of it is
    wanted; drawing it whole keeps the strip the same object from frame to frame.
    """
    found: list[Placement] = []
    for y, left, right in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x < right and end > left and strip.cell_length:
                found.append((y, x, end, strip))
    return found


class CellUpdate(CompositorUpdate):
    """An update that draws through a CellGrid when Textual asks for its sequences."""

    def __init__(
        self,
        grid: CellGrid,
        places: Sequence[Placement],
        *,
        colourless: bool,
        meter: TerminalMeter | None = None,
    ) -> None:
        """Draw `places` into `grid`; the meter is for drivers that do not count by themselves."""
        self._grid = grid
        self._places = places
        self._colourless = colourless
        self._meter = meter

    def render_segments(self, console: Console) -> str:
        """Sequences that bring the terminal from the grid's state to this update's."""
        colours = None if self._colourless else console._color_system
        sequences = self._grid.draw(self._places, colours)
        if self._meter is not None:
            self._meter.add(len(sequences.encode("utf-8", "replace")))
        return sequences
