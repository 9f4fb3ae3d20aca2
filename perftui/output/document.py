"""The JSON document: the names of a snapshot's fields, plain numbers, and why a number is missing.

A measured value is a number; a value that is missing is null, and `states` has, under the value's
dotted path (list items by index), its state, reason and fix; a limit that is not set has the
state `ok`. An old value stays a number, and
`states` has the path of its section with the state `stale` and the age in seconds.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from perftui.snapshot import SCHEMA, Absent, ProcessTable, Snapshot, State

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
    "top_calls": ("top_calls",),
    "redis": ("redis",),
    "services": ("services",),
    "pools": ("pools",),
}
"""The parts of the document that each source fills."""

_NONE = {
    "cpu_limit": Absent(State.OK, "no CPU limit is set"),
    "memory_limit": Absent(State.OK, "no memory limit is set"),
    "age": Absent(State.NOT_COLLECTED, "no sample yet"),
    "duration": Absent(State.NOT_COLLECTED, "no sample yet"),
}
"""What the absence of a value means where the snapshot itself says that there is none."""

_NOT_FINITE = Absent(State.UNAVAILABLE, "the measured value is not a finite number")


def document(snapshot: Snapshot) -> dict[str, object]:
    """Return the snapshot as the JSON document, made of plain dicts, lists and scalars.

    Times are Unix seconds but `time`, which is ISO 8601 in UTC.
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
    result["top_calls"] = walker.value(snapshot.top_calls, "top_calls")
    result["redis"] = walker.value(snapshot.redis, "redis")
    result["services"] = walker.array(snapshot.services, "services")
    result["pools"] = walker.array(snapshot.pools, "pools")
    result["alerts"] = walker.array(snapshot.alerts, "alerts")
    result["sources"] = walker.array(snapshot.sources, "sources")
    result["monitor"] = walker.value(snapshot.monitor, "monitor")
    _add_stale(walker.states, snapshot)
    result["states"] = walker.states
    return result


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
                "reason": _utf8(status.reason),
                "fix": _utf8(status.fix),
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
                "reason": _utf8(value.reason),
                "fix": _utf8(value.fix),
            }
            return None
        if value is None:
            return self.value(_NONE[path.rpartition(".")[2]], path)
        if isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else self.value(_NOT_FINITE, path)
        if isinstance(value, str):
            return _utf8(value)
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
            return {_utf8(str(k)): self.value(v, f"{path}.{k}") for k, v in value.items()}
        raise TypeError(f"{path}: a snapshot holds no {type(value).__name__}")

    def array(self, value: object, path: str) -> list[Json]:
        """Return a list in any case: empty, with its state, where the value is missing."""
        result = self.value(value, path)
        return result if isinstance(result, list) else []


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _utf8(text: str) -> str:
    """Return text that UTF-8 can hold: bytes that were not UTF-8 become backslash escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text
