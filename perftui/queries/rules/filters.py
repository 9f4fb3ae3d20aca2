"""F1 to F10: conditions that make the database work for nothing."""

from __future__ import annotations

from typing import Final

from perftui.queries.operators import NEGATION, TEXT_SEARCH
from perftui.queries.rules.index_choice import leading, servable, useful_index
from perftui.queries.rules.rule import LEAST_ANSWERS, Rule, clients, plural
from perftui.queries.suggestion import (
    Confidence,
    Counterfactual,
    Saving,
    Subject,
    Suggestion,
)

WASTE: Final = 100
"""Rows examined for each one returned: MongoDB Atlas alerts at 1,000 and calls 1 ideal."""

GRAVE_WASTE: Final = 1_000
LEAST_PLANS: Final = 10
NO_SELECTION: Final = 0.99
LEAST_DROPPED: Final = 0.5


def no_index(subject: Subject) -> Suggestion | None:
    """F1: many rows are examined for each one returned, and no index begins with a field asked."""
    waste = _waste(subject)
    if waste is None or not subject.query.filters:
        return None
    shape = subject.shape
    assert shape is not None
    known = leading(subject.facts)
    used = sum(count for _, count in shape.plans.indexes)
    fields = {each.field for each in subject.query.filters if servable(each)}
    if not fields:
        return None
    if shape.plans.plans >= LEAST_PLANS:
        if used >= 0.5 * shape.plans.plans:
            return None
    elif known is None or known & fields:
        return None
    columns = useful_index(subject.query)
    return _indexed(
        "F1",
        subject,
        waste,
        columns,
        title=f"an index on ({', '.join(columns)})",
        why="no index is used",
    )


def wrong_index(subject: Subject) -> Suggestion | None:
    """F2: an index is used and yet many rows are examined for each one returned."""
    waste = _waste(subject)
    if waste is None:
        return None
    shape = subject.shape
    assert shape is not None
    used = sum(count for _, count in shape.plans.indexes)
    if shape.plans.plans < LEAST_PLANS or used < 0.5 * shape.plans.plans:
        return None
    name = max(shape.plans.indexes, key=lambda item: item[1])[0]
    columns = useful_index(subject.query)
    if not columns or columns == subject.facts.index_names.get(name):
        return None
    return _indexed(
        "F2",
        subject,
        waste,
        columns,
        title=f"an index on ({', '.join(columns)}) in place of {name}",
        why=f"index {name} is used and narrows little down",
    )


def text_search(subject: Subject) -> Suggestion | None:
    """F3: a text is looked for anywhere inside a field; no ordinary index helps."""
    found = next(
        (each for each in subject.query.filters if each.op in TEXT_SEARCH and each.open_start), None
    )
    if found is None:
        return None
    return _heuristic(
        "F3",
        subject,
        action={"type": "change_filter", "field": found.field, "op": found.op, "to": "startswith"},
        title=f"look for the beginning of {found.field}, or use a full-text index",
        evidence=f"{found.op} on {found.field} compares every row, whatever the indexes",
        risk="a search for the beginning finds fewer rows than one for any part",
        verify="compare rows examined, and whether the rows wanted are still found",
        indexed=True,
    )


def function_on_field(subject: Subject) -> Suggestion | None:
    """F4: a field is compared after a function or a cast; an index on it does not help."""
    found = next((each for each in subject.query.filters if each.function), None)
    if found is None:
        return None
    return _heuristic(
        "F4",
        subject,
        action={
            "type": "change_filter",
            "field": found.field,
            "op": found.op,
            "function": found.function,
            "to": "the field itself",
        },
        title=f"keep {found.function}({found.field}) as a column or index of its own",
        evidence=f"{found.function}({found.field}) is computed for every row before it is compared",
        risk="an index on the expression costs room and time at each write",
        verify="compare rows examined before and after",
        indexed=True,
    )


def negation(subject: Subject) -> Suggestion | None:
    """F5: rows are asked for by what they are not."""
    found = next((each for each in subject.query.filters if each.op in NEGATION), None)
    if found is None or (found.op == "not_null"):
        return None
    return _heuristic(
        "F5",
        subject,
        action={"type": "change_filter", "field": found.field, "op": found.op, "to": "in"},
        title=f"name the values of {found.field} that are wanted",
        evidence=f"{found.op} on {found.field} cannot be looked up, only compared row by row",
        risk="values that come up later must be added to the list",
        verify="both ways give the same rows; compare rows examined",
        indexed=False,
    )


def alternatives(subject: Subject) -> Suggestion | None:
    """F6: an OR over different fields, of which not all have an index."""
    groups: dict[int, set[str]] = {}
    for each in subject.query.filters:
        if each.group:
            groups.setdefault(each.group, set()).add(each.field)
    fields = max(groups.values(), key=len, default=set())
    if len(fields) < 2:
        return None
    known = leading(subject.facts)
    bare = sorted(fields if known is None else fields - known)
    if not bare:
        return None
    shape = subject.shape
    if shape is not None and shape.plans.plans >= LEAST_PLANS and not _waste(subject):
        return None
    names = ", ".join(sorted(fields))
    return _heuristic(
        "F6",
        subject,
        action={"type": "split_or", "fields": sorted(fields), "without_index": bare},
        title=f"ask for {names} in separate queries (UNION), or index each",
        evidence=(
            f"OR over {names}: one of them without an index makes every row be compared"
            + ("" if known is None else f"; no index begins with {', '.join(bare)}")
        ),
        risk="a row that meets both conditions must not come twice",
        verify="both ways give the same rows; compare rows examined",
        indexed=True,
    )


