"""What a person has chosen in a flame graph or call tree; it outlives every snapshot."""

from __future__ import annotations

from typing import TypeAlias

from perftui.profiling.flame import EMPTY_FLAME, FlameNode
from perftui.tui.widgets.flame_layout import Key, Path, found, key_of

Opened: TypeAlias = dict[Key, "Opened"]
"""The open frames below a frame, each with those below it."""

HOT_DEPTH = 400
"""How deep the hottest path is opened at first; deeper ones are endless recursion."""


class FlameState:
    """The tree, and the selected, the zoomed, the searched and the open frames of it.

    Frames are remembered by their path, so that they are still the ones when their shares, or the
    order of their siblings, have changed.
    """

    def __init__(self) -> None:
        self.root: FlameNode = EMPTY_FLAME
        self.selected: Path = ()
        self.zoom: Path = ()
        self.opened: Opened = {}
        self.search = ""
        self._before: list[Path] = []
        self._hot = False
        self._matching: dict[Key, bool] = {}

    def take(self, root: FlameNode) -> None:
        """Go on with a new tree; the hottest path of the first one is opened."""
        self.root = root
        if self._hot or not root.children:
            return
        self._hot = True
        node, opened = root, self.opened
        for _ in range(HOT_DEPTH):
            if not node.children:
                break
            node = node.children[0]
            if node.children:
                opened = opened.setdefault(key_of(node), {})

    @property
    def selected_nodes(self) -> list[FlameNode]:
        """The frames to the selected one as far as they were seen, the root first."""
        return found(self.root, self.selected)

    def zoom_in(self, path: Path) -> None:
        """Zoom into a frame, or out to one that leads to the zoomed one."""
        if path != self.zoom:
            self._before.append(self.zoom)
            self.zoom = path
        self.selected = path

    def zoom_out(self) -> bool:
        """Return to the zoom before; False when there was none."""
        if not self.zoom:
            return False
        self.zoom = self._before.pop() if self._before else ()
        return True

    def zoom_towards_selected(self) -> None:
        """Zoom out until the selected frame is inside of what is zoomed, or on the way to it."""
        shared = 0
        for ours, theirs in zip(self.zoom, self.selected, strict=False):
            if ours != theirs:
                break
            shared += 1
        if shared < min(len(self.zoom), len(self.selected)):
            self.zoom = self.zoom[:shared]
            self._before = [path for path in self._before if path == self.zoom[: len(path)]]

    def forget_paths(self) -> None:
        """Select and open anew, because the paths to the frames are others from now on."""
        self.selected = self.zoom = ()
        self._before.clear()
        self.opened.clear()
        self._hot = False

    def search_for(self, text: str) -> None:
        """Search functions and files for a text, whatever its case; empty for no search."""
        self.search = text.casefold()
        self._matching.clear()

    def matches(self, node: FlameNode) -> bool:
        """Whether a frame has the text that is searched for."""
        if not self.search or node.place is None:
            return False
        key = key_of(node)
        known = self._matching.get(key)
        if known is None:
            if len(self._matching) > 20_000:
                self._matching.clear()
            known = any(self.search in part.casefold() for part in key)
            self._matching[key] = known
        return known

    def matching(self) -> tuple[float, list[Path]]:
        """Return the seconds of all frames that match, each stack once, and the outermost ones.

        The largest comes first.
        """
        if not self.search:
            return 0.0, []
        hits: list[tuple[float, Path]] = []
        # Leads back to the root, because a path for every frame of a deep tree is long to make.
        todo: list[tuple[FlameNode, int]] = [(self.root, -1)]
        order: list[tuple[FlameNode, int]] = []
        while todo:
            node, above = todo.pop()
            order.append((node, above))
            here = len(order) - 1
            if self.matches(node):
                keys: list[Key] = []
                while here > 0:
                    keys.append(key_of(order[here][0]))
                    here = order[here][1]
                hits.append((node.total, tuple(reversed(keys))))
            else:
                todo.extend((child, here) for child in node.children)
        hits.sort(key=lambda hit: (-hit[0], hit[1]))
        return sum(hit[0] for hit in hits), [path for _, path in hits]
