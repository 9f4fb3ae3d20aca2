"""What parameters of APIs mean, by the names that are in common use."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

Meaning: TypeAlias = Literal["fields", "page_size", "offset", "page", "cursor", "include", "count"]

_NAMES: Final[dict[Meaning, tuple[str, ...]]] = {
    "fields": ("fields", "select", "attributes", "only", "_source", "field_mask", "columns"),
    "page_size": (
        *("page_size", "pagesize", "per_page", "perpage", "limit", "size", "page_limit"),
        *("first", "top", "max_results", "maxresults", "page[size]", "page[limit]", "rows"),
    ),
    "offset": ("offset", "skip", "start", "from", "page[offset]", "startindex", "start_index"),
    "page": ("page", "page_number", "pagenumber", "page[number]", "p"),
    "cursor": (
        *("cursor", "page_token", "pagetoken", "after", "before", "next_token", "nexttoken"),
        *("starting_after", "ending_before", "search_after", "page[after]", "page[cursor]"),
        *("continuation", "continue", "skiptoken", "since_id", "max_id"),
    ),
    "include": ("include", "expand", "embed", "includes", "with", "preload"),
    "count": (
        *("count", "include_count", "with_count", "total", "include_total", "with_total"),
        *("totals", "inlinecount", "track_total_hits", "total_count"),
    ),
}

_MEANINGS: Final = {name: meaning for meaning, names in _NAMES.items() for name in names}
_FIELDS_OF_TYPE: Final = re.compile(r"fields\[[^\]]*\]")


def meaning(name: str) -> Meaning | None:
    """Return what a parameter is for, None where its name does not tell.

    Beside common names it knows `fields[TYPE]` of JSON:API and the `$` of OData.
    """
    plain = name.strip().lower()
    if _FIELDS_OF_TYPE.fullmatch(plain):
        return "fields"
    return _MEANINGS.get(plain.removeprefix("$"))
