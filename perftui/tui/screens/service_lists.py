"""The two lists of the picker: services, and hosts with their processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from perftui.format import age, clock, duration, percent, rate_short, size_short
from perftui.snapshot import Absent, Instance, Maybe, Service, Snapshot, State
from perftui.text import printable
from perftui.tui.lines import Line, Span
from perftui.tui.panes.operation_rows import service_key
from perftui.tui.panes.pane import Pane, missing
from perftui.tui.table import Column, Table
from perftui.tui.view import ServiceKey, View

ALL_SHOWN = "all are shown"
ROOMY = 100
"""Width from which on there is room for the moment since when a process is silent."""


@dataclass
class Marks:
    """What is marked in the picker; nothing marked means that everything is shown."""

    services: set[ServiceKey] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)


def toggle(marks: set[Any], item: object) -> None:
    """Mark an item, or take its mark away."""
    marks.symmetric_difference_update({item})


class ServicesPane(Pane):
    """One row for each service of any origin."""

    id = "picker-services"
    number = ""
    title = "Services"
    default_sort = "name"

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        return _heading(len(self._marks.services), len(snapshot.all_services))

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        services = snapshot.all_services
        text = "no service is known yet"
        return Table(
            columns=_service_columns(self._marks.services, snapshot.time, view),
            records=services,
            key=service_key,
            text=lambda service: f"{service.name} {service.origin} {' '.join(service.hosts)}",
            empty=(((f" {view.glyphs.hollow} {text}", "absent"),),),
        )


@dataclass(frozen=True)
class PlaceRow:
    """A host, or one process on it: then `instance` and the name of its service are there."""

    host: str
    instances: tuple[Instance, ...]
    service: str
    origin: str = ""
    instance: Instance | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What the row is known by from one snapshot to the next."""
        if self.instance is None:
            return (self.host,)
        return (self.host, self.origin, self.service, self.instance.id)


class HostsPane(Pane):
    """Every host with its processes below it; choosing one means choosing its host."""

    id = "picker-hosts"
    number = ""
    title = "Hosts and processes"
    default_sort = "host"

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        hosts = {host for service in snapshot.all_services for host in _hosts(service)}
        return _heading(len(self._marks.hosts), len(hosts))

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        text = "no host is known yet"
        return Table(
            columns=_place_columns(self._marks.hosts, snapshot.time, view),
            records=place_rows(snapshot.all_services),
            key=lambda row: row.key,
            text=_place_text,
            empty=(((f" {view.glyphs.hollow} {text}", "absent"),),),
            parent=lambda row: (row.host,),
            tree_column="host",
        )


def place_rows(services: Sequence[Service]) -> list[PlaceRow]:
    """Return a row for every host and for every process of every service."""
    by_host: dict[str, list[Instance]] = {}
    names: dict[str, dict[str, None]] = {}
    rows: list[PlaceRow] = []
    for service in services:
        for host in _hosts(service):
            by_host.setdefault(host, [])
            names.setdefault(host, {})[service.name] = None
        for instance in service.instances:
            by_host[instance.host].append(instance)
            rows.append(
                PlaceRow(instance.host, (instance,), service.name, service.origin, instance)
            )
    hosts = [
        PlaceRow(host, tuple(instances), ", ".join(names[host]))
        for host, instances in by_host.items()
    ]
    return [*hosts, *rows]


def _hosts(service: Service) -> list[str]:
    return list(dict.fromkeys((*service.hosts, *(one.host for one in service.instances))))


def _place_text(row: PlaceRow) -> str:
    instance = row.instance
    if instance is None:
        return f"{row.host} {row.service}"
    pid = "" if isinstance(instance.pid, Absent) else instance.pid
    return f"{row.host} {row.service} {pid} {instance.id} {_state_word(instance)} {instance.note}"


def _heading(marked: int, known: int) -> Line:
    if not marked:
        return ((f"{known}, {ALL_SHOWN}", "muted"),)
    return ((f"{marked} of {known} chosen", "accent"),)


def _mark(marked: bool) -> Span:
    return ("[x]", "accent") if marked else ("[ ]", "muted")


# States


def _state_word(instance: Instance) -> str:
    if instance.state is State.OK:
        return "live"
    return "silent" if instance.state is State.STALE else instance.state.value


def _state_span(instances: Sequence[Instance], live: int, now: float, view: View) -> Span:
    """Return the worst state in words, and for silent ones since when."""
    silent = [one for one in instances if one.state is State.STALE]
    broken = [one for one in instances if one.state not in (State.OK, State.STALE)]
    count = f"{len(broken or silent)} " if len(instances) > 1 else ""
    if broken:
        return (f"{count}{broken[0].state.value}", "critical")
    if silent:
        last = min(one.last_seen for one in silent)
        since = f"since {clock(now - last)}" if view.width >= ROOMY else age(last)
        return (f"{count}silent {since}", "stale")
    if not instances and not live:
        return ("silent", "stale")
    return (f"{len(instances)} live" if len(instances) > 1 else "live", "ok")


def _state_width(view: View) -> int:
    return 25 if view.width >= ROOMY else 17


