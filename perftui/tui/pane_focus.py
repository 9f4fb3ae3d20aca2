"""Which pane has the focus, and how it gets there."""

from __future__ import annotations

from perftui.tui.snapshot_display import SnapshotDisplay
from perftui.tui.widgets.pane_widget import PaneWidget


class PaneFocus(SnapshotDisplay):
    """The display of snapshots with a focus that goes from pane to pane."""

    @property
    def focused_pane(self) -> PaneWidget:
        """The pane that has the focus, or had it last."""
        focused = self.screen.focused
        if isinstance(focused, PaneWidget):
            return focused
        return self.dashboard.panes[self.dashboard.active]

    def action_focus_pane(self, name: str) -> None:
        """Give a pane the focus; in a zoom or a small terminal it takes the place."""
        dashboard = self.dashboard
        if name not in dashboard.panes or self.screen is not dashboard:
            return
        seen = dashboard.visible_panes()
        dashboard.bring(name)
        if dashboard.zoomed is not None:
            dashboard.zoomed = name
        if name not in dashboard.visible_panes():
            dashboard.chosen_layout = "overview"
        if dashboard.visible_panes() != seen:
            self.rearranged()
        dashboard.panes[name].focus()

    def action_focus_step(self, step: int) -> None:
        """Give the next or previous pane the focus."""
        order = self.dashboard.focus_order()
        active = self.dashboard.active
        index = order.index(active) if active in order else 0
        self.action_focus_pane(order[(index + step) % len(order)])

    def on_pane_widget_focused(self, message: PaneWidget.Focused) -> None:
        """Remember the pane that was focused by a click."""
        if message.pane in self.dashboard.panes:
            self.dashboard.active = message.pane
            self.show_bars()