def dropped_by_client(subject: Subject) -> Suggestion | None:
    """F9: a client reads one field of most rows and then drops them."""
    shape = subject.shape
    if shape is None:
        return None
    found: dict[str, list[int]] = {}
    for client in clients((shape,)):
        for glance in client.glances:
            cell = found.setdefault(glance.field, [0, 0, 0])
            cell[0] += glance.answers
            cell[1] += glance.rows
            cell[2] += glance.dropped
    field, (answers, rows, dropped) = max(
        found.items(), key=lambda item: item[1][2], default=("", [0, 0, 0])
    )
    # A client that reads a single field of every row and no other wants just that field.
    if answers < LEAST_ANSWERS or not LEAST_DROPPED * rows < dropped < rows:
        return None
    share = dropped / rows
    return Suggestion(
        rule="F9",
        action={"type": "push_filter", "field": field},
        title=f"filter by {field} on the server",
        evidence=(
            f"of {share:.0%} of {rows:,} rows in {answers:,} answers {field} was read and nothing "
            "else: they were dropped"
        ),
        risk="the server must know the condition that the client applies now",
        verify="compare rows returned with rows read in full",
        confidence="modelled",
        facts={"answers": answers, "rows": rows, "dropped": dropped},
        change=Counterfactual(rows_factor=1 - share),
        saving=Saving(
            rows=shape.rows / shape.calls * share if shape.calls else None,
            bytes=shape.bytes / shape.sized * share if shape.sized else None,
        ),
    )


def selects_nothing(subject: Subject) -> Suggestion | None:
    """F10: the conditions leave practically every row."""
    shape = subject.shape
    if shape is None or not subject.query.filters or shape.selectivity_n < LEAST_ANSWERS:
        return None
    share = shape.selectivity / shape.selectivity_n
    if share < NO_SELECTION:
        return None
    fields = sorted({each.field for each in subject.query.filters})
    return Suggestion(
        rule="F10",
        action={"type": "drop_filter", "fields": fields},
        title=f"drop the condition on {', '.join(fields)}, or find out why it holds always",
        evidence=f"{share:.2%} of the rows there are met it in {shape.selectivity_n:,} answers",
        risk="it may hold today by chance, or hide a mistake in the data or in the condition",
        verify="ask without it and compare the rows",
        confidence="measured",
        facts={"share": round(share, 5), "answers": shape.selectivity_n},
    )


def _waste(subject: Subject) -> float | None:
    """Return rows examined for each one returned; None below 100, and where it is not known."""
    shape = subject.shape
    if shape is None or shape.plans.answers < LEAST_PLANS:
        return None
    ratio = shape.plans.examined / max(1, shape.plans.returned)
    return ratio if ratio > WASTE else None


def _indexed(
    rule: str, subject: Subject, waste: float, columns: tuple[str, ...], title: str, why: str
) -> Suggestion:
    shape = subject.shape
    assert shape is not None
    plans = shape.plans
    more = (plans.examined - plans.returned) / plans.answers
    grave = "critical: " if waste > GRAVE_WASTE else ""
    return Suggestion(
        rule=rule,
        action={"type": "add_index", "columns": list(columns)},
        title=title,
        evidence=(
            f"{grave}{waste:,.0f} rows are examined for each one returned "
            f"({plural(plans.answers, 'answer')} explained); {why}"
        ),
        risk="an index costs room and time at each write; another one may make up for it",
        verify="EXPLAIN names the index, and rows examined come near to rows returned",
        confidence="modelled",
        facts={"ratio": round(waste, 1), "explained": plans.answers},
        change=Counterfactual(indexed=True),
        saving=Saving(rows=more),
    )


def _heuristic(
    rule: str,
    subject: Subject,
    *,
    action: dict[str, object],
    title: str,
    evidence: str,
    risk: str,
    verify: str,
    indexed: bool,
) -> Suggestion | None:
    """Return advice that the text of a query gives, with a number where rows examined are known.

    None where they are known and show that nothing is wasted.
    """
    shape = subject.shape
    waste = _waste(subject)
    confidence: Confidence = "heuristic"
    change = None
    facts: dict[str, float | int | str] = {}
    if shape is not None and shape.plans.answers >= LEAST_PLANS:
        if waste is None:
            return None
        evidence = f"{evidence}; {waste:,.0f} rows are examined for each one returned"
        facts = {"ratio": round(waste, 1), "explained": shape.plans.answers}
        if indexed:
            confidence, change = "modelled", Counterfactual(indexed=True)
    return Suggestion(
        rule=rule,
        action=action,
        title=title,
        evidence=evidence,
        risk=risk,
        verify=verify,
        confidence=confidence,
        facts=facts,
        change=change,
    )


RULES: Final = (
    Rule("F1", "many rows examined, no index", no_index),
    Rule("F2", "many rows examined in spite of an index", wrong_index),
    Rule("F3", "text looked for inside a field", text_search, static=True),
    Rule("F4", "a function on the field", function_on_field, static=True),
    Rule("F5", "rows asked for by what they are not", negation, static=True),
    Rule("F6", "OR over different fields", alternatives, static=True),
    Rule("F9", "rows that the client drops", dropped_by_client),
    Rule("F10", "a condition that always holds", selects_nothing),
)
