"""What queries have in common that differ in values only."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import msgspec

from perftui.queries.query import Paging, Query, SortKey


class Condition(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A filter without its value; `alternative`: it stands in an OR."""

    field: str
    op: str
    function: str = ""
    alternative: bool = False


class Shape(msgspec.Struct, frozen=True, array_like=True):
    """Endpoint, names of parameters, conditions, sort and kind of paging of a query."""

    endpoint: str
    parameters: tuple[str, ...]
    conditions: tuple[Condition, ...]
    sort: tuple[SortKey, ...]
    paging: Paging

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits, the same in every process and version of Python."""
        return _fingerprint(self)


OTHER = Shape("", (), (), (), "none")
"""The shape under which everything is counted that there is no room for."""


@lru_cache(maxsize=4_096)
def _fingerprint(shape: Shape) -> str:
    return blake2b(msgspec.msgpack.encode(shape), digest_size=8).hexdigest()


def shape_of(query: Query) -> Shape:
    """Return the shape of a query; the order of filters does not matter, that of the sort does."""
    conditions = {
        Condition(each.field, each.op, each.function, each.group > 0) for each in query.filters
    }
    return Shape(
        query.endpoint, query.parameters, tuple(sorted(conditions)), query.sort, query.paging
    )


def variant_of(query: Query) -> str:
    """Return what tells the ways apart in which one endpoint is asked: mask, size, paging, sort.

    Eight hexadecimal digits. A change that somebody made shows as a new variant.
    """
    parts = (
        query.fields,
        query.page_size,
        query.include,
        query.count,
        query.paging,
        shape_of(query).conditions,
        query.sort,
    )
    return blake2b(msgspec.msgpack.encode(parts), digest_size=4).hexdigest()
