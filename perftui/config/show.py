"""Settings as people and editors read them: TOML with origins, and the JSON schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from perftui.config.settings import SECTIONS, Settings

SECRET = "***"

_USER_INFO = re.compile(r"(?<=://)([^/?#]*)@")
_SECRET_QUERY = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:password|token|secret|api[_-]?key|signature)|pass|pwd|auth|key|sig)=)"
    r"[^&;#\s]*"
)


def mask_url(text: str) -> str:
    """Return `text` with the password of a URL replaced by `***`; other text is unchanged.

    Errs to the safe side: without a colon the part before `@` is taken for a password too,
    and everything up to the last `@` counts, since passwords are often not quoted as RFC 3986
    section 3.2.1 wants.
    """

    def masked(match: re.Match[str]) -> str:
        user, colon, _ = match.group(1).partition(":")
        return f"{user}:{SECRET}@" if colon else f"{SECRET}@"

    return _SECRET_QUERY.sub(rf"\g<1>{SECRET}", _USER_INFO.sub(masked, text))


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the configuration file."""
    document = msgspec.json.schema(Settings)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "perftui configuration",
        **document,
    }


def dump_toml(settings: Settings, origins: Mapping[str, str]) -> str:
    """Return the settings as TOML that can be saved as a configuration file, secrets masked.

    `origins` maps `section.key` to where the value comes from; a key it lacks is a default.
    """
    lines = [
        "# perftui configuration: every setting, its value and, behind it, where that comes from",
    ]
    for name, section_type in SECTIONS.items():
        rules = msgspec.json.schema(section_type)["$defs"][section_type.__name__]["properties"]
        values = msgspec.structs.asdict(_section(settings, name))
        lines += ["", f"[{name}]"]
        for key, value in values.items():
            lines.append(f"# {rules[key]['description']}")
            shown = _masked(value) if rules[key].get("writeOnly") else value
            lines.append(_assignment(key, shown, origins.get(f"{name}.{key}", "default")))
    lines += ["", "[rules]", "# " + schema_description("rules")]
    for name, rule in settings.rules.items():
        lines += ["", f"[rules.{name}]"]
        lines += [
            _assignment(key, value, origins.get(f"rules.{name}.{key}", "default"))
            for key, value in msgspec.to_builtins(rule).items()
        ]
    lines += ["", "[keys]", "# " + schema_description("keys")]
    lines += [
        _assignment(json.dumps(action), keys, origins.get(f"keys.{action}", "default"))
        for action, keys in settings.keys.items()
    ]
    return "\n".join(lines) + "\n"


def schema_description(table: str) -> str:
    """Return what a table with free keys, `keys` or `rules`, is for."""
    rule = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"][table]
    return str(rule["description"])


def _section(settings: Settings, name: str) -> msgspec.Struct:
    sections: dict[str, msgspec.Struct] = {
        "monitor": settings.monitor,
        "redis": settings.redis,
        "haproxy": settings.haproxy,
        "scrape": settings.scrape,
        "prometheus": settings.prometheus,
        "operations": settings.operations,
        "profile": settings.profile,
        "screen": settings.screen,
        "actions": settings.actions,
        "alerts": settings.alerts,
    }
    return sections[name]


def mask_webhook(url: str) -> str:
    """Return the URL without user, path and query, any of which may be what lets one post to it."""
    match = re.match(r"(?i)(https?://)(?:[^/?#]*@)?([^/?#@]*)(.*)", url, re.DOTALL)
    if match is None:
        return SECRET if url else ""
    scheme, host, rest = match.groups()
    return f"{scheme}{host}/{SECRET}" if rest.strip("/") else f"{scheme}{host}"


def _masked(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Return the host of a URL, or headers with their names alone."""
    if isinstance(value, str):
        return mask_webhook(value)
    headers = value
    return tuple(f"{header.partition(':')[0]}: {SECRET}" for header in headers)


def _assignment(key: str, value: object, origin: str) -> str:
    # TOML has no null: an unset value is shown as a comment.
    if value is None:
        return f"# {key} is not set  # {origin}"
    return f"{key} = {_toml(value)}  # {origin}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON escapes are TOML escapes, except that TOML has no surrogate pairs: keep non-ASCII.
        return json.dumps(mask_url(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)
