"""From what a caller says of an answered query to an observation; everything odd is named."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from perftui.queries.observation import Observation, ReadMode
from perftui.queries.query import Query
from perftui.queries.value_limits import MOST_NAMES, name_at, type_name

LONGEST: Final = 86_400.0
READ_MODES: Final = ("tracked", "bulk", "opaque", "unknown")


def observed(
    query: Query,
    time: float,
    latency: object,
    rows_returned: object,
    *,
    fields_returned: object = None,
    fields_read: object = None,
    rows_consumed: object = None,
    rows_examined: object = None,
    bytes: object = None,  # noqa: A002
    client: object = None,
    session: object = None,
    read_mode: object = None,
    index_used: object = None,
    sorted_in_memory: object = None,
    count_latency: object = None,
    total_rows: object = None,
    status: object = None,
    statements: object = None,
    id_hash: int | None = None,
    body_hash: int | None = None,
    ids_returned: tuple[int, ...] = (),
) -> Observation:
    """Return the observation; raises ValueError that names what is wrong.

    Latencies are seconds, `bytes` bytes, the rest counts. Field sizes are bytes over all rows.
    """
    read = None if fields_read is None else frozenset(_names(fields_read, "fields_read"))
    mode = _mode(read_mode, read)
    return Observation(
        query=query,
        time=time,
        latency=_seconds(latency, "latency"),
        rows_returned=_count(rows_returned, "rows_returned"),
        client=_text(client, "client"),
        session=_text(session, "session"),
        status=_optional_count(status, "status"),
        bytes=_optional_count(bytes, "bytes"),
        fields_returned=_sizes(fields_returned),
        fields_read=read,
        read_mode=mode,
        rows_consumed=_optional_count(rows_consumed, "rows_consumed"),
        rows_examined=_optional_count(rows_examined, "rows_examined"),
        index_used=None if index_used is None else _text(index_used, "index_used"),
        sorted_in_memory=_optional_truth(sorted_in_memory, "sorted_in_memory"),
        statements=_optional_count(statements, "statements"),
        count_latency=None if count_latency is None else _seconds(count_latency, "count_latency"),
        body_hash=body_hash,
        id_hash=id_hash,
        ids_returned=ids_returned,
        total_rows=_optional_count(total_rows, "total_rows"),
    )


def _mode(mode: object, read: frozenset[str] | None) -> ReadMode:
    if mode is None:
        return "unknown" if read is None else "tracked"
    for known in READ_MODES:
        if mode == known:
            if known == "tracked" and read is None:
                raise _wrong("read_mode", "tracked reads need fields_read")
            return known
    raise _wrong("read_mode", f"one of {', '.join(READ_MODES)} is wanted")


def _wrong(part: str, what: str) -> ValueError:
    return ValueError(f"observation: {part}: {what}")


def _seconds(value: object, part: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(part, f"seconds are wanted, not {type_name(value)}")
    if not math.isfinite(value) or not 0 <= value <= LONGEST:
        raise _wrong(part, f"{value!r} seconds are not possible")
    return float(value)


def _count(value: object, part: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(part, f"a number is wanted, not {type_name(value)}")
    if not math.isfinite(value) or value != int(value) or not 0 <= value <= 2**53:
        raise _wrong(part, f"{value!r} is not a whole number from 0")
    return int(value)


def _optional_count(value: object, part: str) -> int | None:
    return None if value is None else _count(value, part)


def _optional_truth(value: object, part: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise _wrong(part, f"true or false is wanted, not {type_name(value)}")


def _text(value: object, part: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(part, f"text is wanted, not {type_name(value)}")
    return value[:200]


def _names(value: object, part: str) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise _wrong(part, f"a list of names is wanted, not {type_name(value)}")
    names: list[str] = []
    for each in value:
        if len(names) >= MOST_NAMES:
            raise _wrong(part, f"there are more than {MOST_NAMES} names")
        names.append(name_at(each, part))
    return names


def _sizes(value: object) -> Mapping[str, int]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        names = _names(value, "fields_returned")
        return {name: _count(value[name], f"fields_returned.{name}") for name in names}
    return dict.fromkeys(_names(value, "fields_returned"), 0)
