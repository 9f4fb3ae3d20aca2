"""Pieces of PromQL: selectors, escaped values, sums, and several results in one answer.

Grammar: https://prometheus.io/docs/prometheus/latest/querying/basics/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

PART = "perftui_part"
"""Label that tells the parts of one answer apart."""

_STRING = r'(?:"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)"
_MATCHER = re.compile(rf"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*({_STRING})\s*")
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def check_matcher(text: str) -> str:
    """Return label matchers such as `job="shop",env!="test"` in one form; empty stays empty.

    Braces around them and a last comma are allowed. Raises ValueError that says where it is wrong.
    """
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1].strip()
    matchers = []
    place = 0
    while place < len(inner):
        found = _MATCHER.match(inner, place)
        if found is None:
            raise ValueError(
                f"the label matcher is wrong at {_excerpt(inner, place)}; write "
                'LABEL="VALUE", with commas between several, such as job="shop",env=~"prod|test"'
            )
        name, operator, value = found.groups()
        if name == "__name__":
            raise ValueError("the label matcher must not choose metrics by __name__, only labels")
        matchers.append(f"{name}{operator}{value}")
        place = found.end()
        if place < len(inner):
            if inner[place] != ",":
                raise ValueError(
                    f"the label matcher needs a comma before {_excerpt(inner, place)}, "
                    'as in job="shop",env="prod"'
                )
            place += 1
    return ",".join(matchers)


def _excerpt(text: str, place: int) -> str:
    rest = text[place:].strip()
    return repr(rest[:30]) if rest else "its end"


def quoted(value: str) -> str:
    """Return a value as a string of PromQL, which follows the rules of Go for double quotes."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def equals(label: str, value: str) -> str:
    """Return a matcher for one value; the empty value is also that of a missing label."""
    return f"{label}={quoted(value)}"


def one_of(label: str, values: Iterable[str]) -> str:
    """Return a matcher for any of the values, taken literally; one that never matches for none."""
    wanted = sorted(set(values))
    if len(wanted) == 1:
        return equals(label, wanted[0])
    if not wanted:
        # No text is empty and not empty; a selector must not match everything by accident.
        return f'{label}="",{label}!=""'
    return f"{label}=~{quoted('|'.join(_SPECIAL.sub(_escaped, value) for value in wanted))}"


def _escaped(found: re.Match[str]) -> str:
    return "\\" + found.group()


def matches(label: str, pattern: str) -> str:
    """Return a matcher for a regular expression, which has to match the whole value."""
    return f"{label}=~{quoted(pattern)}"


def selector(metric: str, *matchers: str) -> str:
    """Return the selector of a metric; empty matchers are left out."""
    inner = ",".join(matcher for matcher in matchers if matcher)
    return f"{metric}{{{inner}}}"


def duration(seconds: float) -> str:
    """Return a duration in the units of PromQL, which has no fractions."""
    if seconds == int(seconds):
        return f"{int(seconds)}s"
    return f"{round(seconds * 1000)}ms"


def sum_by(labels: Sequence[str], expression: str) -> str:
    """Return the sum of an expression by labels."""
    return f"sum by ({','.join(labels)}) ({expression})"


def increase(selected: str, seconds: float) -> str:
    """Return the growth of a counter over the last seconds, as Prometheus extrapolates it."""
    return f"increase({selected}[{duration(seconds)}])"


def parts(expressions: dict[str, str]) -> str:
    """Return one query for several expressions, told apart in the answer by the label `PART`.

    One question costs one round trip and all its parts are of one moment.
    """
    return " or ".join(
        f'label_replace({expression},"{PART}","{name}","","")'
        for name, expression in expressions.items()
    )
