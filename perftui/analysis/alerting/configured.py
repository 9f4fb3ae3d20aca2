"""All rules of a configuration: the catalogue as it changes it, and the own ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from perftui.analysis.alerting.rule import Rule
    from perftui.analysis.alerting.rule_errors import RuleError
    from perftui.config import Settings


def configured_rules(settings: Settings) -> tuple[Rule, ...]:
    """Return the rules to evaluate, with states of their own; raises RuleError."""
    from perftui.analysis.alerting.catalogue import catalogue

    found = catalogue(settings)
    if settings.alerts.enabled and not settings.alerts.disabled and not settings.rules:
        # The language of own rules takes two megabytes, for which most have no use.
        return found
    from perftui.analysis.alerting.overrides import name_problems, with_overrides
    from perftui.analysis.alerting.own_rules import own_rules

    for problem in name_problems(found, settings):
        raise problem
    return with_overrides((*found, *own_rules(settings)), settings)


def rule_problems(settings: Settings) -> Iterator[RuleError]:
    """Yield everything that is wrong with the rules of a configuration."""
    from perftui.analysis.alerting.catalogue import catalogue
    from perftui.analysis.alerting.overrides import name_problems, override_problems
    from perftui.analysis.alerting.own_rules import own_rule_problems

    found = catalogue(settings)
    yield from own_rule_problems(settings)
    yield from name_problems(found, settings)
    yield from override_problems(found, _without_own(settings))


def _without_own(settings: Settings) -> Settings:
    """Return settings of which `alerts.disabled` no longer names own rules."""
    own = {name for name, table in settings.rules.items() if table.expr is not None}
    disabled = tuple(word for word in settings.alerts.disabled if word not in own)
    alerts = msgspec.structs.replace(settings.alerts, disabled=disabled)
    return msgspec.structs.replace(settings, alerts=alerts)
