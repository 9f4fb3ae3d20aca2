"""Which record of another pane an alert is about."""

from __future__ import annotations

from collections.abc import Hashable

from perftui.analysis.fullness import mounted
from perftui.snapshot import Absent, Alert, Snapshot
from perftui.tui.panes.alert_series import find_operation


def find_target(alert: Alert, snapshot: Snapshot) -> Hashable | None:
    """Return the key of the row that an alert is about in its pane, None where there is none."""
    if alert.pane == "operations":
        found = find_operation(alert.subject, snapshot)
        return None if found is None else (found[0].origin, found[0].name, found[1])
    if alert.pane == "servers" and not isinstance(snapshot.pools, Absent):
        for pool in snapshot.pools:
            for server in pool.servers:
                if alert.subject == f"{pool.name}/{server.id}":
                    return (pool.name, server.id)
    if alert.pane == "resources":
        return next((row.mount for row in mounted(snapshot) if row.mount == alert.subject), None)
    if alert.pane == "processes" and not isinstance(snapshot.processes, Absent):
        for process in snapshot.processes.rows:
            if alert.subject == f"{process.name} ({process.pid})":
                return (process.pid, process.started)
    return None
