"""Which index would serve a query, and whether one that is known does."""

from __future__ import annotations

from perftui.queries.catalogue import EndpointFacts
from perftui.queries.operators import EQUALITY, NEGATION, RANGE, TEXT_SEARCH
from perftui.queries.query import Filter, Query


def servable(each: Filter) -> bool:
    """Whether an ordinary (B-tree) index can narrow this condition down."""
    if each.function or each.op in NEGATION:
        return False
    return not (each.op in TEXT_SEARCH and (each.open_start or each.op in ("contains", "endswith")))


def useful_index(query: Query) -> tuple[str, ...]:
    """Return the columns of the index that serves a query: equality, then sort, then range.

    The order is that of MongoDB's "ESR" guideline and holds for B-trees in general: equal values
    leave the rest of the index in order, a range does not.
    """
    always = [each for each in query.filters if each.group == 0 and servable(each)]
    equal = [each.field for each in always if each.op in EQUALITY or each.kind == "bool"]
    ranges = [each.field for each in always if each.op in RANGE or each.op == "startswith"]
    order = [key.field for key in query.sort if not key.random]
    columns = [*sorted(dict.fromkeys(equal)), *order, *ranges]
    return tuple(dict.fromkeys(columns))


def leading(facts: EndpointFacts) -> frozenset[str] | None:
    """Return the fields that some index begins with; None where no index is known."""
    indexes = known_indexes(facts)
    return None if indexes is None else frozenset(index[0] for index in indexes if index)


def known_indexes(facts: EndpointFacts) -> tuple[tuple[str, ...], ...] | None:
    """Return the columns of every index that the catalogue names; None where it names none."""
    if facts.indexes is None and not facts.index_names:
        return None
    return (*(facts.indexes or ()), *facts.index_names.values())


def serves_sort(query: Query, facts: EndpointFacts) -> bool | None:
    """Whether an index gives the rows in the order asked for; None where no index is known.

    It does when, behind columns that are compared for equality, its columns are those of the
    sort in their order, all in one direction.
    """
    indexes = known_indexes(facts)
    if indexes is None:
        return None
    if any(key.random for key in query.sort):
        return False
    if len({key.descending for key in query.sort}) > 1:
        return False
    equal = {
        each.field
        for each in query.filters
        if each.group == 0 and each.op == "eq" and not each.function
    }
    wanted = [key.field for key in query.sort if key.field not in equal]
    for index in (*indexes, facts.unique[:1]):
        columns = list(index)
        while columns and columns[0] in equal:
            columns.pop(0)
        # A unique column ends the order: what follows it in the sort decides nothing.
        if columns[: len(wanted)] == wanted:
            return True
        if columns and columns[0] in facts.unique and wanted[:1] == columns[:1]:
            return True
    return False
