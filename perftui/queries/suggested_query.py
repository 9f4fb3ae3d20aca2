"""A query as it would be asked if advice were followed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from perftui.queries.filter_parse import parse_filters
from perftui.queries.parameter_names import Meaning, meaning
from perftui.queries.query import Filter, Query
from perftui.queries.query_parse import parse_query

VALUE: Final = "…"
"""What stands for a value of a filter, since none is kept."""


def query_of(query: Query) -> dict[str, Any]:
    """Return a kept query as a mapping; every value of a filter is `…`."""
    parameters: dict[str, Any] = {}
    known: dict[Meaning, Any] = {
        "fields": None if query.fields is None else list(query.fields),
        "page_size": query.page_size,
        "offset": query.offset,
        "page": query.page,
        "cursor": VALUE if query.paging == "cursor" else None,
        "include": list(query.include) or None,
        "count": query.count,
    }
    for name in query.parameters:
        what = meaning(name)
        value = VALUE if what is None else known[what]
        if value is not None:
            parameters[name] = value
    result: dict[str, Any] = {"endpoint": query.endpoint} if query.endpoint else {}
    result["parameters"] = parameters
    result["filters"] = [_condition(each) for each in query.filters if not each.group]
    groups = sorted({each.group for each in query.filters if each.group})
    result["filters"] += [
        {"or": [_condition(each) for each in query.filters if each.group == group]}
        for group in groups
    ]
    result["sort"] = [
        {"field": key.field, "dir": "desc" if key.descending else "asc"} for key in query.sort
    ]
    return result


def _condition(one: Filter) -> dict[str, Any]:
    value = VALUE if one.kind != "list" else [VALUE] * min(one.values, 3)
    condition = {"field": one.field, "op": one.op, "value": value}
    return condition | {"function": one.function} if one.function else condition


def suggested_query(
    query: Mapping[str, Any], optimizations: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the query with all advice in it that changes the query itself; it stays as it is.

    What a server or a database must do (indexes, batches, caches) changes nothing here, and so do
    changes of a filter whose value must be thought about. A cursor's value is `…`, to be taken
    from the page before. Raises ValueError where the query is wrong.
    """
    parse_query(query)
    changed = copy.deepcopy(dict(query))
    changed["parameters"] = dict(changed.get("parameters") or {})
    for action in optimizations:
        change = _CHANGES.get(str(action.get("type")))
        if change is not None:
            change(changed, action)
    return changed


def _named(query: dict[str, Any], what: Meaning, otherwise: str) -> str:
    """Return the name under which a query has a parameter of this meaning."""
    for name in query["parameters"]:
        if meaning(name) == what:
            return str(name)
    return otherwise


def _remove_fields(query: dict[str, Any], action: Mapping[str, Any]) -> None:
    name = _named(query, "fields", "fields")
    mask = query["parameters"].get(name)
    if mask is None:
        return
    names = mask.split(",") if isinstance(mask, str) else list(mask)
    left = [each for each in names if str(each).strip() not in set(action["fields"])]
    query["parameters"][name] = ",".join(left) if isinstance(mask, str) else left


def _set_fields(query: dict[str, Any], action: Mapping[str, Any]) -> None:
    query["parameters"][_named(query, "fields", "fields")] = list(action["fields"])


def _page_size(query: dict[str, Any], action: Mapping[str, Any]) -> None:
    query["parameters"][_named(query, "page_size", "page_size")] = action["to"]


def _use_cursor(query: dict[str, Any], action: Mapping[str, Any]) -> None:
    places: tuple[Meaning, ...] = ("offset", "page")
    for what in places:
        query["parameters"].pop(_named(query, what, what), None)
    query["parameters"][_named(query, "cursor", "cursor")] = VALUE


def _drop_count(query: dict[str, Any], action: Mapping[str, Any]) -> None:
    query["parameters"].pop(_named(query, "count", "count"), None)


def _add_sort_key(query: dict[str, Any], action: Mapping[str, Any]) -> None:
    sort = query.get("sort") or []
    if isinstance(sort, str):
        query["sort"] = f"{sort},{action['field']}"
    elif isinstance(sort, Mapping):
        query["sort"] = {**sort, action["field"]: "asc"}
    else:
        named = bool(sort) and isinstance(sort[-1], str)
        key: Any = {"field": action["field"], "dir": "asc"}
        query["sort"] = [*sort, action["field"] if named else key]


def _drop_filter(query: dict[str, Any], action: Mapping[str, Any]) -> None:
    filters = query.get("filters")
    dropped = set(action["fields"])
    if isinstance(filters, Mapping):
        query["filters"] = {name: each for name, each in filters.items() if name not in dropped}
    elif isinstance(filters, list):
        query["filters"] = [each for each in filters if not _only_on(each, dropped)]


def _only_on(one: Any, fields: set[str]) -> bool:
    return all(each.field in fields for each in parse_filters([one], "filters"))


_CHANGES: Final[Mapping[str, Callable[[dict[str, Any], Mapping[str, Any]], None]]] = {
    "remove_fields": _remove_fields,
    "set_fields": _set_fields,
    "adjust_page_size": _page_size,
    "use_cursor": _use_cursor,
    "drop_count": _drop_count,
    "add_sort_key": _add_sort_key,
    "drop_filter": _drop_filter,
}
