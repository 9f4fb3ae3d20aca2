"""Rules with what the configuration changes: levels, durations, severity, on or off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from perftui.analysis.alerting.rule import Rule
from perftui.analysis.alerting.rule_errors import RuleError
from perftui.analysis.alerting.rule_values import duration, levels, with_severity
from perftui.config.errors import closest

if TYPE_CHECKING:
    from perftui.config import RuleSettings, Settings

OWN_ONLY = ("title", "hint", "pane", "above", "clear")
"""Keys that a rule of the catalogue does not have."""


def with_overrides(rules: Sequence[Rule], settings: Settings) -> tuple[Rule, ...]:
    """Return the rules as `[alerts]` and `[rules.NAME]` change them, in their order.

    Takes the catalogue, own rules with it or not; those have their tables already. Raises
    RuleError for the first thing that is wrong.
    """
    for problem in override_problems(rules, settings):
        raise problem
    tables = {
        rule.id: (name, table)
        for name, table in settings.rules.items()
        if table.expr is None
        for rule in _named(rules, name)
    }
    off = frozenset(settings.alerts.disabled)
    changed = []
    for rule in rules:
        name, table = tables.get(rule.id, ("", None))
        found = rule if table is None else overridden(rule, name, table)
        if not settings.alerts.enabled or off & {rule.id, rule.name}:
            found = replace(found, enabled=False)
        changed.append(found)
    return tuple(changed)


def override_problems(rules: Sequence[Rule], settings: Settings) -> Iterator[RuleError]:
    """Yield everything that is wrong with the tables of rules of the catalogue."""
    known = [word for rule in rules for word in dict.fromkeys((rule.id, rule.name))]
    taken: dict[str, str] = {}
    for name, table in settings.rules.items():
        found = _named(rules, name)
        setting = f"rules.{name}"
        if table.expr is not None:
            continue
        if not found:
            hint = closest(name, known)
            yield RuleError(
                setting,
                f"unknown rule {name}{hint} (perftui rules list names all; a rule of your own "
                "needs expr)",
            )
        elif (first := taken.setdefault(found[0].id, name)) != name:
            yield RuleError(setting, f"{first} is the same rule and has a table already")
        else:
            try:
                overridden(found[0], name, table)
            except RuleError as error:
                yield error
    for word in settings.alerts.disabled:
        if word not in known:
            reason = f"unknown rule {word}{closest(word, known)} (perftui rules list names all)"
            yield RuleError("alerts.disabled", reason)


def name_problems(rules: Sequence[Rule], settings: Settings) -> Iterator[RuleError]:
    """Yield own rules that have the id or name of one of these rules, which are the catalogue."""
    for name, table in settings.rules.items():
        if table.expr is not None and _named(rules, name):
            reason = f"{name} is a rule of the catalogue; give your own another name"
            yield RuleError(f"rules.{name}", reason)


def _named(rules: Sequence[Rule], word: str) -> list[Rule]:
    return [rule for rule in rules if word in (rule.id, rule.name)]


def overridden(rule: Rule, name: str, table: RuleSettings) -> Rule:
    """Return a rule of the catalogue as its table changes it; raises RuleError."""
    own = {
        "title": table.title,
        "hint": table.hint,
        "pane": table.pane,
        "above": table.above,
        "clear": table.clear,
    }
    for key in OWN_ONLY:
        if own[key] is not None:
            reason = f"{key} is for rules of your own, and {name} is one of the catalogue"
            if key == "clear":
                reason += "; write warn_clear or crit_clear"
            raise RuleError(f"rules.{name}.{key}", reason)
    place = f"rules.{name}"
    return replace(
        rule,
        levels=with_severity(levels(name, table, rule.unit, rule.levels), table.severity),
        hold=duration(f"{place}.for", table.hold, rule.hold),
        keep=duration(f"{place}.keep", table.keep, rule.keep),
        smoothing=duration(f"{place}.smoothing", table.smoothing, rule.smoothing),
        least=rule.least if table.min_n is None else table.min_n,
        enabled=rule.enabled if table.enabled is None else table.enabled,
    )
