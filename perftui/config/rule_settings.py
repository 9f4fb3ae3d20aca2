"""What a table `[rules.NAME]` may say: changes of a rule of the catalogue, or an own rule."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

RULE_NAME = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"

Level: TypeAlias = float | str
"""A number in the rule's unit, or a text with a unit such as `500ms` or `80%`."""


def _level(description: str) -> Meta:
    return Meta(description=description)


class RuleSettings(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    rename={"hold": "for"},
):
    """One table `[rules.NAME]`; what is not set stays as the rule has it.

    With `expr` it is a rule of one's own, without it changes the rule of the catalogue that has
    this id or name.
    """

    expr: Annotated[
        Annotated[str, Meta(min_length=1, max_length=2000)] | None,
        Meta(
            description="Expression of a rule of your own, such as "
            'operations[service="shop"].p95 > 500ms.'
        ),
    ] = None
    title: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100)] | None,
        Meta(description="What the alert is called; a rule of your own only."),
    ] = None
    hint: Annotated[
        Annotated[str, Meta(max_length=300)] | None,
        Meta(description="The next step, shown with the alert; a rule of your own only."),
    ] = None
    pane: Annotated[
        Literal[
            "alerts",
            "operations",
            "resources",
            "top_calls",
            "cache",
            "servers",
            "queries",
            "processes",
        ]
        | None,
        Meta(description="Pane that explains the alert; a rule of your own only."),
    ] = None
    enabled: Annotated[bool | None, Meta(description="Whether the rule is evaluated.")] = None
    severity: Annotated[
        Literal["info", "warning", "critical"] | None,
        Meta(
            description="Severity of every alert of the rule, from its first level on; info is "
            "worth knowing but asks nobody to look."
        ),
    ] = None
    above: Annotated[
        bool | None,
        Meta(
            description="Whether values above the levels are bad; a rule of your own whose "
            "expression is a number only."
        ),
    ] = None
    warn: Annotated[Level | None, _level("Level that a warning begins at.")] = None
    warn_clear: Annotated[Level | None, _level("Level that ends a warning.")] = None
    crit: Annotated[Level | None, _level("Level that a critical alert begins at.")] = None
    crit_clear: Annotated[Level | None, _level("Level that ends a critical alert.")] = None
    clear: Annotated[
        Level | None,
        _level("Level that ends the alert; a rule of your own whose expression compares only."),
    ] = None
    hold: Annotated[
        Level | None,
        _level('How long the level has to be passed, in seconds or such as "5min".'),
    ] = None
    keep: Annotated[
        Level | None,
        _level('How long the clear level has to be kept, in seconds or such as "5min".'),
    ] = None
    smoothing: Annotated[
        Level | None,
        _level('Over how long values are averaged, in seconds or such as "1min".'),
    ] = None
    min_n: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000_000)] | None,
        Meta(description="Calls a value must be made of; readings with fewer say nothing."),
    ] = None


RULE_KEYS: dict[str, str] = {
    field.encode_name: field.name for field in msgspec.structs.fields(RuleSettings)
}
"""Names of the fields by the keys that the file has for them."""
