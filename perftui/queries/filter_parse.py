"""From the filters of a query to conditions without values."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from decimal import Decimal
from typing import Final

from perftui.queries.operators import is_operator, operator
from perftui.queries.query import Filter, ValueKind
from perftui.queries.value_limits import (
    DEEPEST,
    MOST_NAMES,
    MOST_VALUES,
    name_at,
    refuse,
    type_name,
)

_CALL: Final = re.compile(
    r"\s*([A-Za-z_][\w.]*)\s*\(\s*(.*?)\s*(?:,.*|\s+as\s+.*)?\)\s*", re.I | re.S
)
_CAST: Final = re.compile(r"\s*(.+?)\s*::\s*([\w ]+)\s*")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_LIST_OPS: Final = frozenset({"in", "not_in", "between"})


class _Groups:
    """Numbers the alternatives of OR from 1."""

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        self.last += 1
        return self.last


def parse_filters(filters: object, path: str) -> tuple[Filter, ...]:
    """Return the conditions of filters, those inside `and`, `or` and `not` too.

    Raises ValueError that names the part which is wrong.
    """
    if filters is None:
        return ()
    found: list[Filter] = []
    for each in _conditions(filters, path, 0, 0, _Groups()):
        if len(found) >= MOST_NAMES:
            raise refuse(path, f"there are more than {MOST_NAMES} conditions")
        found.append(each)
    return tuple(found)


def _conditions(
    part: object, path: str, depth: int, group: int, groups: _Groups
) -> Iterator[Filter]:
    if depth > DEEPEST:
        raise refuse(path, f"it is nested more than {DEEPEST} levels deep")
    if isinstance(part, Mapping):
        if "field" in part:
            yield _condition(part, path, group)
            return
        for key, value in part.items():
            name = name_at(key, path)
            yield from _named(name, value, f"{path}.{name}", depth, group, groups)
    elif isinstance(part, Sequence) and not isinstance(part, str | bytes | bytearray):
        if len(part) > MOST_NAMES:
            raise refuse(path, f"{len(part)} conditions are more than {MOST_NAMES}")
        if len(part) == 3 and isinstance(part[0], str) and isinstance(part[1], str):
            yield _made(part[0], part[1], part[2], path, group)
            return
        for index, each in enumerate(part):
            if not isinstance(each, Mapping | Sequence) or isinstance(each, str | bytes):
                raise refuse(f"{path}[{index}]", f"a condition is wanted, not {type_name(each)}")
            if isinstance(each, Mapping) and "field" not in each and "op" in each:
                raise refuse(f"{path}[{index}]", 'the key "field" is missing')
            yield from _conditions(each, f"{path}[{index}]", depth + 1, group, groups)
    else:
        raise refuse(path, f"a list or a mapping is wanted, not {type_name(part)}")


def _named(
    name: str, value: object, path: str, depth: int, group: int, groups: _Groups
) -> Iterator[Filter]:
    word = name.strip().lower().lstrip("$")
    nested = isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes)
    if word in ("and", "not", "nor") and nested:
        yield from _conditions(value, path, depth + 1, group, groups)
    elif word == "or" and nested:
        yield from _conditions(value, path, depth + 1, group or groups.next(), groups)
    elif (
        isinstance(value, Mapping)
        and value
        and all(isinstance(key, str) and is_operator(key) for key in value)
    ):
        for op, each in value.items():
            yield _made(name, op, each, f"{path}.{op}", group)
    elif isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray):
        yield _made(name, "in", value, path, group)
    else:
        # As Django's look-ups are written: price__lt.
        field, separator, op = name.rpartition("__")
        if separator and field and is_operator(op):
            yield _made(field, op, value, path, group)
        else:
            yield _made(name, "eq", value, path, group)


def _condition(part: Mapping[object, object], path: str, group: int) -> Filter:
    op = part.get("op", part.get("operator", "eq"))
    if op is None:
        op = "eq"
    if not isinstance(op, str):
        raise refuse(f"{path}.op", f"text is wanted, not {type_name(op)}")
    function = part.get("function", "")
    if not isinstance(function, str):
        raise refuse(f"{path}.function", f"text is wanted, not {type_name(function)}")
    made = _made(part["field"], op, part.get("value", part.get("values")), path, group)
    if not function or made.function:
        return made
    return Filter(
        made.field, made.op, made.values, made.kind, function.lower(), made.open_start, group
    )


def _made(field: object, op: str, value: object, path: str, group: int) -> Filter:
    name = name_at(field, f"{path}.field")
    name_at(op, f"{path}.op")
    name, function = _function(name)
    common = operator(op)
    kind = _kind(value)
    count = 1
    if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray):
        count = len(value)
        if count > MOST_VALUES:
            raise refuse(f"{path}.value", f"{count} values are more than {MOST_VALUES}")
        if common == "eq":
            common = "in"
    elif isinstance(value, str) and common in _LIST_OPS:
        kind, count = "list", value.count(",") + 1
    if kind == "object":
        _measure(value, f"{path}.value", 0)
    return Filter(name, common, count, kind, function, _opens(common, value), group)


def _function(field: str) -> tuple[str, str]:
    """Return the field inside a call or a cast, and the name of that; SQL spelling."""
    if match := _CAST.fullmatch(field):
        return match[1], "cast"
    if (match := _CALL.fullmatch(field)) and match[2]:
        return match[2], match[1].lower()
    if "__" in field:
        # Django: created__date, name__lower
        name, _, last = field.rpartition("__")
        if name and last in ("date", "year", "month", "day", "hour", "week", "lower", "upper"):
            return name, last
    return field.strip(), ""


def _kind(value: object) -> ValueKind:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, str):
        return "time" if _TIME.fullmatch(value) else "text"
    if isinstance(value, datetime.date | datetime.time):
        return "time"
    if isinstance(value, Sequence | Set) and not isinstance(value, bytes | bytearray):
        return "list"
    return "object"


def _opens(op: str, value: object) -> bool:
    if op in ("contains", "endswith", "not_contains"):
        return True
    if not isinstance(value, str):
        return False
    if op in ("like", "not_like"):
        return value[:1] in ("%", "_")
    if op == "regex":
        return not value.startswith(("^", r"\A")) or value[1:3] == ".*"
    return False


def _measure(value: object, path: str, depth: int) -> None:
    """Raise ValueError where a value is nested too deeply."""
    if depth > DEEPEST:
        raise refuse(path, f"it is nested more than {DEEPEST} levels deep")
    if isinstance(value, Mapping):
        for key, each in value.items():
            _measure(each, f"{path}.{key}" if isinstance(key, str) else path, depth + 1)
    elif isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray):
        for each in value:
            _measure(each, path, depth + 1)
