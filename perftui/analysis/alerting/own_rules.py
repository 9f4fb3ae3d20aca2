"""Rules of one's own: tables `[rules.NAME]` with an expression."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from perftui.analysis.alerting.expression import (
    CONDITION,
    DIFFERENCE,
    VALUE,
    Expression,
    ExpressionError,
    compile_expression,
)
from perftui.analysis.alerting.language.units import LARGEST
from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rule_errors import RuleError
from perftui.analysis.alerting.rule_values import (
    check_clear,
    duration,
    level,
    levels,
    with_severity,
)
from perftui.format import measure
from perftui.quantities import YES_NO

if TYPE_CHECKING:
    from perftui.config import RuleSettings, Settings

HOLD, KEEP = 30.0, 60.0
"""Seconds that a level is passed before an own rule fires, and left before it ends, if not set."""

MARGIN = 0.1
"""Part of a level that the clear level is away from it, if none is set."""

_SHOWN = 60
_PANES = {
    "operations": "operations",
    "services": "operations",
    "resources": "resources",
    "file_systems": "resources",
    "descriptors": "resources",
    "host": "resources",
    "redis": "cache",
    "redis_detail": "cache",
    "pools": "servers",
    "queries": "queries",
    "processes": "processes",
    "process_counts": "processes",
    "top_calls": "top_calls",
}
_KINDS = {
    "operations": Kind.SYMPTOM,
    "services": Kind.SYMPTOM,
    "file_systems": Kind.CAPACITY,
    "descriptors": Kind.CAPACITY,
    "sources": Kind.SELF,
    "monitor": Kind.SELF,
    "scrape": Kind.SELF,
    "prometheus": Kind.SELF,
}


def own_rules(settings: Settings) -> tuple[Rule, ...]:
    """Return the rules of the configuration that have an expression, in its order.

    Raises RuleError for the first that is wrong.
    """
    return tuple(
        own_rule(name, table) for name, table in settings.rules.items() if table.expr is not None
    )


def own_rule_problems(settings: Settings) -> Iterator[RuleError]:
    """Yield what is wrong with each rule of one's own."""
    for name, table in settings.rules.items():
        if table.expr is not None:
            try:
                own_rule(name, table)
            except RuleError as error:
                yield error


def own_rule(name: str, table: RuleSettings) -> Rule:
    """Return the rule of one table, which has an expression; raises RuleError."""
    place = f"rules.{name}"
    try:
        expression = compile_expression(table.expr or "")
    except ExpressionError as error:
        raise RuleError(f"{place}.expr", error.reason, error.excerpt()) from None
    if table.min_n is not None and not expression.value.counts:
        raise RuleError(
            f"{place}.min_n", "only values of single operations tell of how many calls they are"
        )
    root = min(expression.roots)
    hint = table.hint or f"the rule is [{place}] of the configuration"
    return Rule(
        id=name,
        name=name,
        title=table.title or name.replace("_", " ").replace("-", " ").capitalize(),
        kind=_KINDS.get(root, Kind.UTILISATION),
        unit=YES_NO if expression.form == CONDITION else expression.unit,
        levels=with_severity(_levels(name, table, expression), table.severity),
        measure=expression.measure,
        message=_message(expression),
        hint=lambda reading: hint,
        sources=expression.sources,
        pane=table.pane or _PANES.get(root, "alerts"),
        smoothing=duration(f"{place}.smoothing", table.smoothing, 0.0),
        hold=duration(f"{place}.for", table.hold, HOLD),
        keep=duration(f"{place}.keep", table.keep, KEEP),
        least=table.min_n or 0,
        evidence=lambda snapshot, reading: (f"rule {name}: {expression.text}",),
        enabled=table.enabled is not False,
    )


def _levels(name: str, table: RuleSettings, expression: Expression) -> Levels:
    place = f"rules.{name}"
    if expression.form == VALUE:
        return _given_levels(name, table, expression.unit)
    for key, value in (
        ("warn", table.warn),
        ("warn_clear", table.warn_clear),
        ("crit", table.crit),
        ("crit_clear", table.crit_clear),
        ("above", table.above),
    ):
        if value is not None:
            raise RuleError(
                f"{place}.{key}",
                f"the expression compares already; write the level in expr, or leave the "
                f"comparison out and set {key if key.startswith(('warn', 'crit')) else 'warn'}",
            )
    enter = expression.threshold
    assert enter is not None
    base = Levels(above=expression.above)
    clear = level(f"{place}.clear", table.clear, expression.unit)
    if clear is None:
        clear = (
            enter
            if expression.form in (CONDITION, DIFFERENCE)
            else _usual_clear(enter, expression.unit, expression.above)
        )
    elif expression.form == CONDITION:
        raise RuleError(f"{place}.clear", "a condition has no clear level; it holds or it does not")
    else:
        check_clear(f"{place}.clear", enter, clear, expression.unit, base)
    return Levels(warn=enter, warn_clear=clear, above=expression.above)


def _given_levels(name: str, table: RuleSettings, unit: str) -> Levels:
    place = f"rules.{name}"
    if table.warn is None and table.crit is None:
        raise RuleError(
            f"{place}.expr", "it compares with nothing; add such as > 500ms, or set warn or crit"
        )
    if table.clear is not None:
        raise RuleError(f"{place}.clear", "write warn_clear or crit_clear for these levels")
    base = Levels(above=table.above is not False)
    found = levels(name, table, unit, base)
    warn_clear, crit_clear = found.warn_clear, found.crit_clear
    if found.warn is not None and warn_clear is None:
        warn_clear = _usual_clear(found.warn, unit, base.above)
    if found.crit is not None and crit_clear is None:
        crit_clear = _usual_clear(found.crit, unit, base.above)
    return Levels(found.warn, warn_clear, found.crit, crit_clear, base.above)


def _usual_clear(enter: float, unit: str, above: bool) -> float:
    """Return a clear level MARGIN away, halfway at most to the largest value there can be."""
    distance = MARGIN * abs(enter)
    if above:
        return enter - distance
    room = LARGEST.get(unit, float("inf")) - enter
    return enter + (min(distance, room / 2) if room > 0 else distance)


def _message(expression: Expression) -> Callable[[Reading, float], str]:
    unit = expression.unit
    left, text = _cut(expression.left), _cut(expression.text)

    def message(reading: Reading, level: float) -> str:
        if expression.form == CONDITION:
            return f"{text} holds"
        value = reading.value
        if expression.form == DIFFERENCE and reading.baseline is not None:
            value, level = value + reading.baseline, reading.baseline
        return f"{left} is {measure(value, unit)}, limit {measure(level, unit)}"

    return message


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
