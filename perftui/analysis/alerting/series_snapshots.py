"""Makes snapshots of series: the parts that the given names are of, and nothing else.

What the series do not give is absent where a snapshot can say so; a number that cannot be absent
is 0, but an operation has CALLS calls, or rules that need a number of them would say nothing.
"""

from __future__ import annotations

import contextlib
import enum
import types
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, Union, get_args, get_origin

import msgspec

from perftui.analysis.alerting.language.names import sources_of
from perftui.analysis.alerting.language.selection import WINDOWS
from perftui.analysis.alerting.language.terms import Term
from perftui.analysis.alerting.language.tree import Number, Path, Step
from perftui.analysis.alerting.series_notation import Sample
from perftui.quantities import quantity
from perftui.snapshot import (
    Absent,
    Operation,
    OperationWindow,
    Part,
    Process,
    ProcessTable,
    Quantile,
    Resources,
    Service,
    Snapshot,
    SourceStatus,
    State,
)

CALLS = 1000
BEGIN = 1_700_000_000.0
"""Unix time of the first tick."""
NOT_GIVEN = Absent(State.NOT_COLLECTED, "no series gives it")
REFUSED = ("sources", "alerts", "scrape", "prometheus")
"""First names that a series cannot have; an outage of a source is written as one."""

Node: TypeAlias = dict[Any, Any]


class _MissingError(Exception):
    """A value that a part cannot be without is missing, and so is the part."""


class SeriesError(ValueError):
    """A series is of a name that cannot be given in a test; the message says why."""


def check_path(path: Path, term: Term) -> None:
    """Raise SeriesError for a path, of which `term` is, that does not name one single value."""
    root = path.steps[0].name
    if root in REFUSED:
        hint = "; write [[outage]]" if root == "sources" else ""
        raise SeriesError(f"{root} cannot be given in a test{hint}")
    if root == "services" and len(path.steps) > 1 and path.steps[1].name == "operations":
        raise SeriesError('write operations[service="...", operation="..."]')
    if root == "services" and path.steps[-1].name == "hosts":
        raise SeriesError("services.hosts cannot be given in a test")
    for step in path.steps:
        for matcher in step.matchers:
            if matcher.operator != "=":
                raise SeriesError(f"{matcher.name} must be given with = in a test")
    chosen = sum(bool(step.matchers) for step in path.steps)
    if len(term.dims) > chosen:
        raise SeriesError('it must say which element, such as [name="..."], or [0] of numbers')
    given = {matcher.name for matcher in path.steps[0].matchers}
    if root == "operations" and not {"service", "operation"} <= given:
        raise SeriesError('write operations[service="...", operation="..."]')


def snapshot_at(
    tick: int, interval: float, values: Mapping[Path, Sample], lost: Iterable[str]
) -> Snapshot:
    """Return the snapshot of a tick; `lost` are the sources that give nothing at it."""
    gone = frozenset(lost)
    tree: Node = {}
    operations: list[tuple[Path, Sample]] = []
    names: set[str] = set()
    for path, sample in values.items():
        sources = sources_of(tuple(step.name for step in path.steps))
        sources = frozenset({"services"}) if "services" in sources else sources
        names |= sources
        if sources & gone:
            continue
        if path.steps[0].name == "operations":
            operations.append((path, sample))
        else:
            _put(tree, path, sample)
    parts: dict[str, Any] = {}
    for name, node in tree.items():
        with contextlib.suppress(_MissingError):
            parts[name] = _root(name, node)
    table = parts.pop("process_counts", None)
    if isinstance(table, ProcessTable):
        rows = parts.get("processes")
        kept = rows.rows if isinstance(rows, ProcessTable) else ()
        parts["processes"] = msgspec.structs.replace(table, rows=kept)
    if operations:
        parts["services"] = _with_operations(parts.get("services", ()), operations)
    time = tick * interval
    return Snapshot(
        version=tick + 1,
        time=BEGIN + time,
        monotonic=1000.0 + time,
        sources=tuple(_status(name, name in gone, interval, tick) for name in sorted(names | gone)),
        **parts,
    )


def _status(name: str, lost: bool, interval: float, tick: int) -> SourceStatus:
    return SourceStatus(
        name=name,
        state=State.UNAVAILABLE if lost else State.OK,
        reason=f"{name} is lost in the test" if lost else "",
        fix="",
        age=0.0,
        duration=0.0,
        interval=interval,
        late=0,
        runs=tick + 1,
    )


def _selected(step: Step) -> tuple[tuple[str, Any], ...]:
    """Return the fields that a step gives an element, by name."""
    found: dict[str, Any] = {}
    for matcher in step.matchers:
        value = matcher.value
        if isinstance(value, Number):
            found[matcher.name] = quantity(str(value.value), value.suffix).value
        else:
            found[matcher.name] = value.value
    return tuple(sorted(found.items()))


