"""Series of values over time in the files of `perftui rules test`, short as in promtool's tests.

`50x60` is 50 for 60 ticks, `50..90x5` goes from 50 to 90 in 5 ticks, `_x10` is 10 ticks without a
value; numbers may have a unit, such as `500ms`. A list has one value per tick.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from perftui.analysis.alerting.language.names import NUMBER, TRUTH
from perftui.analysis.alerting.language.terms import Term
from perftui.quantities import PLAIN, Quantity, in_unit, parse_quantity

MOST_TICKS = 100_000
MISSING: Final = None

Sample: TypeAlias = float | bool | str | None
"""The value of one tick; None where there is none."""

_REPEATED = re.compile(r"(.+?)x([0-9]{1,7})")
_TRUTHS = {"true": True, "false": False}


class NotationError(ValueError):
    """A series is not written as it should be; the message says what is wrong."""


def samples(given: object, term: Term) -> tuple[Sample, ...]:
    """Return the values of a series of a name, which `term` stands for, tick by tick.

    Raises NotationError.
    """
    if isinstance(given, str):
        found = tuple(_of_text(given, term))
    elif isinstance(given, list):
        found = tuple(_sample(item, term) for item in given)
    else:
        found = (_sample(given, term),)
    if not found:
        raise NotationError("the series has no values")
    if len(found) > MOST_TICKS:
        raise NotationError(f"the series has more than {MOST_TICKS} values")
    return found


def _of_text(text: str, term: Term) -> list[Sample]:
    found: list[Sample] = []
    for word in text.split():
        match = _REPEATED.fullmatch(word)
        value, count = (match[1], int(match[2])) if match else (word, 1)
        if count == 0 or len(found) + count > MOST_TICKS:
            raise NotationError(f"{word!r}: from 1 to {MOST_TICKS} ticks are allowed")
        begin, dots, end = value.partition("..")
        if dots and term.kind == NUMBER:
            found += _ramp(_number(begin, term), _number(end, term), count)
        else:
            found += [_sample(value, term)] * count
    return found


def _ramp(begin: float, end: float, count: int) -> list[float]:
    if count == 1:
        return [end]
    return [begin + (end - begin) * tick / (count - 1) for tick in range(count)]


def _sample(value: object, term: Term) -> Sample:
    if value == "_":
        return MISSING
    if term.kind == NUMBER:
        return _number(value, term)
    if term.kind == TRUTH:
        truth = _TRUTHS.get(value) if isinstance(value, str) else value
        if isinstance(truth, bool):
            return truth
        raise NotationError(f"{value!r} is neither true nor false")
    if not isinstance(value, str):
        raise NotationError(f"{value!r} is not a text")
    if term.words and value not in term.words:
        raise NotationError(f"{value!r} is not one of {', '.join(term.words)}")
    return value


def _number(value: object, term: Term) -> float:
    try:
        if isinstance(value, str):
            return in_unit(parse_quantity(value), term.unit)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            number = float(value)
            if abs(number) < float("inf"):
                return in_unit(Quantity(number, PLAIN), term.unit)
    except (ValueError, OverflowError) as error:
        reason = str(error)
        shown = reason if reason.startswith(("'", '"')) else f"{value!r} {reason}"
        raise NotationError(shown) from None
    raise NotationError(f"{value!r} is not a number")
