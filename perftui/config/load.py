"""Reads the sources of settings in their order: defaults, TOML file, environment, flags."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perftui.config.errors import ConfigError, closest
from perftui.config.paths import config_file
from perftui.config.rule_settings import RULE_KEYS, RULE_NAME, RuleSettings
from perftui.config.settings import SECTIONS, Settings

if TYPE_CHECKING:
    from typing import Any

ALIASES = {"REDIS_URL": "redis.url", "PERFTUI_DIFF": "screen.cell_diff"}
"""Variables with a name of their own; they give way to `PERFTUI_<SECTION>_<KEY>`."""

OTHER_VARIABLES = frozenset({"PERFTUI_CONFIG", "PERFTUI_SERVICE"})
"""Variables that are no settings; the last one names a service that reports."""
ALERT_FACTS = "PERFTUI_ALERT_"
"""Variables that tell the command of alerts.exec of an alert; it may be perftui itself."""
_PREFIX = "PERFTUI_"


class Loaded(msgspec.Struct, frozen=True):
    """Settings, where each one that is not a default comes from, and the file that was read."""

    settings: Settings
    origins: dict[str, str]
    path: Path | None


class _Tree:
    """Values by `section.key` with their origins; a later layer replaces an earlier one."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, str] = {}
        self.rules: dict[str, RuleSettings] = {}

    def put(self, section: str, key: str, value: object, origin: str) -> None:
        self.values.setdefault(section, {})[key] = value
        self.origins[f"{section}.{key}"] = origin

    def convert(
        self, place: str, section: str, key: str, value: object, textual: bool, origin: str
    ) -> None:
        from perftui.config.values import InvalidValueError, convert

        try:
            self.put(section, key, convert(section, key, value, textual), origin)
        except InvalidValueError as error:
            raise ConfigError(f"{place} {error}") from None

    def settings(self) -> Settings:
        if not self.values and not self.rules:
            return Settings()
        keys = self.values.get("keys", {})
        sections = {
            name: section_type(**self.values.get(name, {}))
            for name, section_type in SECTIONS.items()
        }
        return Settings(**sections, keys=keys, rules=self.rules)  # type: ignore[arg-type]


