"""From what a caller hands over as a query to `Query`; everything odd is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from perftui.queries.filter_parse import parse_filters
from perftui.queries.parameter_names import Meaning, meaning
from perftui.queries.query import Paging, Query, SortKey
from perftui.queries.value_hash import hash_of_values
from perftui.queries.value_limits import (
    MOST_NAMES,
    name_at,
    refuse,
    shown,
    type_name,
    whole_number,
)

RANDOM_ORDERS: Final = frozenset({"random", "random()", "rand()", "?", "_random", "shuffle"})
"""What a sort by chance is called: SQL, Django's `?`, search engines."""

_DIRECTIONS: Final = {
    "asc": False,
    "ascending": False,
    "1": False,
    "+": False,
    "desc": True,
    "descending": True,
    "-1": True,
    "-": True,
}


def parse_query(query: object) -> Query:
    """Return what a query asks for; the query itself is not changed and no value of it is kept.

    `query` is a mapping with the keys `parameters`, `filters` and `sort`, and beside them
    `endpoint`; missing ones are empty. Filters are a list of `{"field", "op", "value"}`, or a
    mapping of a field to a value or to `{op: value}`; a sort is a list of `{"field", "dir"}`, of
    pairs or of names with a `-` in front of those that descend. Raises ValueError that names the
    part which is wrong.
    """
    if not isinstance(query, Mapping):
        raise refuse("query", f"a mapping is wanted, not {type_name(query)}")
    for key in query:
        if not isinstance(key, str):
            raise refuse("query", f"its key {shown(key)} is not text")
    endpoint = query.get("endpoint", "")
    if endpoint is None:
        endpoint = ""
    if not isinstance(endpoint, str):
        raise refuse("endpoint", f"text is wanted, not {type_name(endpoint)}")
    parameters = _parameters(query.get("parameters"))
    filters = parse_filters(query.get("filters"), "filters")
    sort = _sort(query.get("sort"), "sort")
    by_meaning: dict[Meaning, tuple[str, Any]] = {}
    for name, value in parameters.items():
        what = meaning(name)
        if what is None or value is None:
            continue
        if what == "fields" and what in by_meaning:
            value = (*_names(by_meaning[what][1], name), *_names(value, name))
        by_meaning[what] = (f"parameters.{name}", value)

    def number(what: Meaning, least: int) -> int | None:
        if what not in by_meaning:
            return None
        path, value = by_meaning[what]
        return whole_number(value, path, least)

    def names(what: Meaning) -> tuple[str, ...] | None:
        if what not in by_meaning:
            return None
        path, value = by_meaning[what]
        return _names(value, path)

    offset, page = number("offset", 0), number("page", 0)
    page_size = number("page_size", 0) or None
    cursor = by_meaning.get("cursor", ("", ""))[1] not in ("", None)
    return Query(
        endpoint=name_at(endpoint.strip(), "endpoint") if endpoint.strip() else "",
        fields=names("fields"),
        page_size=page_size,
        offset=offset,
        page=page,
        paging=_paging(cursor, offset, page, page_size),
        include=names("include") or (),
        count=_truth(*by_meaning["count"]) if "count" in by_meaning else False,
        parameters=tuple(sorted(parameters)),
        filters=filters,
        sort=sort,
        values_hash=hash_of_values(endpoint, parameters, query.get("filters"), query.get("sort")),
    )


def _paging(cursor: bool, offset: int | None, page: int | None, page_size: int | None) -> Paging:
    if cursor:
        return "cursor"
    if offset is not None:
        return "offset"
    if page is not None:
        return "page"
    return "none" if page_size is None else "limit"


def _parameters(parameters: object) -> Mapping[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping):
        raise refuse("parameters", f"a mapping is wanted, not {type_name(parameters)}")
    if len(parameters) > MOST_NAMES:
        raise refuse("parameters", f"{len(parameters)} are more than {MOST_NAMES}")
    for name in parameters:
        name_at(name, "parameters")
    return parameters


def _names(value: object, path: str) -> tuple[str, ...]:
    """Return the names of a list or of text with commas between them, each once."""
    if isinstance(value, Mapping):
        # JSON:API: {"articles": ["title"], "people": "name"}
        found = [name for part, each in value.items() for name in _names(each, f"{path}.{part}")]
    elif isinstance(value, str):
        found = [each.strip() for each in value.split(",")]
    elif isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        found = []
        for index, each in enumerate(value):
            if index >= MOST_NAMES:
                raise refuse(path, f"there are more than {MOST_NAMES} names")
            found.append(name_at(each, f"{path}[{index}]").strip())
    else:
        raise refuse(path, f"a list of names is wanted, not {type_name(value)}")
    if len(found) > MOST_NAMES:
        raise refuse(path, f"{len(found)} names are more than {MOST_NAMES}")
    return tuple(dict.fromkeys(name_at(each, path) for each in found if each))


def _truth(path: str, value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "false", "no", "off", "none")
    if isinstance(value, bool | int | float):
        return bool(value)
    raise refuse(path, f"true or false is wanted, not {type_name(value)}")


def _sort(sort: object, path: str) -> tuple[SortKey, ...]:
    if sort is None:
        return ()
    if isinstance(sort, str):
        return tuple(_sort_key(each.strip(), path) for each in sort.split(",") if each.strip())
    if isinstance(sort, Mapping):
        if "field" in sort:
            return (_sort_key(sort, path),)
        return tuple(_sort_key((name, way), f"{path}.{name}") for name, way in sort.items())
    if not isinstance(sort, Sequence) or isinstance(sort, bytes | bytearray):
        raise refuse(path, f"a list is wanted, not {type_name(sort)}")
    if len(sort) > MOST_NAMES:
        raise refuse(path, f"{len(sort)} keys are more than {MOST_NAMES}")
    return tuple(_sort_key(each, f"{path}[{index}]") for index, each in enumerate(sort))


def _sort_key(key: object, path: str) -> SortKey:
    if isinstance(key, str):
        text, descending = key.strip(), False
        if text[:1] in "+-" and text[1:]:
            descending, text = text[0] == "-", text[1:]
        elif ":" in text or " " in text:
            name, _, way = text.replace(":", " ").rpartition(" ")
            if way.lower() in _DIRECTIONS:
                text, descending = name.strip(), _DIRECTIONS[way.lower()]
        return _named(text, descending, path)
    if isinstance(key, Mapping):
        if "field" not in key:
            raise refuse(path, 'the key "field" is missing')
        way = key.get("dir", key.get("direction", key.get("order", "asc")))
        return _named(key["field"], _descends(way, f"{path}.dir"), f"{path}.field")
    if isinstance(key, Sequence) and not isinstance(key, bytes | bytearray) and len(key) == 2:
        return _named(key[0], _descends(key[1], f"{path}[1]"), f"{path}[0]")
    raise refuse(path, f"a name, a pair or a mapping is wanted, not {type_name(key)}")


def _named(field: object, descending: bool, path: str) -> SortKey:
    name = name_at(field, path)
    return SortKey(name, descending, name.lower() in RANDOM_ORDERS)


def _descends(way: object, path: str) -> bool:
    if isinstance(way, bool):
        raise refuse(path, '"asc" or "desc" is wanted, not a truth value')
    known = _DIRECTIONS.get(str(way).strip().lower()) if isinstance(way, str | int) else None
    if known is None:
        raise refuse(path, f'"asc" or "desc" is wanted, not {shown(way)}')
    return known
