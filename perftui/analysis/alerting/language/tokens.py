"""Cuts an expression into its words."""

from __future__ import annotations

import re
from typing import NamedTuple

from perftui.analysis.alerting.language.errors import ExpressionError
from perftui.quantities import WRITTEN, quantity

LONGEST = 2000
"""Characters of an expression at most."""

NUMBER, TEXT, NAME, SIGN, END = "number", "text", "name", "sign", "end"

_BLANK = re.compile(r"[ \t\r\n]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SIGN = re.compile(r"<=|>=|==|!=|!~|[-+*/<>=~()\[\].,]")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Token(NamedTuple):
    """One word; `text` of a number is without its suffix, of a text without quotes."""

    kind: str
    text: str
    position: int
    suffix: str = ""


def tokens(text: str) -> list[Token]:
    """Return the words of an expression, with one of kind `end` behind them.

    Raises ExpressionError.
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"longer than {LONGEST} characters", text, LONGEST)
    found: list[Token] = []
    at = _skip(text, 0)
    while at < len(text):
        token, end = _next(text, at)
        found.append(token)
        at = _skip(text, end)
    return [*found, Token(END, "", len(text))]


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _next(text: str, at: int) -> tuple[Token, int]:
    if match := WRITTEN.match(text, at):
        number, suffix = match[1], match[2] or ""
        try:
            quantity(number, suffix)
        except ValueError as error:
            raise ExpressionError(str(error), text, at) from None
        following = text[match.end() : match.end() + 1]
        if following.isalnum() or following == "_":
            raise ExpressionError(f"{following!r} cannot follow a number", text, match.end())
        return Token(NUMBER, number, at, suffix), match.end()
    if match := _NAME.match(text, at):
        return Token(NAME, match[0], at), match.end()
    if text[at] == '"':
        match = _TEXT.match(text, at)
        if match is None:
            raise ExpressionError('this text has no closing "', text, at)
        return Token(TEXT, _ESCAPE.sub(r"\1", match[1]), at), match.end()
    if match := _SIGN.match(text, at):
        return Token(SIGN, match[0], at), match.end()
    hint = '; texts stand in "double quotes"' if text[at] == "'" else ""
    raise ExpressionError(f"{text[at]!r} has no meaning here{hint}", text, at)
