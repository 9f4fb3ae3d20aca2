"""The parts of an expression, and how they are written again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

PRECEDENCE = {
    "or": 1,
    "and": 2,
    "not": 3,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "==": 4,
    "!=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
}
COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
SIGN = 7
"""Precedence of the minus in front of a number."""

_ESCAPED = re.compile(r'["\\]')


@dataclass(frozen=True)
class Number:
    """A number with the suffix it was written with, such as `500` and `ms`."""

    value: float
    suffix: str = ""
    position: int = field(default=0, compare=False)
    depth: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Text:
    """A text in quotes."""

    value: str
    position: int = field(default=0, compare=False)
    depth: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Truth:
    """`true` or `false`."""

    value: bool
    position: int = field(default=0, compare=False)
    depth: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Matcher:
    """What an element has to be to be selected; `operator` is one of = != ~ !~."""

    name: str
    operator: str
    value: Number | Text | Truth
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Step:
    """One name of a path, with the elements or the index that is selected of a list."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    index: int | None = None
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Path:
    """A name of the document, such as `operations[service="shop"].p95`."""

    steps: tuple[Step, ...]
    position: int = field(default=0, compare=False)
    depth: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Call:
    """A function of all elements of a selection, such as `max`."""

    function: str
    argument: Node
    position: int = field(default=0, compare=False)
    depth: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Unary:
    """`-` or `not` in front of something."""

    operator: str
    operand: Node
    position: int = field(default=0, compare=False)
    depth: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Binary:
    """Two parts with an operator between them."""

    operator: str
    left: Node
    right: Node
    position: int = field(default=0, compare=False)
    depth: int = field(default=1, compare=False)


Node: TypeAlias = Number | Text | Truth | Path | Call | Unary | Binary


def written(node: Node) -> str:
    """Return an expression in its canonical form, which is parsed to an equal tree."""
    return _written(node, 0)


def _written(node: Node, around: int) -> str:
    """Write a node; `around` is the precedence that it must not be below, else parentheses."""
    match node:
        case Number():
            return _number(node)
        case Text():
            return '"' + _ESCAPED.sub(r"\\\g<0>", node.value) + '"'
        case Truth():
            return "true" if node.value else "false"
        case Path():
            return ".".join(_step(step) for step in node.steps)
        case Call():
            return f"{node.function}({_written(node.argument, 0)})"
        case Unary(operator="not"):
            text, level = f"not {_written(node.operand, PRECEDENCE['not'])}", PRECEDENCE["not"]
        case Unary():
            text, level = f"-{_written(node.operand, SIGN)}", SIGN
        case Binary():
            level = PRECEDENCE[node.operator]
            left = _written(node.left, level + (node.operator in COMPARISONS))
            text = f"{left} {node.operator} {_written(node.right, level + 1)}"
    return f"({text})" if level < around else text


def _number(node: Number) -> str:
    text = repr(node.value)
    return text.removesuffix(".0") + node.suffix


def _step(step: Step) -> str:
    if step.index is not None:
        return f"{step.name}[{step.index}]"
    if not step.matchers:
        return step.name
    inside = ", ".join(f"{m.name}{m.operator}{_written(m.value, 0)}" for m in step.matchers)
    return f"{step.name}[{inside}]"
