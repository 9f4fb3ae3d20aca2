"""What a URL asks for: path and query string as the mapping of a query."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from perftui.queries.operators import is_operator
from perftui.queries.parameter_names import meaning

LONGEST_QUERY: Final = 8_192
MOST_PARTS: Final = 100
_SORTS: Final = frozenset({"sort", "sort_by", "sortby", "order", "order_by", "orderby", "ordering"})
_IDS: Final = re.compile(
    r"\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,64}"
    r"|[0-9A-HJKMNP-TV-Z]{26}",
    re.IGNORECASE,
)
_IN_BRACKETS: Final = re.compile(r"(?:filter\[)?([^\[\]]+)\]?(?:\[([^\[\]]+)\])?")
_WHOLE: Final = re.compile(r"\d{1,9}")


def path_template(path: str) -> tuple[str, str]:
    """Return a path with `{id}` for numbers, UUIDs, ULIDs and long hexadecimals, and the last id.

    The id is empty where the path does not end with one: it then asks for a list.
    """
    parts = path.split("/")
    last = ""
    for place, part in enumerate(parts):
        if part and _IDS.fullmatch(part):
            parts[place] = "{id}"
            last = part if place == len(parts) - 1 else ""
    return "/".join(parts), last


def url_query(endpoint: str, query_string: str) -> dict[str, Any]:
    """Return the query that a query string asks for.

    What is not a parameter of paging, masks or sorting is a filter: `city=Bonn`, `price__lt=3`,
    `price[lt]=3`, `filter[city]=Bonn`, `city=in:a,b` counts as the text it is. Raises ValueError
    for a string that is too long.
    """
    if len(query_string) > LONGEST_QUERY:
        raise ValueError(f"the query string has more than {LONGEST_QUERY} characters")
    parameters: dict[str, Any] = {}
    filters: list[dict[str, Any]] = []
    sort: list[str] = []
    pairs = parse_qsl(query_string, keep_blank_values=True, max_num_fields=MOST_PARTS)
    for name, value in pairs:
        what = meaning(name)
        if name.lower().removeprefix("$") in _SORTS:
            sort += [each for each in re.split(r"[,;]", value) if each.strip()]
        elif what in ("page_size", "offset", "page"):
            # A client may send anything; what is no number asks for nothing.
            if _WHOLE.fullmatch(value):
                parameters[name] = int(value)
        elif what in ("fields", "include"):
            parameters[name] = [each for each in value.split(",") if each]
        elif what == "count":
            parameters[name] = value.lower() not in ("", "0", "false", "no", "none")
        elif what == "cursor":
            parameters[name] = value
        else:
            filters.append(_filter(name, value))
    return {"endpoint": endpoint, "parameters": parameters, "filters": filters, "sort": sort}


def _filter(name: str, value: str) -> dict[str, Any]:
    field, separator, op = name.rpartition("__")
    if not (separator and field and is_operator(op)):
        field, op = name, "eq"
        found = _IN_BRACKETS.fullmatch(name)
        if found is not None and "[" in name:
            field = found[1]
            op = found[2] if found[2] and is_operator(found[2]) else "eq"
    shown: Any = value.split(",") if op in ("in", "nin", "not_in") else value
    return {"field": unquote(field), "op": op, "value": shown}
