"""Turns the words of an expression into a tree, by recursive descent.

expression  = conjunction { "or" conjunction }
conjunction = negation { "and" negation }
negation    = "not" negation | comparison
comparison  = sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
sum         = product { ("+" | "-") product }
product     = signed { ("*" | "/") signed }
signed      = "-" signed | primary
primary     = number | text | "true" | "false" | "(" expression ")"
            | ("min" | "max" | "avg" | "sum" | "count") "(" expression ")" | path
path        = step { "." step }
step        = name [ "[" ( index | matcher { "," matcher } ) "]" ]
matcher     = name ("=" | "!=" | "~" | "!~") (number | text | "true" | "false")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from perftui.analysis.alerting.language.errors import ExpressionError
from perftui.analysis.alerting.language.tokens import END, NAME, NUMBER, SIGN, TEXT, Token, tokens
from perftui.analysis.alerting.language.tree import (
    COMPARISONS,
    Binary,
    Call,
    Matcher,
    Node,
    Number,
    Path,
    Step,
    Text,
    Truth,
    Unary,
)

DEEPEST = 40
"""Parts inside each other at most; a limit, since reading, checking and writing are recursive."""

FUNCTIONS = ("min", "max", "avg", "sum", "count")
KEYWORDS = frozenset({"and", "or", "not", "true", "false"})
MATCHES = frozenset({"=", "!=", "~", "!~"})


def parse(text: str) -> Node:
    """Return the tree of an expression; raises ExpressionError with the place."""
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._inside = 0

    def whole(self) -> Node:
        if self._now.kind == END:
            self._fail("the expression is empty")
        node = self._expression()
        if self._now.kind != END:
            self._fail(self._surprise("an operator such as > or and"))
        return node

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._now
        self._at += token.kind != END
        return token

    def _is(self, *words: str) -> bool:
        return self._now.kind in (SIGN, NAME) and self._now.text in words

    def _expect(self, word: str) -> None:
        if not self._is(word):
            self._fail(self._surprise(word))
        self._take()

    def _fail(self, reason: str, position: int | None = None) -> NoReturn:
        raise ExpressionError(
            reason, self._text, self._now.position if position is None else position
        )

    def _surprise(self, wanted: str) -> str:
        token = self._now
        if token.kind == END:
            return f"the expression ends where {wanted} is expected"
        if token.kind == SIGN and token.text == "=":
            return "= stands in [] only; write == to compare"
        return f"{wanted} is expected here, not {token.text!r}"

    def _expression(self) -> Node:
        self._inside += 1
        if self._inside > DEEPEST:
            self._fail(f"more than {DEEPEST} parts inside each other")
        node = self._chain(self._conjunction, "or")
        self._inside -= 1
        return node

    def _conjunction(self) -> Node:
        return self._chain(self._negation, "and")

    def _chain(self, part: Callable[[], Node], *operators: str) -> Node:
        node = part()
        while self._is(*operators):
            token = self._take()
            node = self._binary(token, node, part())
        return node

    def _binary(self, token: Token, left: Node, right: Node) -> Node:
        depth = self._deeper(max(left.depth, right.depth), token.position)
        return Binary(token.text, left, right, token.position, depth)

    def _deeper(self, depth: int, position: int) -> int:
        if depth >= DEEPEST:
            self._fail(f"more than {DEEPEST} parts inside each other", position)
        return depth + 1

    def _negation(self) -> Node:
        return self._prefixed("not", self._comparison)

    def _prefixed(self, operator: str, part: Callable[[], Node]) -> Node:
        found: list[Token] = []
        while self._is(operator):
            found.append(self._take())
        node = part()
        for token in reversed(found):
            depth = self._deeper(node.depth, token.position)
            node = Unary(operator, node, token.position, depth)
        return node

    def _comparison(self) -> Node:
        left = self._sum()
        if not self._is(*COMPARISONS):
            return left
        token = self._take()
        node = self._binary(token, left, self._sum())
        if self._is(*COMPARISONS):
            self._fail("comparisons do not chain; join two of them with and")
        return node

    def _sum(self) -> Node:
        return self._chain(self._product, "+", "-")

    def _product(self) -> Node:
        return self._chain(self._signed, "*", "/")

    def _signed(self) -> Node:
        return self._prefixed("-", self._primary)

    def _primary(self) -> Node:
        token = self._now
        if token.kind in (NUMBER, TEXT) or self._is("true", "false"):
            return self._constant()
        if self._is("("):
            self._take()
            node = self._expression()
            self._expect(")")
            return node
        if token.kind != NAME or token.text in KEYWORDS:
            self._fail(self._surprise("a name or a number"))
        following = self._tokens[self._at + 1]
        if following.kind == SIGN and following.text == "(":
            return self._call()
        return self._path()

    def _constant(self) -> Number | Text | Truth:
        token = self._take()
        if token.kind == NUMBER:
            return Number(float(token.text), token.suffix, token.position)
        if token.kind == TEXT:
            return Text(token.text, token.position)
        return Truth(token.text == "true", token.position)

    def _call(self) -> Node:
        token = self._take()
        if token.text not in FUNCTIONS:
            from perftui.config.errors import closest

            hint = closest(token.text, FUNCTIONS)
            known = ", ".join(FUNCTIONS)
            self._fail(f"unknown function {token.text}{hint} (functions: {known})", token.position)
        self._expect("(")
        argument = self._expression()
        self._expect(")")
        depth = self._deeper(argument.depth, token.position)
        return Call(token.text, argument, token.position, depth)

    def _path(self) -> Node:
        position = self._now.position
        steps = [self._step()]
        while self._is("."):
            self._take()
            steps.append(self._step())
            if len(steps) > DEEPEST:
                self._fail(f"more than {DEEPEST} names in one path")
        return Path(tuple(steps), position)

    def _step(self) -> Step:
        token = self._now
        # Behind a dot a keyword is a name like any other, but the document has none of these.
        if token.kind != NAME or token.text in KEYWORDS:
            self._fail(self._surprise("a name"))
        self._take()
        if not self._is("["):
            return Step(token.text, position=token.position)
        self._take()
        if self._now.kind == NUMBER:
            number = self._take()
            if number.suffix or not number.text.isdecimal() or len(number.text) > 6:
                self._fail("an index is a whole number from 0 up", number.position)
            self._expect("]")
            return Step(token.text, (), int(number.text), token.position)
        matchers = [self._matcher()]
        while self._is(","):
            self._take()
            matchers.append(self._matcher())
        self._expect("]")
        return Step(token.text, tuple(matchers), None, token.position)

    def _matcher(self) -> Matcher:
        token = self._now
        if token.kind != NAME or token.text in KEYWORDS:
            self._fail(self._surprise('a matcher such as service="shop"'))
        self._take()
        if self._is("=="):
            self._fail("inside [] write = instead of ==")
        if not self._is(*MATCHES):
            self._fail(self._surprise("one of = != ~ !~"))
        operator = self._take().text
        if self._now.kind not in (NUMBER, TEXT) and not self._is("true", "false"):
            self._fail(self._surprise('a text in "double quotes"'))
        return Matcher(token.text, operator, self._constant(), token.position)
