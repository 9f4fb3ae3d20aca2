"""Turns one value from a file, a variable or a flag into a setting, or says what is allowed."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from perftui.config.errors import closest
from perftui.config.settings import HEADER_PATTERN, SECTIONS
from perftui.config.show import SECRET, mask_url

_ON = frozenset({"1", "true", "yes", "on"})
_OFF = frozenset({"0", "false", "no", "off"})


class InvalidValueError(Exception):
    """A value does not fit; the message is the end of a sentence that begins with its name."""


def field_types(section: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the annotated type of each key of a section."""
    return {field.name: field.type for field in msgspec.structs.fields(section)}


def convert(section: str, key: str, value: object, textual: bool) -> object:
    """Return `value` as the type of `section.key`; `textual` for a variable or a flag.

    Raises InvalidValueError with the value and what is allowed instead.
    """
    return convert_to(field_types(SECTIONS[section])[key], value, textual)


def convert_to(wanted: Any, value: object, textual: bool) -> object:
    """Return `value` as the annotated type `wanted`, of which the rest is as in `convert`."""
    rule = msgspec.json.schema(wanted)
    candidate = _from_text(value, rule) if textual and isinstance(value, str) else value
    if isinstance(candidate, bool) and "on" in rule.get("enum", ()):
        candidate = "on" if candidate else "off"
    try:
        result: object = msgspec.convert(candidate, type=wanted, strict=not textual)
    except msgspec.ValidationError:
        raise _invalid(value, rule) from None
    if isinstance(result, float) and not math.isfinite(result):
        raise _invalid(value, rule)
    return result


def _invalid(value: object, rule: dict[str, Any]) -> InvalidValueError:
    # A header that was written wrongly may be a secret from its first letter on.
    shown = SECRET if rule.get("writeOnly") else _shown(value)
    return InvalidValueError(f"is {shown}; it must be {_allowed(rule, value)}")


def _from_text(text: str, rule: dict[str, Any]) -> object:
    word = text.strip().lower()
    if rule.get("type") == "boolean" or "on" in rule.get("enum", ()):
        if word in _ON:
            return True
        if word in _OFF:
            return False
    if rule.get("type") == "array":
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return _headers(parts) if rule["items"].get("pattern") == HEADER_PATTERN else parts
    return text


def _headers(parts: list[str]) -> list[str]:
    """Return headers from a text that was cut at its commas, which values may have too."""
    headers: list[str] = []
    for part in parts:
        begins = re.match(HEADER_PATTERN + "(?!//)", part)
        if begins or not headers:
            headers.append(part)
        else:
            headers[-1] += f", {part}"
    return headers


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{mask_url(value)}"' if isinstance(value, str) else mask_url(repr(value))


def _allowed(rule: dict[str, Any], value: object) -> str:
    """Say in words what a JSON schema allows."""
    if "anyOf" in rule:
        parts = [part for part in rule["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(_allowed(part, value) for part in parts))
    if "enum" in rule:
        words = sorted(str(word) for word in rule["enum"] if word is not None)
        hint = closest(value, words) if isinstance(value, str) else ""
        return f"one of {', '.join(words)}{hint}"
    kind = rule.get("type")
    if kind == "array":
        words = sorted(rule["items"].get("enum", ()))
        if not words:
            return f"a list, each item of it {_allowed(rule['items'], value)}"
        unknown = _unknown_items(value, words)
        hint = closest(unknown[0], words) if unknown else ""
        return f"a list of {', '.join(words)}{hint}"
    if kind in ("number", "integer"):
        name = "a number" if kind == "number" else "a whole number"
        low, high = rule.get("minimum"), rule.get("maximum")
        if low is None:
            return name
        return f"{name} from {low:g} to {high:g}" if high is not None else f"{name} from {low:g} up"
    if kind == "boolean":
        return "true or false"
    if rule.get("pattern") == HEADER_PATTERN:
        return 'a header such as "Name: value"'
    if "://" in rule.get("pattern", ""):
        schemes = re.findall(r"\w+(?=[|)])", str(rule["pattern"]))
        either = "empty or " if str(rule["pattern"]).startswith("^$") else ""
        names = ", ".join(f"{name}://" for name in schemes)
        return f"{either}a URL that begins with {names}"
    if "pattern" in rule:
        pattern = str(rule["pattern"])
        either = "empty or " if pattern.startswith("^$|") else ""
        return f"{either}a name that matches {pattern.removeprefix('^$|')}"
    return "text that is not empty" if rule.get("minLength") else "text"


def _unknown_items(value: object, words: list[str]) -> list[str]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list):
        return []
    return [item.strip() for item in items if isinstance(item, str) and item.strip() not in words]
