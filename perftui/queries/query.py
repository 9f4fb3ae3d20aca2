"""A query of an API without its values: what advice needs and what may be reported."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Paging: TypeAlias = Literal["none", "limit", "offset", "page", "cursor"]
ValueKind: TypeAlias = Literal["none", "null", "bool", "number", "text", "time", "list", "object"]


class Filter(msgspec.Struct, frozen=True, array_like=True):
    """One condition.

    `op` is one of the names of `perftui.queries.operators`, or what the query called it. `values`
    is how many values it compares with; `group` numbers the alternatives of an OR from 1, and is
    0 for a condition that always holds. `function` is applied to the field before the comparison
    (lower, date, cast and so on); `open_start` says that a text may begin with anything, as in
    LIKE '%x' and in an unanchored regular expression.
    """

    field: str
    op: str
    values: int = 1
    kind: ValueKind = "none"
    function: str = ""
    open_start: bool = False
    group: int = 0


class SortKey(msgspec.Struct, frozen=True, array_like=True):
    """A field that rows are ordered by; `random` is an order that differs at each call."""

    field: str
    descending: bool = False
    random: bool = False


class Query(msgspec.Struct, frozen=True, array_like=True):
    """What a query asks for, without any value of a filter.

    `fields` is the mask, None where every field is asked for. `parameters` are the names of all
    parameters, sorted. `offset` is that of the first row wanted (a page number is converted where
    the page size is known, see `depth`). `values_hash` tells equal queries from others within this
    process only: it is keyed with a random number, so that no value can be guessed from it.
    """

    endpoint: str = ""
    fields: tuple[str, ...] | None = None
    page_size: int | None = None
    offset: int | None = None
    page: int | None = None
    paging: Paging = "none"
    include: tuple[str, ...] = ()
    count: bool = False
    parameters: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    sort: tuple[SortKey, ...] = ()
    values_hash: int = 0

    @property
    def depth(self) -> int | None:
        """Rows skipped before the first one wanted; None where that is not known (cursors)."""
        if self.offset is not None:
            return self.offset
        if self.page is not None and self.page_size:
            return max(0, self.page - 1) * self.page_size
        return 0 if self.paging in ("none", "limit") else None

    @property
    def later_page(self) -> bool | None:
        """Whether it is not the first page; None where a cursor hides it."""
        if self.paging == "cursor":
            return True
        if self.page is not None:
            return self.page > 1
        return bool(self.offset)

    @property
    def longest_list(self) -> int:
        """The number of values of its longest list, 0 without a list."""
        return max((each.values for each in self.filters if each.kind == "list"), default=0)
