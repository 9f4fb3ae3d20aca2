"""Which record of another pane an alert is about."""

from __future__ import annotations

from collections.abc import Hashable

from perftui.analysis.alerting.rules.pool_facts import eligible, pool_subject
from perftui.analysis.fullness import mounted
from perftui.snapshot import Absent, Alert, Snapshot
from perftui.tui.panes.alert_series import find_namespace, find_operation
from perftui.tui.panes.cache_rows import SERVER_KEY, missed, tier_key
from perftui.tui.server_marks import ServerKey


def find_target(alert: Alert, snapshot: Snapshot) -> Hashable | None:
    """Return the key of the row that an alert is about in its pane, None where there is none."""
    if alert.pane == "operations":
        found = find_operation(alert.subject, snapshot)
        return None if found is None else (found[0].origin, found[0].name, found[1])
    if alert.pane == "servers":
        return find_server(alert.subject, snapshot)
    if alert.pane == "resources":
        return next((row.mount for row in mounted(snapshot) if row.mount == alert.subject), None)
    if alert.pane == "cache":
        return find_cache(alert.subject, snapshot)
    if alert.pane == "queries" and not isinstance(snapshot.queries, Absent):
        for shape in snapshot.queries.shapes:
            if alert.subject in (shape.endpoint, shape.id, f"{shape.service}/{shape.endpoint}"):
                return (shape.service, shape.id)
    if alert.pane == "processes" and not isinstance(snapshot.processes, Absent):
        for process in snapshot.processes.rows:
            if alert.subject == f"{process.name} ({process.pid})":
                return (process.pid, process.started)
    return None


def find_server(subject: str, snapshot: Snapshot) -> Hashable | None:
    """Return the key of the server that an alert calls `pool/server`.

    For a whole pool it is the first of its servers that is not well.
    """
    for pool in snapshot.all_pools:
        name = pool_subject(pool)
        for server in sorted(pool.servers, key=eligible):
            if subject in (name, f"{name}/{server.id}"):
                return ServerKey(pool.origin, pool.endpoint, pool.name, server.id)
    return None


def find_cache(subject: str, snapshot: Snapshot) -> Hashable | None:
    """Return the key of the cache that an alert calls `service cache namespace`, or of the server.

    For a service, or one of its processes, it is the namespace that misses most.
    """
    named = find_namespace(subject, snapshot)
    if named is not None:
        return tier_key(*named, "overall")
    whose = [
        (missed(namespace), service, namespace)
        for service in snapshot.all_services
        for namespace in service.caches
        if subject == service.name
        or subject.startswith((f"{service.name} ", f"{service.name}/"))
        or any(process.instance == subject for process in namespace.processes)
    ]
    if whose:
        _, service, namespace = max(whose, key=lambda entry: entry[0])
        return tier_key(service, namespace.namespace, "overall")
    redis = snapshot.redis
    if not isinstance(redis, Absent) and subject == redis.address:
        return SERVER_KEY
    return None