def _put(tree: Node, path: Path, sample: Sample) -> None:
    node = tree
    for step in path.steps[:-1]:
        node = node.setdefault(step.name, {})
        if step.matchers:
            node = node.setdefault(_selected(step), {})
    last = path.steps[-1]
    if last.index is not None:
        node.setdefault(last.name, {})[last.index] = sample
    else:
        node[last.name] = sample


def _root(name: str, node: Node) -> Any:
    if name == "resources":
        return _part(Resources, node)
    if name == "processes":
        rows = _elements(Process, node)
        running = sum(row.state == "R" for row in rows)
        threads = sum(row.threads for row in rows)
        return ProcessTable(rows, len(rows), threads, running, 0.0)
    if name == "process_counts":
        return _part(ProcessTable, node)
    declared = next(f.type for f in msgspec.structs.fields(Snapshot) if f.name == name)
    return _built(declared, node)


def _options(declared: Any) -> tuple[Any, ...]:
    if get_origin(declared) in (Union, types.UnionType):
        return get_args(declared)
    return (declared,)


def _built(declared: Any, value: Any) -> Any:
    """Return a value as the declared type; Absent where it is missing and may be."""
    options = _options(declared)
    wanted = next(part for part in options if part not in (Absent, type(None)))
    try:
        return _value(wanted, value)
    except _MissingError:
        if Absent in options:
            return NOT_GIVEN
        if type(None) in options:
            return None
        raise


def _value(wanted: Any, value: Any) -> Any:
    if value is None:
        raise _MissingError
    if get_origin(wanted) is tuple:
        return _items(wanted, value)
    if wanted is Quantile:
        return Quantile(value, value, value)
    if issubclass(wanted, Part):
        return _part(wanted, value)
    return int(value) if wanted is int else wanted(value)


def _items(wanted: Any, value: Node) -> tuple[Any, ...]:
    kinds = get_args(wanted)
    if isinstance(kinds[0], type) and issubclass(kinds[0], Part):
        return _elements(kinds[0], value)
    if any(sample is None for sample in value.values()):
        raise _MissingError
    size = max(max(value) + 1, 0 if kinds[-1] is Ellipsis else len(kinds))
    return tuple(float(value.get(index, 0.0)) for index in range(size))


def _elements(wanted: type[Part], node: Node) -> tuple[Any, ...]:
    found = []
    for labels, fields in node.items():
        try:
            found.append(_part(wanted, {**dict(labels), **fields}))
        except _MissingError:
            continue
    return tuple(found)


def _part(wanted: type[Part], node: Node) -> Any:
    values = {}
    for field in msgspec.structs.fields(wanted):
        if field.name in node:
            values[field.name] = _built(field.type, node[field.name])
        elif field.required:
            values[field.name] = _neutral(field.type)
    return wanted(**values)


def _neutral(declared: Any) -> Any:
    """Return what a required field has that no series gives."""
    options = _options(declared)
    if Absent in options:
        return NOT_GIVEN
    if type(None) in options:
        return None
    wanted = options[0]
    if get_origin(wanted) is tuple:
        return ()
    if issubclass(wanted, Part):
        return _part(wanted, {})
    if issubclass(wanted, enum.Enum):
        return next(iter(wanted))
    return wanted()


def _with_operations(
    services: tuple[Service, ...], operations: list[tuple[Path, Sample]]
) -> tuple[Service, ...]:
    """Return services with the operations of the series, in every window or in the given one."""
    given: dict[str, dict[float, dict[str, Node]]] = {}
    for path, sample in operations:
        labels = dict(_selected(path.steps[0]))
        chosen = labels.get("window")
        seconds = WINDOWS.get(chosen, chosen) if isinstance(chosen, str) else chosen
        for window in WINDOWS.values() if seconds is None else (float(seconds),):
            node = given.setdefault(str(labels["service"]), {}).setdefault(window, {})
            fields = node.setdefault(str(labels["operation"]), {"count": CALLS})
            fields[path.steps[1].name] = sample
    found = {service.name: service for service in services}
    for name, windows in given.items():
        known = found.get(name) or _service(name)
        made = tuple(
            OperationWindow(seconds, seconds, tuple(_operations(nodes)))
            for seconds, nodes in sorted(windows.items())
        )
        found[name] = msgspec.structs.replace(known, windows=made)
    return tuple(found.values())


def _service(name: str) -> Service:
    return Service(name=name, processes=1, hosts=("test",), last_seen=0.0)


def _operations(nodes: Mapping[str, Node]) -> Iterable[Operation]:
    for name, fields in nodes.items():
        try:
            yield _part(Operation, {"name": name, **fields})
        except _MissingError:
            continue
