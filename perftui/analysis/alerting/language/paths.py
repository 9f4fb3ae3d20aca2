"""Checks a path against the names of the document and makes a term of it."""

from __future__ import annotations

from typing import NoReturn

from perftui.analysis.alerting.language import selection
from perftui.analysis.alerting.language.errors import ExpressionError
from perftui.analysis.alerting.language.names import (
    NUMBER,
    TEXT,
    TRUTH,
    Field,
    Leaf,
    Many,
    Record,
    roots,
)
from perftui.analysis.alerting.language.selection import Evaluate, Test, Walk
from perftui.analysis.alerting.language.terms import ELEMENT, Term
from perftui.analysis.alerting.language.tree import Matcher, Number, Path, Step, Text, Truth
from perftui.config.errors import closest
from perftui.quantities import PLAIN, SECONDS, in_unit, quantity

_KINDS = {NUMBER: "a number", TEXT: "a text", TRUTH: "true or false"}
_MOST_NAMES = 24


def path_term(path: Path, text: str) -> Term:
    """Return the term of a path; raises ExpressionError with the place of the wrong name."""
    return _Walker(path, text).term()


class _Walker:
    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._names: list[str] = []
        self._walks: list[Walk] = []
        self._dims: list[str] = []
        self._picks: set[tuple[str, str, str]] = set()
        self._counts: list[tuple[int, Evaluate]] = []
        self._window = 0.0

    def term(self) -> Term:
        inside: Record | None = None
        fields = roots()
        for number, step in enumerate(self._path.steps):
            found = self._field(fields, step)
            self._names.append(step.name)
            last = number == len(self._path.steps) - 1
            kind = found.kind
            if isinstance(kind, Many):
                self._list(found, kind, step)
                inside = kind.element if isinstance(kind.element, Record) else None
                if inside is None:
                    return self._leaf(kind.element, last)
            else:
                self._walks.append(selection.field(found.get))
                if step.matchers or step.index is not None:
                    self._fail(f"{step.name} is not a list, so nothing can be selected of it", step)
                inside = kind if isinstance(kind, Record) else None
                if inside is None:
                    return self._leaf(kind, last)
            fields = inside.fields
        if not isinstance(kind, Many):
            names = ", ".join(sorted(fields))
            self._fail(f"{step.name} has no value itself; go on with one of {names}", step)
        return self._done(ELEMENT, PLAIN, ())

    def _fail(self, reason: str, part: Step | Matcher) -> NoReturn:
        raise ExpressionError(reason, self._text, part.position)

    def _field(self, fields: dict[str, Field], step: Step) -> Field:
        found = fields.get(step.name)
        if found is None:
            named = ".".join([*self._names, step.name])
            self._fail(f"unknown name {named}{_known(step.name, fields)}", step)
        return found

    def _leaf(self, kind: Record | Leaf, last: bool) -> Term:
        assert isinstance(kind, Leaf)
        if not last:
            following = self._path.steps[len(self._names)]
            what = _KINDS[kind.kind]
            self._fail(f"{'.'.join(self._names)} is {what} and has no names inside", following)
        return self._done(kind.kind, kind.unit, kind.words)

    def _done(self, kind: str, unit: str, words: tuple[str, ...]) -> Term:
        return Term(
            kind,
            selection.values(tuple(self._walks)),
            unit,
            tuple(self._dims),
            frozenset(self._picks),
            words=words,
            direct=True,
            paths=(tuple(self._names),),
            counts=tuple(self._counts),
            window=self._window,
        )

    def _list(self, found: Field, kind: Many, step: Step) -> None:
        name = ".".join(self._names)
        self._walks.append(selection.field(found.get))
        element = kind.element
        if isinstance(element, Leaf):
            if step.matchers:
                self._fail(f"{name} is a list of numbers: select one with [0]", step)
            if step.index is not None:
                self._walks.append(selection.item(step.index))
                return
            self._dims.append(name)
            self._walks.append(selection.numbers())
            return
        if step.index is not None:
            example = f'{step.name}[{element.labels[0]}="..."]'
            self._fail(f"the order of {name} is not fixed: select by name, {example}", step)
        self._dims.append(name)
        matchers = list(step.matchers)
        if self._names == ["operations"]:
            self._window = self._take_window(matchers)
            tests = tuple(self._test(name, element, matcher) for matcher in matchers)
            self._walks.append(selection.operations(self._window, tests))
        else:
            tests = tuple(self._test(name, element, matcher) for matcher in matchers)
            self._walks.append(selection.elements(element, tests))
        if selection.has_count(element):
            counted = selection.field(element.fields["count"].get)
            self._counts.append((len(self._dims), selection.values((*self._walks, counted))))

    def _take_window(self, matchers: list[Matcher]) -> float:
        """Take out the matcher of the window, which chooses what is read; return its seconds."""
        chosen = selection.WINDOWS["10s"]
        for matcher in [matcher for matcher in matchers if matcher.name == "window"]:
            matchers.remove(matcher)
            chosen = self._window_seconds(matcher)
        return chosen

    def _window_seconds(self, matcher: Matcher) -> float:
        value = matcher.value
        if matcher.operator == "=":
            if isinstance(value, Text) and value.value in selection.WINDOWS:
                return selection.WINDOWS[value.value]
            if isinstance(value, Number):
                given = quantity(str(value.value), value.suffix)
                if given.unit in (SECONDS, PLAIN) and given.value >= 1:
                    return given.value
        allowed = ", ".join(f'"{name}"' for name in selection.WINDOWS)
        reason = f"window= must be one of {allowed}, or a number of seconds from 1 up"
        raise ExpressionError(reason, self._text, matcher.position)

    def _test(self, name: str, record: Record, matcher: Matcher) -> Test:
        found = record.fields.get(matcher.name)
        if found is None or not isinstance(found.kind, Leaf):
            hint = _known(
                matcher.name, {n: f for n, f in record.fields.items() if isinstance(f.kind, Leaf)}
            )
            self._fail(f"{name} has no {matcher.name} to select by{hint}", matcher)
        kind, get = found.kind, found.get
        value = matcher.value
        sign = matcher.operator
        if sign in ("~", "!~"):
            if kind.kind != TEXT or not isinstance(value, Text):
                self._fail(f'{sign} compares a text with a pattern such as "a*"', matcher)
            fits = selection.wildcard(value.value)
            return lambda element: fits(str(selection.plain(get(element)))) == (sign == "~")
        wanted = self._wanted(kind, matcher)
        if sign == "=" and kind.kind == TEXT and matcher.name in record.labels:
            self._picks.add((name, matcher.name, str(wanted)))
        if sign == "=":
            return lambda element: selection.measured(get(element)) == wanted
        # What is not known is neither equal nor different.
        return lambda element: selection.measured(get(element)) not in (wanted, None)

    def _wanted(self, kind: Leaf, matcher: Matcher) -> float | str | bool:
        value = matcher.value
        if kind.kind == TEXT and isinstance(value, Text):
            if kind.words and value.value not in kind.words:
                hint = closest(value.value, kind.words)
                words = ", ".join(kind.words)
                self._fail(f'{matcher.name} is never "{value.value}"{hint} ({words})', matcher)
            return value.value
        if kind.kind == TRUTH and isinstance(value, Truth):
            return value.value
        if kind.kind == NUMBER and isinstance(value, Number):
            try:
                return in_unit(quantity(str(value.value), value.suffix), kind.unit)
            except ValueError as error:
                self._fail(f"{matcher.name} {error}", matcher)
        reason = f"{matcher.name} is {_KINDS[kind.kind]}"
        raise ExpressionError(reason, self._text, matcher.position)


def _known(word: str, fields: dict[str, Field]) -> str:
    names = sorted(fields)
    listed = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"{closest(word, names)} (names: {listed})"
