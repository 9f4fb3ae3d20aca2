"""S1, S3 and S4: orders that cost more than they are worth, or that lose rows."""

from __future__ import annotations

from typing import Final

from perftui.queries.rules.filters import LEAST_PLANS
from perftui.queries.rules.index_choice import serves_sort, useful_index
from perftui.queries.rules.rule import Rule, plural
from perftui.queries.suggestion import Counterfactual, Saving, Subject, Suggestion


def sorted_in_memory(subject: Subject) -> Suggestion | None:
    """S1: rows are sorted at each query because no index has them in this order."""
    query, shape = subject.query, subject.shape
    if not query.sort or any(key.random for key in query.sort):
        return None
    plans = None if shape is None else shape.plans
    columns = useful_index(query)
    if plans is not None and plans.plans >= LEAST_PLANS:
        if plans.sorted_in_memory < 0.5 * plans.plans:
            return None
        evidence = (
            f"{plans.sorted_in_memory:,} of {plural(plans.plans, 'explained query')} sorted rows "
            "in memory"
        )
    elif shape is not None and serves_sort(query, subject.facts) is False:
        # Without a plan: the catalogue knows no index that has the order.
        many = plans is not None and plans.examined > 10 * max(1, plans.returned)
        if not many:
            return None
        evidence = "no index that is known has this order"
    else:
        return None
    evidence = evidence.replace("explained querys", "explained queries")
    known = plans is not None and plans.answers > 0
    more = (plans.examined - plans.returned) / plans.answers if plans and plans.answers else None
    if more is not None:
        evidence += f"; {more:,.0f} rows more are examined than returned"
    return Suggestion(
        rule="S1",
        action={"type": "add_index", "columns": list(columns)},
        title=f"an index on ({', '.join(columns)})",
        evidence=evidence,
        risk="an index costs room and time at each write",
        verify="EXPLAIN shows no sort, and rows examined come near to rows returned",
        confidence="modelled" if known else "heuristic",
        facts={} if plans is None else {"explained": plans.plans, "sorts": plans.sorted_in_memory},
        change=Counterfactual(indexed=True) if known else None,
        saving=Saving(rows=more),
    )


def random_order(subject: Subject) -> Suggestion | None:
    """S3: rows are put into a random order: all of them, at each query."""
    if not any(key.random for key in subject.query.sort):
        return None
    plans = None if subject.shape is None else subject.shape.plans
    known = plans is not None and plans.answers >= LEAST_PLANS
    wasted = known and plans is not None and plans.examined > 10 * max(1, plans.returned)
    if known and not wasted:
        return None
    return Suggestion(
        rule="S3",
        action={"type": "replace_sort", "to": "a stored random key, or ids drawn by chance"},
        title="draw by a stored random key instead of sorting by chance",
        evidence="a random order is made anew for all rows that match, at each query"
        + (
            f": {plans.examined / plans.answers:,.0f} rows examined for "
            f"{plans.returned / plans.answers:,.0f} returned"
            if wasted and plans is not None
            else ""
        ),
        risk="a stored key gives the same neighbours until it is drawn again",
        verify="compare rows examined before and after",
        confidence="modelled" if wasted else "heuristic",
        facts={},
        change=Counterfactual(indexed=True) if wasted else None,
    )


def no_tie_breaker(subject: Subject) -> Suggestion | None:
    """S4: pages of an order in which rows can be equal: rows are skipped or come twice."""
    query = subject.query
    if query.paging == "none" or any(key.random for key in query.sort):
        return None
    unique = set(subject.facts.unique)
    if not query.sort:
        if query.paging == "limit":
            return None
        evidence = "pages are read without any order: the database may give another one each time"
    elif any(key.field in unique for key in query.sort):
        return None
    else:
        last = query.sort[-1].field
        evidence = (
            f"the order ends with {last}, which is not known to be unique: rows with the same "
            f"{last} may be skipped or come twice between pages"
        )
    field = subject.facts.unique[0] if subject.facts.unique else "id"
    return Suggestion(
        rule="S4",
        action={"type": "add_sort_key", "field": field},
        title=f"end the sort with {field}",
        evidence=evidence,
        risk="the index that serves the sort must end with it too",
        verify="read all pages and count the rows: none missing, none twice",
        confidence="heuristic",
    )


RULES: Final = (
    Rule("S1", "rows sorted at each query", sorted_in_memory),
    Rule("S3", "a random order", random_order, static=True),
    Rule("S4", "pages of an ambiguous order", no_tie_breaker, static=True),
)
