"""Checks a tree part by part, kinds and units included, and makes terms of it."""

from __future__ import annotations

from typing import NoReturn

from perftui.analysis.alerting.language.errors import ExpressionError
from perftui.analysis.alerting.language.names import NUMBER, TEXT, TRUTH
from perftui.analysis.alerting.language.paths import path_term
from perftui.analysis.alerting.language.terms import (
    ELEMENT,
    Term,
    TermError,
    constant,
    divided,
    joined,
    multiplied,
    negated,
    quotient_unit,
    reduced,
    unified,
)
from perftui.analysis.alerting.language.tree import (
    COMPARISONS,
    Binary,
    Call,
    Node,
    Number,
    Path,
    Text,
    Truth,
    Unary,
)
from perftui.config.errors import closest
from perftui.quantities import PLAIN, RATIO, quantity

_KINDS = {
    NUMBER: "a number",
    TEXT: "a text",
    TRUTH: "a condition",
    ELEMENT: "a list of elements, of which one name has to follow",
}


def check(node: Node, text: str) -> Term:
    """Return the term of a tree that was parsed from `text`; raises ExpressionError."""
    return _Checker(text).term(node)


class _Checker:
    def __init__(self, text: str) -> None:
        self._text = text

    def term(self, node: Node) -> Term:
        match node:
            case Number():
                value, unit = quantity(str(node.value), node.suffix)
                return constant(value, NUMBER, unit)
            case Text():
                return constant(node.value, TEXT)
            case Truth():
                return constant(node.value, TRUTH)
            case Path():
                return path_term(node, self._text)
            case Call():
                return self._call(node)
            case Unary(operator="not"):
                return negated(self._wanted(node.operand, TRUTH, "not"))
            case Unary():
                operand = self._wanted(node.operand, NUMBER, "-")
                return divided(operand, -1.0, operand.unit)
            case Binary():
                try:
                    return self._binary(node)
                except TermError as error:
                    self._fail(str(error), node)

    def _fail(self, reason: str, node: Node) -> NoReturn:
        raise ExpressionError(reason, self._text, node.position)

    def _wanted(self, node: Node, kind: str, by: str) -> Term:
        term = self.term(node)
        if term.kind != kind:
            self._fail(f"{by} needs {_KINDS[kind]}, and this is {_KINDS[term.kind]}", node)
        return term

    def _call(self, node: Call) -> Term:
        term = self.term(node.argument)
        if not term.paths:
            self._fail(f"{node.function}() is of a selection, and this is a constant", node)
        if node.function != "count" and term.kind != NUMBER:
            self._fail(
                f"{node.function}() needs numbers, and this is {_KINDS[term.kind]}", node.argument
            )
        return reduced(node.function, term)

    def _binary(self, node: Binary) -> Term:
        sign = node.operator
        if sign in ("and", "or"):
            left = self._wanted(node.left, TRUTH, sign)
            return joined(sign, left, self._wanted(node.right, TRUTH, sign), TRUTH)
        if sign in COMPARISONS:
            return self._comparison(node)
        left = self._wanted(node.left, NUMBER, sign)
        right = self._wanted(node.right, NUMBER, sign)
        if sign in ("+", "-"):
            left, right, unit = unified(left, right)
        elif sign == "*":
            left, right, unit = multiplied(left, right)
        else:
            unit = quotient_unit(left, right)
        return joined(sign, left, right, NUMBER, unit)

    def _comparison(self, node: Binary) -> Term:
        left, right = self.sides(node)
        return joined(node.operator, left, right, TRUTH)

    def sides(self, node: Binary) -> tuple[Term, Term]:
        """Return both sides of a comparison in one unit."""
        left, right = self.term(node.left), self.term(node.right)
        for term, part in ((left, node.left), (right, node.right)):
            if term.kind == ELEMENT:
                self._fail(f"this is {_KINDS[ELEMENT]}", part)
        if left.kind != right.kind:
            self._fail(f"{_KINDS[left.kind]} and {_KINDS[right.kind]} cannot be compared", node)
        if left.kind == NUMBER:
            left, right, _ = unified(left, right)
            self._check_ratio(left, right, node)
            self._check_ratio(right, left, node)
        elif node.operator not in ("==", "!="):
            self._fail(f"only numbers can be compared with {node.operator}", node)
        else:
            self._check_words(left, right, node)
            self._check_words(right, left, node)
        return left, right

    def _check_ratio(self, term: Term, other: Term, node: Binary) -> None:
        value = other.constant
        if term.direct and term.unit == RATIO and other.unit == PLAIN and value is not None:
            number = float(value)
            if number > 1:
                self._fail(f"a ratio is from 0 to 1; write {number:g}% for a percentage", node)

    def _check_words(self, term: Term, other: Term, node: Binary) -> None:
        word = other.constant
        if term.words and isinstance(word, str) and word not in term.words:
            hint = closest(word, term.words)
            self._fail(f'this is never "{word}"{hint} ({", ".join(term.words)})', node)


def sides(node: Binary, text: str) -> tuple[Term, Term]:
    """Return both sides of a comparison of a tree that was parsed from `text`, in one unit."""
    return _Checker(text).sides(node)
