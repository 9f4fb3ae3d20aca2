"""The rules: what each of them looks for and what it advises."""

from __future__ import annotations

from typing import Final

from perftui.queries.rules import (
    filters,
    parameters_fields,
    parameters_paging,
    parameters_requests,
    sorts,
)
from perftui.queries.rules.rule import Rule

ALL_RULES: Final[tuple[Rule, ...]] = (
    *parameters_fields.RULES,
    *parameters_paging.RULES,
    *parameters_requests.RULES,
    *filters.RULES,
    *sorts.RULES,
)

BY_ID: Final = {rule.id: rule for rule in ALL_RULES}
