"""Where the frames of a flame graph stand: pure arithmetic of terminal cells."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from perftui.profiling.flame import FlameNode

Key: TypeAlias = tuple[str, str]
"""Function and file: what tells the children of one frame apart."""

Path: TypeAlias = tuple[Key, ...]
"""The keys from the outermost frame on; empty for the root, which is everything."""


class Box:
    """A frame on the screen, or what is too narrow to be one; `x` and `width` are cells.

    `hidden` is how many frames share a box that has no node of its own.
    """

    __slots__ = ("depth", "hidden", "node", "parent", "width", "x")

    def __init__(
        self,
        x: int,
        width: int,
        depth: int,
        parent: Box | None,
        node: FlameNode | None,
        hidden: int = 0,
    ) -> None:
        self.x = x
        self.width = width
        self.depth = depth
        self.parent = parent
        self.node = node
        self.hidden = hidden

    @property
    def path(self) -> Path:
        """The path of the frame, or of the parent of the frames that share the box."""
        keys: list[Key] = []
        box: Box | None = self
        while box is not None and box.depth:
            if box.node is not None:
                keys.append(key_of(box.node))
            box = box.parent
        return tuple(reversed(keys))


def key_of(node: FlameNode) -> Key:
    """Return what tells a frame from its siblings."""
    place = node.place
    return ("", "") if place is None else (place.function, place.file)


def child_of(node: FlameNode, key: Key) -> FlameNode | None:
    """Return the child with a key, None where it was not seen."""
    return next((child for child in node.children if key_of(child) == key), None)


def found(root: FlameNode, path: Path) -> list[FlameNode]:
    """Return the frames on a path as far as they were seen, the root first."""
    nodes = [root]
    for key in path:
        child = child_of(nodes[-1], key)
        if child is None:
            break
        nodes.append(child)
    return nodes


def layout(root: FlameNode, zoom: Path, width: int) -> list[list[Box]]:
    """Return the boxes of each depth, root first; what leads to the zoomed frame is full width.

    Siblings stand in the order of their names, so that they keep their places when their shares
    change; what is narrower than a cell is one box behind them, and own time is free space.
    """
    ancestors = found(root, zoom)
    rows: list[list[Box]] = []
    parent: Box | None = None
    for depth, node in enumerate(ancestors):
        parent = Box(0, width, depth, parent, node)
        rows.append([parent])
    row = rows[-1]
    while row:
        row = [child for box in row for child in _children(box)]
        if row:
            rows.append(row)
    return rows


def _children(box: Box) -> Iterator[Box]:
    node = box.node
    if node is None or node.total <= 0 or not node.children:
        return
    cells = box.width / node.total
    wide = [child for child in node.children if child.total * cells >= 1]
    wide.sort(key=key_of)
    depth = box.depth + 1
    passed = 0.0
    start = 0
    for child in wide:
        passed += child.total * cells
        end = min(box.width, math.floor(passed + 0.5))
        if end > start:
            yield Box(box.x + start, end - start, depth, box, child)
        start = end
    hidden = len(node.children) - len(wide)
    if hidden and start < box.width:
        passed = sum(child.total for child in node.children) * cells
        end = min(box.width, max(start + 1, math.floor(passed + 0.5)))
        yield Box(box.x + start, end - start, depth, box, None, hidden)


def box_of(rows: Sequence[Sequence[Box]], path: Path) -> Box | None:
    """Return the box of a path, or of its innermost frame that has one; None without rows."""
    if not rows:
        return None
    box = rows[0][0]
    for key, row in zip(path, rows[1:], strict=False):
        below = next(
            (b for b in row if b.parent is box and b.node is not None and key_of(b.node) == key),
            None,
        )
        if below is None:
            break
        box = below
    return box


def box_at(row: Sequence[Box], x: int) -> Box | None:
    """Return the box of a row that covers a cell."""
    return next((box for box in row if box.x <= x < box.x + box.width), None)
