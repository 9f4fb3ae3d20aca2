"""P1 and P3: fields that nobody reads, and masks that nobody sends."""

from __future__ import annotations

from typing import Final

from perftui.queries.client_tally import MOST_FIELDS
from perftui.queries.rules.field_evidence import Field, FieldReads, field_reads, pinned, upper_bound
from perftui.queries.rules.rule import LEAST_ANSWERS, Rule
from perftui.queries.suggestion import Counterfactual, Saving, Subject, Suggestion

USED_AT_LEAST: Final = 0.01
"""A field belongs into a mask when this share of the answers has it read."""


def unused_fields(subject: Subject) -> Suggestion | None:
    """P1: a field that a query asks for was read in none of at least 100 tracked answers."""
    known = field_reads(subject)
    if known.blocked:
        return None
    query = subject.query
    unused = [
        field
        for field in known.fields
        if field.tracked >= LEAST_ANSWERS
        and field.read == 0
        and not pinned(field.path, query, subject)
        and not _parent_of_read(field.path, known)
    ]
    if query.fields is not None:
        asked = set(query.fields)
        unused = [field for field in unused if field.path in asked]
    if not unused:
        return None
    share = known.share
    saved = sum(share.get(field.path, 0.0) for field in unused)
    least = min(field.tracked for field in unused)
    names = tuple(field.path for field in unused)
    return Suggestion(
        rule="P1",
        action={"type": "remove_fields", "fields": list(names)},
        title=f"leave out {_list(names)}",
        evidence=(
            f"read in 0 of {least:,} tracked answers of every client (used in less than "
            f"{upper_bound(least):.2g} of them with 95 % confidence)"
            + (f"; {saved:.0%} of the bytes" if share else "")
        ),
        risk="code that runs rarely may read them: a report at the end of the month, an error path",
        verify="leave them out for one client first and watch its errors and this list",
        confidence="modelled" if share else "heuristic",
        facts={"answers": least, "fields": len(names), "share": saved},
        change=Counterfactual(fields_removed=names) if share else None,
        saving=Saving(bytes=sum(field.bytes for field in unused)) if share else Saving(),
    )


def missing_mask(subject: Subject) -> Suggestion | None:
    """P3: the endpoint takes a mask, the query has none, and reads are known."""
    query = subject.query
    if query.fields is not None or subject.facts.masks is not True:
        return None
    known = field_reads(subject)
    if known.blocked or not known.fields:
        return None
    if len(known.fields) >= MOST_FIELDS:
        # Those beyond were not counted and would be missing in the mask.
        return None
    used: list[Field] = []
    others: list[Field] = []
    for field in known.fields:
        wanted = field.read >= max(1.0, USED_AT_LEAST * field.tracked)
        # A field that was read at all is never left out: below 1 % it stays, and that is said.
        keep = wanted or field.read > 0 or field.tracked < LEAST_ANSWERS
        keep = keep or pinned(field.path, query, subject) or _parent_of_read(field.path, known)
        (used if keep else others).append(field)
    if not others or not used:
        return None
    share = known.share
    names = tuple(field.path for field in others)
    saved = sum(share.get(name, 0.0) for name in names)
    rare = [
        field.path for field in used if 0 < field.read < max(1.0, USED_AT_LEAST * field.tracked)
    ]
    note = f"; {_list(tuple(rare))} in less than 1 % of them" if rare else ""
    return Suggestion(
        rule="P3",
        action={"type": "set_fields", "fields": [field.path for field in used]},
        title=f"ask for the {len(used)} of {len(known.fields)} fields that are read",
        evidence=(
            f"{len(others)} fields were read in none of {known.answers:,} tracked answers"
            + (f", {saved:.0%} of the bytes" if share else "")
            + note
        ),
        risk="a field that only rare code reads would be missing there",
        verify="send the mask from one client first and watch its errors",
        confidence="modelled" if share else "heuristic",
        facts={"answers": known.answers, "fields": len(used), "share": saved},
        change=Counterfactual(fields_removed=names) if share else None,
        saving=Saving(bytes=sum(field.bytes for field in others)) if share else Saving(),
    )


def _parent_of_read(path: str, known: FieldReads) -> bool:
    """Whether something inside a field was read."""
    return any(each.read and each.path.startswith(f"{path}.") for each in known.fields)


def _list(names: tuple[str, ...], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


RULES: Final = (
    Rule("P1", "fields that nobody reads", unused_fields),
    Rule("P3", "no mask although the endpoint takes one", missing_mask),
)
