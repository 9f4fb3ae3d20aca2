"""The names an expression may use: those of the JSON document, with their kinds and units.

They come from the types of the snapshot, so that a new field has a name at once.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias, Union, get_args, get_origin

import msgspec

from perftui.analysis.alerting.language.units import unit_of
from perftui.snapshot import (
    Absent,
    Operation,
    Part,
    ProcessTable,
    Prometheus,
    Quantile,
    Scrape,
    Service,
    Snapshot,
)

Getter: TypeAlias = Callable[[Any], Any]

NUMBER, TEXT, TRUTH = "number", "text", "truth"


@dataclass(frozen=True)
class Leaf:
    """A plain value; `words` are all values of a text, where there are only some."""

    kind: str
    unit: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """A part with fields; `labels` name those that tell one element of a list from another."""

    name: str
    fields: dict[str, Field]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Many:
    """A list of parts or of plain values."""

    element: Record | Leaf


Kind: TypeAlias = Leaf | Record | Many


@dataclass(frozen=True)
class Field:
    """A name: what it stands for, and how it is got from the part around it."""

    kind: Kind
    get: Getter


class WindowedOperation(NamedTuple):
    """An element of the document's `operations`; the window is in seconds."""

    service: Service
    window: float
    covered: float
    operation: Operation


LABELS: dict[str, tuple[str, ...]] = {
    "Process": ("name", "pid"),
    "ProcessDescriptors": ("name", "pid"),
    "CacheNamespace": ("namespace",),
    "CacheTier": ("tier",),
    "Instance": ("id",),
    "FileSystem": ("mount",),
    "Endpoint": ("address",),
    "Call": ("function",),
}
"""Labels of elements whose name is not in `name`, `id` or the first text of the type."""

NOT_NAMED = frozenset(
    {"version", "time", "monotonic", "alerts", "alert_events", "services", "scrape", "prometheus"}
)
"""Fields of the snapshot that are no names, or that the document has in another shape."""

NUMBERS = (int, float)


def element_labels(part: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the names of the fields that tell elements of this type apart."""
    known = LABELS.get(part.__name__)
    if known is not None:
        return known
    texts = [field.name for field in msgspec.structs.fields(part) if field.type is str]
    best = [name for name in ("name", "id") if name in texts]
    return tuple((best or texts)[:1])


def _without_absent(declared: Any) -> Any:
    """Return the type of a value that is there."""
    if get_origin(declared) in (Union, types.UnionType):
        parts = [part for part in get_args(declared) if part not in (Absent, type(None))]
        return parts[0] if len(parts) == 1 else None
    return declared


def _kind(declared: Any, owner: str, name: str) -> Kind | None:
    """Return what a declared type is, None for one that no expression can use."""
    wanted = _without_absent(declared)
    if get_origin(wanted) is tuple:
        element = _without_absent(get_args(wanted)[0])
        inner = _kind(element, owner, name)
        # Texts alone, such as notes, are for people; pairs are labels of another program.
        if isinstance(inner, Record) or (isinstance(inner, Leaf) and inner.kind == NUMBER):
            return Many(inner)
        return None
    if not isinstance(wanted, type):
        return None
    if wanted is Quantile:
        return Leaf(NUMBER, unit_of(owner, name))
    if issubclass(wanted, Part):
        return record(wanted)
    if issubclass(wanted, enum.Enum):
        return Leaf(TEXT, words=tuple(str(member.value) for member in wanted))
    if wanted is bool:
        return Leaf(TRUTH)
    if wanted in NUMBERS:
        return Leaf(NUMBER, unit_of(owner, name))
    return Leaf(TEXT) if wanted is str else None


def _fields(part: type[Part], left_out: frozenset[str] = frozenset()) -> dict[str, Field]:
    found = {}
    for field in msgspec.structs.fields(part):
        kind = _kind(field.type, part.__name__, field.name)
        if kind is not None and field.name not in left_out:
            found[field.name] = Field(kind, attrgetter(field.name))
    return found


@cache
def record(part: type[Part]) -> Record:
    """Return the fields of a part of the snapshot, by the names of the document."""
    if part is Service:
        return _service()
    return Record(part.__name__, _fields(part), element_labels(part))


def _service() -> Record:
    hidden = frozenset({"windows", "chosen", "chosen_hosts", "details", "hosts", "notes"})
    fields = _fields(Service, hidden)
    fields["hosts"] = Field(Leaf(NUMBER), lambda service: len(service.hosts))
    fields["operations"] = Field(Many(record(Operation)), attrgetter("operations"))
    return Record("Service", fields, ("name",))


@cache
def operation_row() -> Record:
    """Return the fields of an element of `operations`."""
    fields = {
        "service": Field(Leaf(TEXT), lambda row: row.service.name),
        "origin": Field(Leaf(TEXT), lambda row: row.service.origin),
        "operation": Field(Leaf(TEXT), lambda row: row.operation.name),
        "window": Field(Leaf(NUMBER, "seconds"), lambda row: row.window),
        "covered": Field(Leaf(NUMBER, "seconds"), lambda row: row.covered),
    }
    for name, field in record(Operation).fields.items():
        if name != "name":
            fields[name] = Field(field.kind, _of_operation(field.get))
    return Record("operation", fields, ("service", "operation"))


def _of_operation(get: Getter) -> Getter:
    return lambda row: get(row.operation)


@cache
def roots() -> dict[str, Field]:
    """Return the names that a path can begin with."""
    found = _fields(Snapshot, NOT_NAMED | {"processes"})
    table = record(ProcessTable)
    found["processes"] = Field(table.fields["rows"].kind, _processes)
    counts = {name: field for name, field in table.fields.items() if name != "rows"}
    found["process_counts"] = Field(Record("process_counts", counts), attrgetter("processes"))
    found["services"] = Field(Many(record(Service)), all_services)
    found["operations"] = Field(Many(operation_row()), all_services)
    endpoints = {"endpoints": record(Scrape).fields["endpoints"]}
    found["scrape"] = Field(Record("scrape", endpoints), attrgetter("scrape"))
    server = dict(record(Prometheus).fields)
    server["services"] = Field(Leaf(NUMBER), _count_of_services)
    found["prometheus"] = Field(Record("prometheus", server), attrgetter("prometheus"))
    return found


def _processes(snapshot: Snapshot) -> object:
    table = snapshot.processes
    return table if isinstance(table, Absent) else table.rows


def all_services(snapshot: Snapshot) -> object:
    """Return the services of all origins, or why there are none."""
    told = snapshot.services
    services = snapshot.all_services
    return told if isinstance(told, Absent) and not services and _silent(snapshot) else services


def _silent(snapshot: Snapshot) -> bool:
    server = snapshot.prometheus
    asked = not isinstance(server, Absent) and not isinstance(server.services, Absent)
    return isinstance(snapshot.scrape, Absent) and not asked


def _count_of_services(server: Prometheus) -> object:
    services = server.services
    return services if isinstance(services, Absent) else len(services)


ORIGINS = frozenset({"services", "scrape", "prometheus"})


def sources_of(path: tuple[str, ...]) -> frozenset[str]:
    """Return the names of the sources that fill a path of the document.

    A root that is not known here is filled by the source of the same name.
    """
    root = path[0]
    if root in ("services", "operations"):
        return ORIGINS
    if root == "resources":
        return frozenset({"cgroup"} if path[1:2] == ("cgroup",) else {"host"})
    if root in ("sources", "monitor"):
        return frozenset()
    return frozenset({"processes"} if root == "process_counts" else {root})
