"""Expressions of own rules: `operations[service="shop"].p95 > 500ms` and what it reads.

The names are those of the JSON document that `perftui once --json` prints. Nothing is evaluated
by Python: a hand-written parser makes a tree, names, kinds and units are checked, and small
functions over the snapshot are put together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from perftui.analysis.alerting.language.checking import check, sides
from perftui.analysis.alerting.language.errors import ExpressionError
from perftui.analysis.alerting.language.names import NUMBER, TRUTH, sources_of
from perftui.analysis.alerting.language.parser import parse
from perftui.analysis.alerting.language.terms import Term, TermError, joined
from perftui.analysis.alerting.language.tree import Binary, written
from perftui.analysis.alerting.rule import Reading
from perftui.quantities import PLAIN
from perftui.snapshot import Snapshot

__all__ = ["Expression", "ExpressionError", "compile_expression", "parse", "written"]

LEVEL, DIFFERENCE, CONDITION, VALUE = "level", "difference", "condition", "value"
"""What an expression is: a value compared with a constant, with another value, a condition of
several parts, or a value without comparison."""

HALF = 0.5
"""Level for a condition, which is 1 where it holds and 0 where not."""

_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}


@dataclass(frozen=True)
class Expression:
    """A checked expression; `threshold` is what its value is compared with, None for a `value`.

    `text` is canonical, `left` that of the value alone.
    """

    text: str
    left: str
    form: str
    unit: str
    threshold: float | None
    above: bool
    value: Term
    other: Term | None = None

    @property
    def roots(self) -> frozenset[str]:
        """The first names of all paths."""
        return frozenset(path[0] for path in self.value.paths)

    @property
    def sources(self) -> frozenset[str]:
        """The names of the sources that the values come from."""
        return frozenset(name for path in self.value.paths for name in sources_of(path))

    def measure(self, snapshot: Snapshot) -> list[Reading]:
        """Return a reading per element; none for what is missing.

        Subjects are the labels of the element, outer lists first, joined with `/`; the first label
        is the group.
        """
        found = self.value.evaluate(snapshot)
        if not found:
            return []
        counts = [(size, count(snapshot) or {}) for size, count in self.value.counts]
        baselines = (self.other.evaluate(snapshot) or {}) if self.other is not None else {}
        size = next((len(key) for key in baselines), 0)
        everything = self._everything()
        readings = []
        for key, value in found.items():
            if value is None:
                continue
            subject = "/".join(key)
            calls = [numbers.get(key[:depth]) for depth, numbers in counts]
            known = [int(number) for number in calls if isinstance(number, float)]
            usual = baselines.get(key[:size])
            readings.append(
                Reading(
                    subject=subject or everything,
                    value=float(value),
                    n=min(known) if known else None,
                    baseline=usual if isinstance(usual, float) else None,
                    window=self.value.window,
                    group=subject.partition("/")[0] if "/" in subject else "",
                )
            )
        return readings

    def _everything(self) -> str:
        """Return the subject of a rule that is not about elements of a list."""
        names = {path[1] if path[0] == "resources" else path[0] for path in self.value.paths}
        return ", ".join(sorted(names))


def compile_expression(text: str) -> Expression:
    """Return the expression of a text.

    Raises ExpressionError, of which `str` shows the place with a caret.
    """
    tree = parse(text)
    term = check(tree, text)
    if not term.paths:
        raise ExpressionError("nothing in it is measured: name a value of the document", text, 0)
    if term.kind == NUMBER:
        shown = written(tree)
        return Expression(shown, shown, VALUE, term.unit, None, True, term)
    if term.kind != TRUTH:
        reason = "a rule is a comparison, a condition or a number, such as redis.latency > 10ms"
        raise ExpressionError(reason, text, tree.position)
    if isinstance(tree, Binary) and tree.operator in _FLIPPED:
        return _compared(tree, text)
    return Expression(written(tree), written(tree), CONDITION, PLAIN, HALF, True, term)


def _compared(tree: Binary, text: str) -> Expression:
    left, right = sides(tree, text)
    sign, value_node = tree.operator, tree.left
    if left.constant is not None:
        left, right, sign, value_node = right, left, _FLIPPED[sign], tree.right
    above = sign in (">", ">=")
    if right.constant is None:
        return _difference(tree, text, (left, right), above)
    threshold = float(right.constant)
    if sign in (">=", "<="):
        # The level has to be passed, so that equal counts too when it is the next smaller number.
        threshold = math.nextafter(threshold, -math.inf if above else math.inf)
    unit = left.unit or right.unit
    return Expression(written(tree), written(value_node), LEVEL, unit, threshold, above, left)


def _difference(tree: Binary, text: str, parts: tuple[Term, Term], above: bool) -> Expression:
    left, right = parts
    unit = left.unit or right.unit
    try:
        value = joined("-", left, right, NUMBER, unit)
    except TermError as error:  # pragma: no cover - the comparison has been checked already
        raise ExpressionError(str(error), text, tree.position) from None
    threshold = 0.0
    if tree.operator in (">=", "<="):
        threshold = math.nextafter(0.0, -math.inf if above else math.inf)
    return Expression(
        written(tree), written(tree.left), DIFFERENCE, unit, threshold, above, value, right
    )
