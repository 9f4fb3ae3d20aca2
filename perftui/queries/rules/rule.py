"""What a rule is, and what several of them need to know of the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeAlias

from perftui.queries.evidence import ClientUse, ShapeEvidence, Spread
from perftui.queries.suggestion import Subject, Suggestion

Judge: TypeAlias = Callable[[Subject], Suggestion | None]

LEAST_ANSWERS: Final = 100
"""Answers of a kind below which nothing is said of their habits."""


class Rule(NamedTuple):
    """A rule: its name of the catalogue, what it is about, and how it judges a query.

    `static`: it can judge by the text of the query alone.
    """

    id: str
    title: str
    judge: Judge
    static: bool = False


def siblings(subject: Subject) -> tuple[ShapeEvidence, ...]:
    """Return the evidence of all shapes that read the same list: its first page and the others."""
    if subject.shape is None:
        return ()
    shape = subject.shape.shape
    return tuple(
        each
        for each in subject.all.of_endpoint(shape.endpoint)
        if each.shape.conditions == shape.conditions and each.shape.sort == shape.sort
    )


def clients(shapes: Iterable[ShapeEvidence]) -> tuple[ClientUse, ...]:
    """Return what every client did with the answers of these shapes."""
    return tuple(client for shape in shapes for client in shape.clients)


def total(spread: Iterable[Spread]) -> int:
    """Return how often anything came up."""
    return sum(each.count for each in spread)


def quantile(spread: Iterable[Spread], share: float) -> int | None:
    """Return the least number that `share` of all do not exceed; None where there is none."""
    ordered = sorted(spread, key=lambda each: each.value)
    wanted = share * total(ordered)
    seen = 0
    for each in ordered:
        seen += each.count
        if seen >= wanted:
            return each.value
    return None


def united(spreads: Iterable[tuple[Spread, ...]]) -> tuple[Spread, ...]:
    """Return several distributions as one."""
    counts: dict[int, list[int]] = {}
    for spread in spreads:
        for each in spread:
            cell = counts.setdefault(each.value, [0, 0])
            cell[0] += each.count
            cell[1] += each.censored
    return tuple(Spread(value, *cell) for value, cell in sorted(counts.items()))


def plural(number: float, word: str) -> str:
    """Return a number with its word in the right form."""
    return f"{number:,.0f} {word}{'' if number == 1 else 's'}"
