"""The JSON document: the names of a snapshot's fields, plain numbers, and why a number is missing.

A measured value is a number; a value that is missing is null, and `states` has, under the value's
dotted path (list items by index), its state, reason and fix; a limit that is not set has the
state `ok`. An old value stays a number, and `states` has the path of its section with the state
`stale` and the age in seconds. `services` and `operations` hold those of all origins: the state
of such a list names the origin that is missing or old, also where there are items of others.
`alerts` are all that are not ok: those whose `state` is `firing` and that are not `quiet` ask for
somebody to look. Those of severity `info` are `quiet` always.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from perftui.output.operation_rows import SHORTEST, OperationRow, chosen_window, operation_rows
from perftui.snapshot import (
    SCHEMA,
    Absent,
    Alert,
    Maybe,
    Operation,
    ProcessTable,
    Prometheus,
    Quantile,
    Queries,
    Scrape,
    Service,
    Snapshot,
    State,
)

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

SECTION_OF_SOURCE: dict[str, tuple[str, ...]] = {
    "host": (
        "host",
        "resources.cpu",
        "resources.memory",
        "resources.swap",
        "resources.disk",
        "resources.network",
        "resources.pressure",
    ),
    "cgroup": ("resources.cgroup",),
    "processes": ("processes",),
    "file_systems": ("file_systems",),
    "descriptors": ("descriptors",),
    "top_calls": ("top_calls",),
    "redis": ("redis",),
    "redis_detail": ("redis_detail",),
    "services": ("services", "operations"),
    "scrape": ("scrape", "services", "operations"),
    "prometheus": ("prometheus", "services", "operations"),
    "pools": ("pools",),
    "haproxy": ("haproxy",),
    "queries": ("queries",),
}
"""The parts of the document that each source fills."""

_NONE = {
    "cpu_limit": Absent(State.OK, "no CPU limit is set"),
    "memory_limit": Absent(State.OK, "no memory limit is set"),
    "age": Absent(State.NOT_COLLECTED, "no sample yet"),
    "duration": Absent(State.NOT_COLLECTED, "no sample yet"),
}
"""What the absence of a value means where the snapshot itself says that there is none."""

_NOT_SILENCED = Absent(State.OK, "the alert is not silenced")
_NOT_FINITE = Absent(State.UNAVAILABLE, "the measured value is not a finite number")
_NO_BOUND = Absent(State.OK, "the outermost bucket has no bound on this side")


def document(snapshot: Snapshot, window: str = SHORTEST) -> dict[str, object]:
    """Return the snapshot as the JSON document, made of plain dicts, lists and scalars.

    Times are Unix seconds but `time`, which is ISO 8601 in UTC. `window` is that of the
    operations: `10s`, `1min`, `5min` or `all`.
    """
    walker = _Walker()
    result: dict[str, object] = {
        "schema": SCHEMA,
        "time": iso_utc(snapshot.time),
        "host": walker.value(snapshot.host, "host"),
        "resources": walker.value(snapshot.resources, "resources"),
    }
    table = snapshot.processes
    result["processes"] = walker.array(
        table.rows if isinstance(table, ProcessTable) else table, "processes"
    )
    result["process_counts"] = _counts(walker, table)
    result["file_systems"] = walker.value(snapshot.file_systems, "file_systems")
    result["descriptors"] = walker.value(snapshot.descriptors, "descriptors")
    result["top_calls"] = walker.value(snapshot.top_calls, "top_calls")
    result["redis"] = walker.value(snapshot.redis, "redis")
    result["redis_detail"] = walker.value(snapshot.redis_detail, "redis_detail")
    result["services"] = [
        _service(walker, service, window, f"services.{index}")
        for index, service in enumerate(snapshot.all_services)
    ]
    _add_missing_origin(walker, snapshot)
    result["operations"] = [
        _operation_row(walker, row, f"operations.{index}")
        for index, row in enumerate(operation_rows(snapshot, window))
    ]
    result["scrape"] = _scrape(walker, snapshot.scrape)
    result["prometheus"] = _prometheus(walker, snapshot.prometheus)
    result["pools"] = walker.array(snapshot.pools, "pools")
    result["haproxy"] = walker.array(snapshot.haproxy, "haproxy")
    result["queries"] = walker.value(without_points(snapshot.queries), "queries")
    result["alerts"] = [
        _alert(walker, alert, f"alerts.{index}") for index, alert in enumerate(snapshot.alerts)
    ]
    result["alert_events"] = walker.array(snapshot.alert_events, "alert_events")
    result["sources"] = walker.array(snapshot.sources, "sources")
    result["monitor"] = walker.value(snapshot.monitor, "monitor")
    _add_stale(walker.states, snapshot)
    result["states"] = walker.states
    return result


def without_points(queries: Maybe[Queries]) -> Maybe[Queries]:
    """Return queries without their sampled answers, which are for a chart."""
    if isinstance(queries, Absent):
        return queries
    return msgspec.structs.replace(
        queries,
        shapes=tuple(msgspec.structs.replace(shape, points=()) for shape in queries.shapes),
    )


def alert_values(alert: Alert, path: str, states: dict[str, Json]) -> Json:
    """Return one alert as it is under `alerts`; `states` gets what is missing, below `path`."""
    walker = _Walker()
    values = _alert(walker, alert, path)
    states |= walker.states
    return values


def plain_value(value: object, path: str, states: dict[str, Json]) -> Json:
    """Return any part of a snapshot as plain values; `states` gets what is missing in it."""
    walker = _Walker()
    plain = walker.value(value, path)
    states |= walker.states
    return plain


def encode(document: Mapping[str, object], indent: int = 2) -> bytes:
    """Return the document as UTF-8 JSON; `indent` 0 gives one line."""
    line = msgspec.json.encode(document)
    return msgspec.json.format(line, indent=indent) if indent > 0 else line


def iso_utc(unix_time: float) -> str:
    """Return a Unix time as ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(unix_time, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _counts(walker: _Walker, table: ProcessTable | Absent) -> Json:
    if isinstance(table, Absent):
        return walker.value(table, "process_counts")
    counts = walker.value(msgspec.structs.replace(table, rows=()), "process_counts")
    assert isinstance(counts, dict)
    return {name: value for name, value in counts.items() if name != "rows"}


def _service(walker: _Walker, service: Service, window: str, path: str) -> Json:
    chosen = chosen_window(service, window)
    operations = chosen.operations if chosen is not None else ()
    return {
        "name": walker.value(service.name, f"{path}.name"),
        "origin": service.origin,
        "processes": service.processes,
        "hosts": len(service.hosts),
        "host_names": walker.value(service.hosts, f"{path}.host_names"),
        "last_seen": walker.value(service.last_seen, f"{path}.last_seen"),
        "operations": [
            {
                "name": walker.value(operation.name, ""),
                **_numbers(walker, operation, f"{path}.operations.{index}"),
            }
            for index, operation in enumerate(operations)
        ],
        "caches": walker.value(service.caches, f"{path}.caches"),
        "instances": walker.value(service.instances, f"{path}.instances"),
        "notes": walker.value(service.notes, f"{path}.notes"),
    }


def _numbers(walker: _Walker, operation: Operation, path: str) -> dict[str, Json]:
    """Return what schema 1 has told of an operation from its beginning."""
    return {
        "rate": walker.value(operation.rate, f"{path}.rate"),
        "mean": walker.value(operation.mean, f"{path}.mean"),
        "error_ratio": walker.value(operation.error_ratio, f"{path}.error_ratio"),
        "time_share": walker.value(operation.time_share, f"{path}.time_share"),
        "count": operation.count,
    }


def _operation_row(walker: _Walker, row: OperationRow, path: str) -> Json:
    operation = row.operation
    quantiles: dict[str, Json] = {}
    for name, quantile in (("p50", operation.p50), ("p95", operation.p95), ("p99", operation.p99)):
        quantiles |= _quantile(walker, quantile, name, path)
    return {
        "service": walker.value(row.service, ""),
        "origin": row.origin,
        "operation": walker.value(operation.name, ""),
        "window": walker.value(row.window, f"{path}.window"),
        "covered": walker.value(row.covered, f"{path}.covered"),
        **_numbers(walker, operation, path),
        "cancelled": operation.cancelled,
        **quantiles,
    }


def _quantile(walker: _Walker, quantile: Maybe[Quantile], name: str, path: str) -> dict[str, Json]:
    if isinstance(quantile, Absent):
        return {
            name: walker.value(quantile, f"{path}.{name}"),
            f"{name}_interval": walker.value(quantile, f"{path}.{name}_interval"),
        }
    bounds = (
        bound if math.isfinite(bound) else _NO_BOUND for bound in (quantile.low, quantile.high)
    )
    return {
        name: walker.value(quantile.value, f"{path}.{name}"),
        f"{name}_interval": [
            walker.value(bound, f"{path}.{name}_interval.{index}")
            for index, bound in enumerate(bounds)
        ],
    }


def _alert(walker: _Walker, alert: Alert, path: str) -> Json:
    values = walker.value(alert, path)
    assert isinstance(values, dict)
    if not alert.silenced_until:
        values["silenced_until"] = walker.value(_NOT_SILENCED, f"{path}.silenced_until")
    if not alert.changed:
        values["changed"] = values["since"]
    values["quiet"] = alert.quiet
    return values


def _scrape(walker: _Walker, scrape: Maybe[Scrape]) -> Json:
    if isinstance(scrape, Absent):
        return walker.value(scrape, "scrape")
    return {"endpoints": walker.value(scrape.endpoints, "scrape.endpoints")}


def _prometheus(walker: _Walker, server: Maybe[Prometheus]) -> Json:
    if isinstance(server, Absent):
        return walker.value(server, "prometheus")
    bare = msgspec.structs.replace(server, services=(), alerts=())
    found = walker.value(bare, "prometheus")
    assert isinstance(found, dict)
    services = server.services
    count: Maybe[int] = services if isinstance(services, Absent) else len(services)
    found["services"] = walker.value(count, "prometheus.services")
    if isinstance(server.alerts, Absent):
        found["alerts"] = walker.array(server.alerts, "prometheus.alerts")
        return found
    alerts: list[Json] = []
    for index, alert in enumerate(server.alerts):
        path = f"prometheus.alerts.{index}"
        shown = walker.value(msgspec.structs.replace(alert, labels=()), path)
        assert isinstance(shown, dict)
        shown["labels"] = {utf8(name): utf8(value) for name, value in alert.labels}
        alerts.append(shown)
    found["alerts"] = alerts
    return found


def _add_missing_origin(walker: _Walker, snapshot: Snapshot) -> None:
    """Say why nothing reports to Redis, where that is a failure or there is nothing else."""
    absent = snapshot.services
    if not isinstance(absent, Absent):
        return
    if absent.state is not State.NOT_COLLECTED or not snapshot.all_services:
        walker.value(absent, "services")


def _add_stale(states: dict[str, Json], snapshot: Snapshot) -> None:
    for status in snapshot.sources:
        if status.state is not State.STALE:
            continue
        for section in SECTION_OF_SOURCE.get(status.name, ()):
            # A section that is missing altogether has its own state already, which says more.
            if section in states:
                continue
            states[section] = {
                "state": State.STALE.value,
                "reason": utf8(status.reason),
                "fix": utf8(status.fix),
                "age": _finite(status.age),
            }


class _Walker:
    """Turns parts into plain values and collects the states of what is missing on the way."""

    def __init__(self) -> None:
        self.states: dict[str, Json] = {}

    def value(self, value: object, path: str) -> Json:
        if isinstance(value, Absent):
            self.states[path] = {
                "state": value.state.value,
                "reason": utf8(value.reason),
                "fix": utf8(value.fix),
            }
            return None
        if value is None:
            return self.value(_NONE[path.rpartition(".")[2]], path)
        if isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else self.value(_NOT_FINITE, path)
        if isinstance(value, str):
            return utf8(value)
        if isinstance(value, enum.Enum):
            return self.value(value.value, path)
        if isinstance(value, msgspec.Struct):
            return {
                name: self.value(item, f"{path}.{name}")
                for name, item in msgspec.structs.asdict(value).items()
            }
        if isinstance(value, (tuple, list)):
            return [self.value(item, f"{path}.{index}") for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {utf8(str(k)): self.value(v, f"{path}.{k}") for k, v in value.items()}
        raise TypeError(f"{path}: a snapshot holds no {type(value).__name__}")

    def array(self, value: object, path: str) -> list[Json]:
        """Return a list in any case: empty, with its state, where the value is missing."""
        result = self.value(value, path)
        return result if isinstance(result, list) else []


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def utf8(text: str) -> str:
    """Return text that UTF-8 can hold: bytes that were not UTF-8 become backslash escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text
