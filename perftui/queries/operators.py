"""The operators of filters by the many names that APIs give them."""

from __future__ import annotations

from typing import Final

EQUALITY: Final = frozenset({"eq", "in", "is_null"})
RANGE: Final = frozenset({"lt", "le", "gt", "ge", "between"})
NEGATION: Final = frozenset({"ne", "not_in", "not_like", "not_contains", "not_null"})
TEXT_SEARCH: Final = frozenset({"contains", "endswith", "like", "regex"})
"""Those that an ordinary index cannot serve unless the start of the text is given."""

_NAMES: Final = {
    "eq": ("=", "==", "equals", "exact", "iexact", "is", "term", "equal"),
    "ne": ("!=", "<>", "neq", "not", "is_not", "not_equal", "not_equals"),
    "lt": ("<", "before"),
    "le": ("<=", "lte"),
    "gt": (">", "after"),
    "ge": (">=", "gte"),
    "in": ("any", "one_of", "terms"),
    "not_in": ("nin", "notin", "none_of"),
    "between": ("range",),
    "contains": ("icontains", "substring", "has_text", "like_any"),
    "not_contains": (),
    "startswith": ("istartswith", "prefix", "starts_with"),
    "endswith": ("iendswith", "suffix", "ends_with"),
    "like": ("ilike", "~~", "~~*"),
    "not_like": ("not_ilike", "!~~"),
    "regex": ("iregex", "regexp", "~", "~*", "match", "rlike"),
    "is_null": ("isnull", "null", "missing"),
    "not_null": ("notnull", "exists", "is_not_null", "present"),
}

_CANONICAL: Final = {name: name for name in _NAMES} | {
    other: name for name, others in _NAMES.items() for other in others
}


def operator(text: str) -> str:
    """Return the common name of an operator, or its own in lower case where it has none."""
    name = "_".join(text.strip().lower().lstrip("$").split())
    return _CANONICAL.get(name, name)


def is_operator(text: str) -> bool:
    """Whether a key of a filter names an operator that is known."""
    name = "_".join(text.strip().lower().lstrip("$").split())
    return name in _CANONICAL
