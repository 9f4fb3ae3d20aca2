"""The panes of the dashboard: pure functions of a snapshot and a view."""

from __future__ import annotations

from perftui.tui.panes.alerts import AlertsPane
from perftui.tui.panes.cache import CachePane
from perftui.tui.panes.operations import OperationsPane
from perftui.tui.panes.pane import Pane
from perftui.tui.panes.processes import ProcessesPane
from perftui.tui.panes.queries import QueriesPane
from perftui.tui.panes.resources import ResourcesPane
from perftui.tui.panes.servers import ServersPane
from perftui.tui.panes.top_calls import TopCallsPane


def make_panes() -> dict[str, Pane]:
    """Return new panes by id, in the order of their numbers."""
    others: tuple[Pane, ...] = (
        TopCallsPane(),
        CachePane(),
        OperationsPane(),
        ServersPane(),
        QueriesPane(),
        ProcessesPane(),
    )
    resources = ResourcesPane()
    titles = {pane.id: f"{pane.number} {pane.title}" for pane in (resources, *others)}
    panes: tuple[Pane, ...] = (resources, AlertsPane(titles), *others)
    return {pane.id: pane for pane in panes}
