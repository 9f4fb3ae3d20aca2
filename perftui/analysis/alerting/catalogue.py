"""The rules that come with perftui, each with the levels and durations it has by default.

Levels and durations are those of Netdata's health rules, of Prometheus's node mixin, of
systemd-oomd and of own simulations; every one of them can be set, `perftui rules list` shows them.
Values are compared with a subject's own past, or with a limit; comparisons with peers are off
(R01, R02) because they never rest on a healthy service whose operations differ, or give information
alone (R04).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perftui.analysis.alerting.rule import Rule
from perftui.analysis.alerting.rules.caches import cache_rules
from perftui.analysis.alerting.rules.descriptors import descriptor_rules
from perftui.analysis.alerting.rules.disks import disk_rules
from perftui.analysis.alerting.rules.information import information_rules
from perftui.analysis.alerting.rules.limits import limit_rules
from perftui.analysis.alerting.rules.operations import operation_rules
from perftui.analysis.alerting.rules.pools import pool_rules
from perftui.analysis.alerting.rules.proxies import proxy_rules
from perftui.analysis.alerting.rules.resources import resource_rules
from perftui.analysis.alerting.rules.runtime import runtime_rules
from perftui.analysis.alerting.rules.self_rules import self_rules

if TYPE_CHECKING:
    from perftui.config import Settings


def catalogue(settings: Settings | None = None) -> tuple[Rule, ...]:
    """Return all rules by id, with memories of their own at each call.

    The rules are as they come: what the settings change is put on top by whoever reads them.
    """
    rules = (
        *operation_rules(),
        *information_rules(),
        *resource_rules(),
        *limit_rules(),
        *disk_rules(),
        *descriptor_rules(),
        *runtime_rules(),
        *cache_rules(),
        *pool_rules(),
        *proxy_rules(),
        *self_rules(),
    )
    return tuple(sorted(rules, key=lambda rule: rule.id))