def _state_order(instances: Sequence[Instance]) -> int:
    return max(
        (0 if one.state is State.OK else 1 if one.state is State.STALE else 2 for one in instances),
        default=0,
    )


# Columns


def _service_columns(
    marked: set[ServiceKey], now: float, view: View
) -> tuple[Column[Service], ...]:
    ascii_only = view.ascii_only

    def live(service: Service) -> Span:
        return (str(service.processes), "text" if service.processes else "stale")

    def rate(service: Service) -> Span:
        if not service.windows:
            return ("-", "absent")
        return (rate_short(_rate(service)), "text")

    def note(service: Service) -> Span:
        more = f" (+{len(service.notes) - 1})" if len(service.notes) > 1 else ""
        text = f"{service.notes[0]}{more}" if service.notes else ""
        return (printable(text, ascii_only), "warning")

    def hosts(service: Service) -> Span:
        return (str(len(_hosts(service))), "muted")

    return (
        Column("mark", "", 3, lambda s: _mark(service_key(s) in marked), None, "left"),
        Column("name", "service", 14, lambda s: (printable(s.name, ascii_only), "accent"),
               lambda s: (s.name, s.origin), "left", flex=True, most=40, descending=False),
        Column("origin", "origin", 10, lambda s: (printable(s.origin, ascii_only), "muted"),
               lambda s: s.origin, "left", spare=1, descending=False),
        Column("processes", "processes", 10, live, lambda s: s.processes),
        Column("hosts", "hosts", 6, hosts, lambda s: len(_hosts(s)), spare=2),
        Column("rate", "calls/s", 8, rate, _rate),
        Column("state", "state", _state_width(view),
               lambda s: _state_span(s.instances, s.processes, now, view),
               lambda s: _state_order(s.instances), "left"),
        Column("note", "note", 12, note, None, "left", flex=True, spare=3),
    )  # fmt: skip


def _rate(service: Service) -> float:
    return sum(operation.rate for operation in service.operations)


def _place_columns(marked: set[str], now: float, view: View) -> tuple[Column[PlaceRow], ...]:
    ascii_only = view.ascii_only

    def name(row: PlaceRow) -> Span:
        instance = row.instance
        if instance is None:
            return (printable(row.host, ascii_only), "accent")
        if isinstance(instance.pid, Absent):
            return (printable(instance.id, ascii_only), "text")
        return (f"pid {instance.pid}", "text")

    def note(row: PlaceRow) -> Span:
        if row.instance is None:
            return ("", "muted")
        return (printable(row.instance.note, ascii_only), "warning")

    def uptime(row: PlaceRow) -> Span:
        if row.instance is None:
            return ("", "muted")
        value = row.instance.uptime
        return missing(value) if isinstance(value, Absent) else (duration(value), "muted")

    def seen(row: PlaceRow) -> float:
        return min((one.last_seen for one in row.instances), default=0.0)

    def cpu(row: PlaceRow) -> Span:
        return _sum(row, lambda one: one.cpu_percent, percent)

    def memory(row: PlaceRow) -> Span:
        return _sum(row, lambda one: one.memory_rss, size_short)

    def host_order(row: PlaceRow) -> tuple[str, str, int | str]:
        instance = row.instance
        if instance is None:
            return (row.host, "", "")
        return (row.host, row.service, instance.id)

    return (
        Column("mark", "", 3, lambda r: _mark(r.host in marked) if r.instance is None
               else ("", "text"), None, "left"),
        Column("host", "host", 16, name, host_order, "left", flex=True, most=48,
               descending=False),
        Column("service", "service", 16, lambda r: (printable(r.service, ascii_only), "muted"),
               lambda r: r.service, "left", spare=1, descending=False),
        Column("state", "state", _state_width(view),
               lambda r: _state_span(r.instances, 1, now, view),
               lambda r: _state_order(r.instances), "left"),
        Column("seen", "seen", 7, lambda r: (age(seen(r)) if r.instances else "-", "muted"), seen,
               spare=5),
        Column("uptime", "up", 8, uptime, lambda r: _order(r, lambda one: one.uptime), spare=4),
        Column("cpu", "cpu%", 6, cpu, lambda r: _order(r, lambda one: one.cpu_percent)),
        Column("memory", "mem", 6, memory, lambda r: _order(r, lambda one: one.memory_rss)),
        Column("note", "note", 14, note, None, "left", flex=True, spare=3),
    )  # fmt: skip


def _sum(
    row: PlaceRow,
    value: Callable[[Instance], Maybe[float] | Maybe[int]],
    shown: Callable[[float | None], str],
) -> Span:
    """Return what live processes use together; a silent one shows what it told last."""
    instances = row.instances
    if row.instance is None:
        instances = tuple(one for one in instances if one.state is State.OK)
    known = [v for one in instances if not isinstance(v := value(one), Absent)]
    if not known:
        return ("-", "absent")
    silent = row.instance is not None and row.instance.state is not State.OK
    return (shown(float(sum(known))), "absent" if silent else "text")


def _order(row: PlaceRow, value: Callable[[Instance], Maybe[float] | Maybe[int]]) -> float:
    known = [v for one in row.instances if not isinstance(v := value(one), Absent)]
    return float(sum(known)) if known else -1.0
