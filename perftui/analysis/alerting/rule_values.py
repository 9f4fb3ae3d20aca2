"""Levels and durations of the tables `[rules.NAME]`, checked and in the units of their rule."""

from __future__ import annotations

from perftui.analysis.alerting.rule import Levels
from perftui.analysis.alerting.rule_errors import RuleError
from perftui.config.rule_settings import RuleSettings
from perftui.format import measure
from perftui.quantities import PLAIN, SECONDS, Quantity, in_unit, parse_quantity

LONGEST = 7 * 86400.0
"""Seconds that a duration may have: a week."""


def level(setting: str, value: float | str | None, unit: str) -> float | None:
    """Return a level as a number of the unit; raises RuleError."""
    if value is None:
        return None
    try:
        given = parse_quantity(value) if isinstance(value, str) else Quantity(float(value), PLAIN)
        return in_unit(given, unit)
    except ValueError as error:
        shown = f'"{value}"' if isinstance(value, str) else f"{value:g}"
        reason = str(error) if str(error).startswith(("'", '"')) else f"{shown} {error}"
        raise RuleError(setting, reason) from None


def duration(setting: str, value: float | str | None, usual: float) -> float:
    """Return seconds, the usual ones where nothing is set; raises RuleError."""
    seconds = level(setting, value, SECONDS)
    if seconds is None:
        return usual
    if not 0 <= seconds <= LONGEST:
        raise RuleError(setting, f"is {seconds:g} s; it must be from 0 s to 7d")
    return seconds


def levels(name: str, table: RuleSettings, unit: str, base: Levels) -> Levels:
    """Return the levels of a rule with what its table changes; raises RuleError.

    A clear level that is not set keeps its proportion to a level that is.
    """
    warn, warn_clear = _pair(name, "warn", (table.warn, table.warn_clear), unit, base)
    crit, crit_clear = _pair(name, "crit", (table.crit, table.crit_clear), unit, base)
    if warn is not None and crit is not None and _beyond(warn, crit, base.above):
        side = "below" if base.above else "above"
        key = "warn" if table.crit is None else "crit"
        raise RuleError(
            f"rules.{name}.{key}",
            f"crit ({measure(crit, unit)}) is {side} warn ({measure(warn, unit)}): "
            "critical must be the worse level",
        )
    return Levels(warn, warn_clear, crit, crit_clear, base.above, base.informs)


def _beyond(value: float, level: float, above: bool) -> bool:
    return value > level if above else value < level


def _pair(
    name: str,
    key: str,
    given: tuple[float | str | None, float | str | None],
    unit: str,
    base: Levels,
) -> tuple[float | None, float | None]:
    place = f"rules.{name}.{key}"
    usual, usual_clear = (
        (base.warn, base.warn_clear) if key == "warn" else (base.crit, base.crit_clear)
    )
    enter, clear = level(place, given[0], unit), level(f"{place}_clear", given[1], unit)
    if enter is None:
        enter = usual
        if enter is None:
            if clear is not None:
                raise RuleError(f"{place}_clear", f"{key}_clear needs {key}, which has no value")
            return None, None
        clear = usual_clear if clear is None else clear
    elif clear is None and usual and usual_clear is not None:
        clear = enter * usual_clear / usual
    if clear is not None:
        check_clear(f"{place}_clear" if given[1] is not None else place, enter, clear, unit, base)
    return enter, clear


def check_clear(setting: str, enter: float, clear: float, unit: str, base: Levels) -> None:
    """Raise RuleError for a clear level on the side where the alert fires."""
    if _beyond(clear, enter, base.above):
        side, ends = ("above", "below") if base.above else ("below", "above")
        raise RuleError(
            setting,
            f"the clear level ({measure(clear, unit)}) is {side} the level "
            f"({measure(enter, unit)}): the alert ends {ends} it",
        )


def with_severity(levels: Levels, severity: str | None) -> Levels:
    """Return levels at which every alert has one severity, from the first level on."""
    if severity is None:
        return levels
    first = levels.crit if levels.warn is None else levels.warn
    clear = levels.crit_clear if levels.warn is None else levels.warn_clear
    if severity == "critical":
        return Levels(None, None, first, clear, levels.above)
    return Levels(first, clear, None, None, levels.above, informs=severity == "info")
