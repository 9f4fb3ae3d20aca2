"""The main screen: places header, panes and footer by the layout that was chosen."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.geometry import NULL_OFFSET, NULL_SPACING, Region, Size
from textual.layout import ArrangeResult, WidgetPlacement
from textual.layout import Layout as TextualLayout
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from perftui.tui.layouts import (
    COMPACT,
    LAYOUTS,
    SHARING,
    Layout,
    Rect,
    arrange_panes,
    fits,
    seat_partners,
)
from perftui.tui.panes.bars import COMPACT_ALERTS
from perftui.tui.panes.pane import Pane
from perftui.tui.widgets.line_widget import LineWidget
from perftui.tui.widgets.pane_widget import PaneWidget

SMALLEST = Size(20, 6)


class DashboardLayout(TextualLayout):
    """Puts every widget of the dashboard where the plan of its screen says."""

    name = "dashboard"

    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True
    ) -> ArrangeResult:
        """Return a placement for each child that is in the plan."""
        assert isinstance(parent, DashboardScreen)
        parent.occupy(size)
        plan = parent.plan(size)
        placements: ArrangeResult = []
        for child in children:
            region = plan.get(child.id or "")
            if region is not None:
                placements.append(WidgetPlacement(region, NULL_OFFSET, NULL_SPACING, child))
        return placements


class DashboardScreen(Screen[None], inherit_bindings=False):
    """Header, panes and footer; small terminals get gauges, alert lines, tabs and one pane.

    A widget is seen when the plan has a place for it; which ones those are follows from `area`,
    the size that was laid out last.
    """

    class Occupied(Message):
        """The dashboard has another size than before, so other panes may be seen."""

    AUTO_FOCUS = None
    CSS = "DashboardScreen { overflow: hidden; } DashboardScreen > * { width: 1fr; height: 1fr; }"

    def __init__(self, panes: Mapping[str, Pane], layout: str, active: str) -> None:
        super().__init__()
        self._dashboard_layout = DashboardLayout()
        self.panes = {name: PaneWidget(pane) for name, pane in panes.items()}
        self.chosen_layout = layout
        self.zoomed: str | None = None
        self.active = active
        self.front = active
        """The pane asked for last among those that share a place."""
        self.alert_lines = 0
        self.area = Size(0, 0)
        self.header_bar = LineWidget("header-bar")
        self.gauges_bar = LineWidget("gauges-bar")
        self.alerts_bar = LineWidget("alerts-bar")
        self.tabs_bar = LineWidget("tabs-bar")
        self.footer_bar = LineWidget("footer-bar")

    def compose(self) -> ComposeResult:
        """Yield all widgets; the layout decides which of them are seen."""
        yield self.header_bar
        yield self.gauges_bar
        yield self.alerts_bar
        yield self.tabs_bar
        yield from self.panes.values()
        yield self.footer_bar

    @property
    def layout(self) -> TextualLayout:
        """The layout that follows `plan`."""
        return self._dashboard_layout

    @property
    def compact(self) -> bool:
        """Whether one pane is shown at a time."""
        if self.chosen_layout == COMPACT:
            return True
        return self.zoomed is None and not fits(*self.area)

    def visible_panes(self) -> list[str]:
        """Return the panes that are on the screen now, in the order of the focus."""
        if self.zoomed is not None:
            return [self.zoomed]
        if self.compact:
            return [self.active]
        return [slot.pane for _, slots in self._seated().columns for slot in slots]

    def bring(self, pane: str) -> None:
        """Make a pane the active one, in front of the one with which it shares its place."""
        self.active = pane
        if pane in SHARING:
            self.front = pane

    def _seated(self) -> Layout:
        return seat_partners(LAYOUTS[self.chosen_layout], self.front, *self.area)

    def focus_order(self) -> list[str]:
        """Return the panes that the focus visits one after the other."""
        if self.zoomed is not None or self.compact:
            return list(self.panes)
        return self.visible_panes()

    def occupy(self, size: Size) -> None:
        """Take a size before the widgets are placed in it, also while a dialog lies on top."""
        if size == self.area:
            return
        self.area = size
        self._join_frames()
        self.post_message(self.Occupied())

    def rearrange(self) -> None:
        """Place the widgets anew and show only those that have a place."""
        self._join_frames()
        # Asked of a child, since only a child's request makes the screen drop the old places.
        self.header_bar.refresh(layout=True)

    def _join_frames(self) -> None:
        rects = self._rects(self.area)
        for name, widget in self.panes.items():
            rect = rects.get(name)
            widget.zoomed = name == self.zoomed
            widget.above = rect is not None and rect.above
            widget.below = rect is not None and rect.below

    def set_alert_lines(self, count: int) -> bool:
        """Give the alert lines of a small terminal as many rows as there are that fire.

        Returns True when the widgets got new places, so that they must be drawn again.
        """
        count = min(count, COMPACT_ALERTS)
        if count == self.alert_lines:
            return False
        self.alert_lines = count
        if self.compact:
            self.rearrange()
        return self.compact

    def plan(self, size: Size) -> dict[str, Region]:
        """Return the region of every widget that is seen."""
        width, height = size
        plan = {
            "header-bar": Region(0, 0, width, 1),
            "footer-bar": Region(0, height - 1, width, 1),
            "filter-input": Region(0, height - 1, width, 1),
        }
        top = self._top()
        if top > 1:
            plan["gauges-bar"] = Region(0, 1, width, 1)
            if self.alert_lines:
                plan["alerts-bar"] = Region(0, 2, width, self.alert_lines)
            plan["tabs-bar"] = Region(0, 2 + self.alert_lines, width, 1)
        for name, rect in self._rects(size).items():
            plan[name] = Region(rect.x, top + rect.y, rect.width, rect.height)
        return plan

    def _top(self) -> int:
        return 3 + self.alert_lines if self.compact and self.zoomed is None else 1

    def _rects(self, size: Size) -> dict[str, Rect]:
        width, height = size
        area = max(0, height - 1 - self._top())
        alone = self.zoomed or (self.active if self.compact else None)
        if alone is not None:
            return {alone: Rect(0, 0, width, area)}
        return arrange_panes(
            seat_partners(LAYOUTS[self.chosen_layout], self.front, *size), width, area
        )
