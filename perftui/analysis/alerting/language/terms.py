"""Terms: checked parts of an expression that can be evaluated, and the operators between them.

A missing value makes what is computed from it missing; `and` and `or` need only one side where
that decides (Kleene's strong logic of three values).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from perftui.analysis.alerting.language.selection import Evaluate, Key, Value, Values
from perftui.quantities import PERCENT, PLAIN, RATIO
from perftui.snapshot import Snapshot

ELEMENT = "element"
"""Kind of a selection of elements without a value, which can only be counted."""

Operation: TypeAlias = Callable[[Value | None, Value | None], Value | None]


@dataclass(frozen=True)
class Term:
    """A part of an expression with its kind and unit.

    `dims` are the lists whose elements it has a value for each of, `picks` the labels that select
    one element of them as (list, label, value). `counts` give how many calls a value is made of.
    """

    kind: str
    evaluate: Evaluate
    unit: str = PLAIN
    dims: tuple[str, ...] = ()
    picks: frozenset[tuple[str, str, str]] = frozenset()
    constant: Value | None = None
    words: tuple[str, ...] = ()
    direct: bool = False
    paths: tuple[tuple[str, ...], ...] = ()
    counts: tuple[tuple[int, Evaluate], ...] = ()
    window: float = 0.0


class TermError(Exception):
    """Two terms do not go together; the message says why."""


def constant(value: Value, kind: str, unit: str = PLAIN) -> Term:
    """Return a term that is the same always."""
    found: Values = {(): value}
    return Term(kind, lambda snapshot: found, unit, constant=value)


def _finite(result: float) -> float | None:
    return result if math.isfinite(result) else None


def _arithmetic(compute: Callable[[float, float], float]) -> Operation:
    def apply(left: Value | None, right: Value | None) -> Value | None:
        if left is None or right is None:
            return None
        try:
            return _finite(compute(float(left), float(right)))
        except (ZeroDivisionError, OverflowError):
            return None

    return apply


def _comparing(compare: Callable[[Value, Value], bool]) -> Operation:
    def apply(left: Value | None, right: Value | None) -> Value | None:
        return None if left is None or right is None else compare(left, right)

    return apply


def _and(left: Value | None, right: Value | None) -> Value | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _or(left: Value | None, right: Value | None) -> Value | None:
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


OPERATIONS: dict[str, Operation] = {
    "+": _arithmetic(operator.add),
    "-": _arithmetic(operator.sub),
    "*": _arithmetic(operator.mul),
    "/": _arithmetic(operator.truediv),
    "<": _comparing(operator.lt),
    "<=": _comparing(operator.le),
    ">": _comparing(operator.gt),
    ">=": _comparing(operator.ge),
    "==": _comparing(operator.eq),
    "!=": _comparing(operator.ne),
    "and": _and,
    "or": _or,
}


def joined(sign: str, left: Term, right: Term, kind: str, unit: str = PLAIN) -> Term:
    """Return the term of an operator between two, element by element; raises TermError."""
    dims = _common_dims(left, right)
    _check_picks(left, right)
    apply = OPERATIONS[sign]
    evaluate = _joined_values(apply, left.evaluate, right.evaluate, sign in ("and", "or"))
    term = _combined(left, right, kind, evaluate, unit, dims)
    if left.constant is not None and right.constant is not None:
        value = apply(left.constant, right.constant)
        if value is None:
            raise TermError("this is no finite number")
        return constant(value, kind, unit)
    return term


def _combined(
    left: Term, right: Term, kind: str, evaluate: Evaluate, unit: str, dims: tuple[str, ...]
) -> Term:
    return Term(
        kind,
        evaluate,
        unit,
        dims,
        left.picks | right.picks,
        paths=left.paths + right.paths,
        counts=left.counts + right.counts,
        window=max(left.window, right.window),
    )


def _common_dims(left: Term, right: Term) -> tuple[str, ...]:
    short, long = sorted((left.dims, right.dims), key=len)
    if long[: len(short)] != short:
        raise TermError(
            f"there is one value for each of {left.dims[-1]} and one for each of {right.dims[-1]}, "
            "which do not go together; put min(), max(), avg(), sum() or count() around one"
        )
    return long


def _check_picks(left: Term, right: Term) -> None:
    picked = {(part, label): value for part, label, value in left.picks}
    for part, label, value in sorted(right.picks):
        other = picked.get((part, label), value)
        if other != value:
            raise TermError(
                f'{label}="{other}" and {label}="{value}" are different elements, which never go '
                "together; put min(), max(), avg(), sum() or count() around one"
            )


def _joined_values(apply: Operation, left: Evaluate, right: Evaluate, either: bool) -> Evaluate:
    def evaluate(snapshot: Snapshot) -> Values:
        first, second = left(snapshot), right(snapshot)
        if first is None or second is None:
            if not either or (first is None and second is None):
                return None
            first, second = first or {}, second or {}
        one, two = _length(first), _length(second)
        keys = _keys(first, second, either)
        return {key: apply(first.get(key[:one]), second.get(key[:two])) for key in keys}

    return evaluate


def _keys(
    first: dict[Key, Value | None], second: dict[Key, Value | None], either: bool
) -> list[Key]:
    """Return the keys of both, or of either, in the order of the document."""
    long, short = (first, second) if _length(first) >= _length(second) else (second, first)
    if either:
        alike = _length(long) == _length(short)
        return [*long, *(key for key in short if alike and key not in long)]
    size = _length(short)
    return [key for key in long if key[:size] in short]


def _length(found: dict[Key, Value | None]) -> int:
    return next((len(key) for key in found), 0)


def negated(term: Term) -> Term:
    """Return the term of `not`."""

    def evaluate(snapshot: Snapshot) -> Values:
        found = term.evaluate(snapshot)
        if found is None:
            return None
        return {key: None if value is None else not value for key, value in found.items()}

    flipped = None if term.constant is None else not term.constant
    return replace(term, evaluate=evaluate, constant=flipped, direct=False)


def divided(term: Term, divisor: float, unit: str) -> Term:
    """Return a number term over a divisor that is not 0, in another unit.

    5 over 100 is 0.05, which 5 times 0.01 need not be.
    """

    def evaluate(snapshot: Snapshot) -> Values:
        found = term.evaluate(snapshot)
        if found is None:
            return None
        return {key: _over(value, divisor) for key, value in found.items()}

    value = _over(term.constant, divisor)
    return replace(term, evaluate=evaluate, constant=value, unit=unit, direct=False)


def _over(value: Value | None, divisor: float) -> Value | None:
    return None if value is None else _finite(float(value) / divisor)


def unified(left: Term, right: Term) -> tuple[Term, Term, str]:
    """Return two numbers in one unit, and that unit; a plain number takes any.

    Raises TermError where the units do not go together.
    """
    if left.unit == right.unit:
        return left, right, left.unit
    if {left.unit, right.unit} == {PERCENT, RATIO}:
        if left.unit == PERCENT:
            return divided(left, 100.0, RATIO), right, RATIO
        return left, divided(right, 100.0, RATIO), RATIO
    if PLAIN in (left.unit, right.unit):
        plain, other = (left, right) if left.unit == PLAIN else (right, left)
        if other.unit == PERCENT and other.constant is not None and plain.constant is None:
            raise TermError("% needs a percent or a ratio beside it, and this is a plain number")
        return left, right, other.unit
    raise TermError(f"{left.unit} and {right.unit} do not go together")


def multiplied(left: Term, right: Term) -> tuple[Term, Term, str]:
    """Return the factors of a product with its unit; `80%` of something is 0.8 times that."""
    if _share(left, right):
        left = divided(left, 100.0, PLAIN)
    elif _share(right, left):
        right = divided(right, 100.0, PLAIN)
    units = {left.unit, right.unit} - {PLAIN, RATIO}
    if not units:
        return left, right, RATIO if RATIO in (left.unit, right.unit) else PLAIN
    known = left.unit in (PLAIN, RATIO) or right.unit in (PLAIN, RATIO)
    return left, right, units.pop() if known else PLAIN


def _share(part: Term, whole: Term) -> bool:
    return part.unit == PERCENT and part.constant is not None and whole.constant is None


def quotient_unit(left: Term, right: Term) -> str:
    """Return the unit of a quotient: of two equal units a ratio."""
    if left.unit == right.unit:
        return RATIO
    return left.unit if right.unit in (PLAIN, RATIO) else PLAIN


REDUCTIONS: dict[str, Callable[[list[float]], float]] = {
    "min": min,
    "max": max,
    "avg": lambda numbers: math.fsum(numbers) / len(numbers),
    "sum": math.fsum,
}


def reduced(function: str, term: Term) -> Term:
    """Return a function of all elements; without any there is no value, but a count of 0.

    What is missing is left out. Of truths `count` counts those that hold.
    """

    def evaluate(snapshot: Snapshot) -> Values:
        found = term.evaluate(snapshot)
        if found is None:
            return None
        if function == "count":
            return {
                (): float(sum(value is not None and value is not False for value in found.values()))
            }
        numbers = [float(value) for value in found.values() if value is not None]
        if not numbers:
            return {}
        try:
            return {(): _finite(REDUCTIONS[function](numbers))}
        except OverflowError:
            return {(): None}

    return Term(
        "number",
        evaluate,
        PLAIN if function == "count" else term.unit,
        paths=term.paths,
        window=term.window,
    )