def load_settings(
    flags: Mapping[str, tuple[str, object]] | None = None,
    config: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Return the settings of this run.

    `flags` maps `section.key` to the flag's name and its value, text or typed. `config` names the
    file and must exist then, as must the file that PERFTUI_CONFIG names.
    Raises ConfigError with one sentence that names place, key and what is allowed.
    """
    environ = os.environ if environ is None else environ
    tree = _Tree()
    path = _read_file(tree, config, environ)
    _read_environment(tree, environ)
    for name, (flag, value) in (flags or {}).items():
        section, _, key = name.partition(".")
        tree.convert(flag, section, key, value, True, f"flag {flag}")
    return Loaded(tree.settings(), tree.origins, path)


def _read_file(
    tree: _Tree, config: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> Path | None:
    named = config or environ.get("PERFTUI_CONFIG")
    path = Path(named).expanduser() if named else config_file(environ)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if named:
            origin = "--config" if config else "PERFTUI_CONFIG"
            raise ConfigError(f"{path}: no such file ({origin} names it)") from None
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    for section, table in _parse(path, content).items():
        _read_table(tree, path, content, section, table)
    return path


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path} line {line}: not UTF-8, which TOML has to be") from None
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"^(.*) \(at line (\d+), column (\d+)\)$", str(error))
        if match is None:
            line = content.count(b"\n") + 1
            raise ConfigError(f"{path} line {line}: not valid TOML: {error}") from None
        what, at, column = match.groups()
        raise ConfigError(f"{path} line {at}: not valid TOML: {what} (column {column})") from None


def _read_table(tree: _Tree, path: Path, content: bytes, section: str, table: object) -> None:
    text = content.decode()
    names = [*SECTIONS, "keys", "rules"]
    place = _place(path, text, section, None)
    if section not in names:
        kind = "table" if isinstance(table, dict) else "key"
        raise ConfigError(
            f"{place}: unknown {kind} {section}{closest(section, names)} "
            f"(tables: {', '.join(sorted(names))})"
        )
    if not isinstance(table, dict):
        raise ConfigError(f"{place}: {section} is a table: write [{section}] and its keys below")
    if section == "keys":
        for action, keys in table.items():
            tree.put("keys", action, _key_list(path, text, action, keys), "file")
        return
    if section == "rules":
        for name, rule in table.items():
            tree.rules[name] = _rule(tree, path, text, name, rule)
        return
    known = SECTIONS[section].__struct_fields__
    for key, value in table.items():
        place = _place(path, text, section, key)
        if key not in known:
            raise ConfigError(
                f"{place}: unknown key {section}.{key}{closest(key, known)} "
                f"(keys of {section}: {', '.join(sorted(known))})"
            )
        tree.convert(f"{place}: {section}.{key}", section, key, value, False, "file")


def _key_list(path: Path, text: str, action: str, keys: object) -> str:
    if isinstance(keys, str) and all(part.strip() for part in keys.split(",")):
        return ",".join(part.strip() for part in keys.split(","))
    place = _place(path, text, "keys", action)
    raise ConfigError(
        f'{place}: keys.{action} must be a key or several with commas, such as "q,f10"; '
        'write "comma" for the key ","'
    )


def _rule(tree: _Tree, path: Path, text: str, name: str, table: object) -> RuleSettings:
    from perftui.config.values import InvalidValueError, convert_to, field_types

    section = f"rules.{name}"
    place = _place(path, text, section, None)
    if not re.match(RULE_NAME, name):
        raise ConfigError(
            f"{place}: {name!r} cannot be the name of a rule: it must be letters, digits, _ and -, "
            "not begin with a digit and have at most 64 characters"
        )
    if not isinstance(table, dict):
        raise ConfigError(f"{place}: {section} is a table: write [{section}] and its keys below")
    values: dict[str, Any] = {}
    types = field_types(RuleSettings)
    for key, value in table.items():
        place = _place(path, text, section, key)
        if key not in RULE_KEYS:
            raise ConfigError(
                f"{place}: unknown key {section}.{key}{closest(key, RULE_KEYS)} "
                f"(keys of a rule: {', '.join(sorted(RULE_KEYS))})"
            )
        field = RULE_KEYS[key]
        try:
            values[field] = convert_to(types[field], value, False)
        except InvalidValueError as error:
            raise ConfigError(f"{place}: {section}.{key} {error}") from None
        tree.origins[f"{section}.{key}"] = "file"
    return RuleSettings(**values)


def place_of(path: Path | None, setting: str) -> str:
    """Return where a `section.key` or `rules.NAME.key` is set: the file with its line.

    Empty for None and for a setting that the file does not have, or no longer.
    """
    if path is None:
        return ""
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
    section, _, key = setting.rpartition(".")
    if section in ("", "rules"):
        section, key = setting, ""
    line = _line_of(text, section, key or None)
    return f"{path} line {line}" if line else ""


def _place(path: Path, text: str, section: str, key: str | None) -> str:
    line = _line_of(text, section, key)
    return f"{path} line {line}" if line else str(path)


_NAME = r"""(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)"""
_NAMES = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_NAMES})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_NAMES})\s*=(.*)")


def _parts(names: str) -> tuple[str, ...]:
    return tuple(name.strip("\"'") for name in re.findall(_NAME, names))


def _line_of(text: str, section: str, key: str | None) -> int | None:
    """Return the line of a key or table; None where it is written in a rare way."""
    table, _, rule = section.partition(".")
    wanted = tuple(part for part in (table, rule, key) if part)
    inside: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            inside = _parts(header[1])
            if inside[: len(wanted)] == wanted:
                return number
        elif assignment := _ASSIGNMENT.match(line):
            full = inside + _parts(assignment[1])
            if full[: len(wanted)] == wanted:
                return number
            # The rest may be in a table on the same line: redis = { timeout = 1 }
            rest = wanted[len(full) :]
            if full == wanted[: len(full)] and re.search(
                rf"""[{{,.]\s*["']?{re.escape(rest[-1])}["']?\s*=""", assignment[2]
            ):
                return number
    return None


def _read_environment(tree: _Tree, environ: Mapping[str, str]) -> None:
    variables = {
        f"{_PREFIX}{section.upper()}_{key.upper()}": (section, key)
        for section, section_type in SECTIONS.items()
        for key in section_type.__struct_fields__
    }
    for variable, target in ALIASES.items():
        if environ.get(variable):
            section, _, key = target.partition(".")
            origin = f"environment {variable}"
            tree.convert(variable, section, key, environ[variable], True, origin)
    for variable in sorted(environ):
        if not variable.startswith(_PREFIX) or variable in ALIASES or variable in OTHER_VARIABLES:
            continue
        if variable.startswith(ALERT_FACTS):
            continue
        if variable.startswith(f"{_PREFIX}KEYS_"):
            raise ConfigError(f"{variable}: keys are set in the table [keys] of the file only")
        if variable.startswith(f"{_PREFIX}RULES_"):
            raise ConfigError(f"{variable}: rules are set in tables [rules.NAME] of the file only")
        if variable not in variables:
            known = [*variables, *ALIASES, *OTHER_VARIABLES]
            raise ConfigError(
                f"unknown variable {variable}{closest(variable, known)} "
                "(perftui config show lists the settings: PERFTUI_<SECTION>_<KEY>)"
            )
        # A variable that is set but empty counts as not set, as the XDG and NO_COLOR rules have it.
        if environ[variable]:
            section, key = variables[variable]
            origin = f"environment {variable}"
            tree.convert(variable, section, key, environ[variable], True, origin)
