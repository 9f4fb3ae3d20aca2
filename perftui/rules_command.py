"""`perftui rules`: lists the rules, checks those of a configuration, and replays series on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perftui.analysis.alerting.configured import configured_rules, rule_problems
from perftui.analysis.alerting.rule import Levels, Rule
from perftui.analysis.alerting.rule_errors import RuleError
from perftui.analysis.alerting.rule_test import (
    Failure,
    RuleTest,
    RuleTestError,
    parse_test,
    replay,
)
from perftui.config import ConfigError, place_of
from perftui.format import age, measure
from perftui.quantities import YES_NO
from perftui.text import printable

if TYPE_CHECKING:
    from perftui.config import Loaded, RuleSettings

INDENT = " " * 6
LARGEST_FILE = 10_000_000


def listing(loaded: Loaded) -> str:
    """Return all rules with their values, and which of those the configuration sets where.

    Raises ConfigError.
    """
    return "\n".join(line for rule in _rules(loaded) for line in _lines(rule, loaded)) + "\n"


def listing_json(loaded: Loaded) -> str:
    """Return all rules as JSON; levels in the unit of their rule, durations in seconds.

    `origins` has the keys that the configuration sets. Raises ConfigError.
    """
    return _json({"rules": [_values(rule, loaded) for rule in _rules(loaded)]})


def check(loaded: Loaded, as_json: bool) -> tuple[str, bool]:
    """Return what is wrong with the rules of a configuration, and whether something is."""
    lines: list[str] = []
    problems = list(rule_problems(loaded.settings))
    if as_json:
        return _json({"problems": [_problem(one, loaded) for one in problems]}), bool(problems)
    for problem in problems:
        lines.append(printable(_said(problem, loaded)))
        lines += map(printable, problem.excerpt)
    if not problems:
        own = sum(table.expr is not None for table in loaded.settings.rules.values())
        changed = len(loaded.settings.rules) - own
        where = loaded.path or "the configuration, which has no file"
        lines.append(
            printable(f"{where}: rules are fine; {own} of your own, {changed} of others changed")
        )
    return "\n".join(lines) + "\n", bool(problems)


def test(loaded: Loaded, path: Path, as_json: bool) -> tuple[str, bool]:
    """Replay a file of series on the rules; return what is to be said, and whether it failed.

    Raises ConfigError for a file or a configuration that cannot be used.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8, which TOML has to be") from None
    if len(content) > LARGEST_FILE:
        raise ConfigError(f"{path}: larger than {LARGEST_FILE:,} bytes")
    try:
        parsed = parse_test(text, _rules(loaded))
    except RuleTestError as error:
        place = f"{path} line {error.line}" if error.line else str(path)
        near = f" (near {_near(error.excerpt)})" if error.excerpt else ""
        raise ConfigError(f"{place}: {error.reason}{near}") from None
    failures = replay(parsed, _rules(loaded))
    if as_json:
        return _json(_outcome(parsed, failures)), bool(failures)
    return _report(path, parsed, failures)


def first_problem(loaded: Loaded) -> str | None:
    """Return the first thing that is wrong with the rules of a configuration, in one line."""
    problem = next(rule_problems(loaded.settings), None)
    return None if problem is None else problem_line(problem, loaded)


def problem_line(problem: RuleError, loaded: Loaded) -> str:
    """Return what is wrong with a rule, and where, in one line."""
    near = f" (near {_near(problem.excerpt)})" if problem.excerpt else ""
    return f"{_said(problem, loaded)}{near}"


def _near(excerpt: tuple[str, ...]) -> str:
    """Return what stands at the caret of an excerpt."""
    line, caret = excerpt
    column = caret.index("^")
    return line[column : column + 20].strip() or "the end"


def _json(document: dict[str, object]) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _problem(problem: RuleError, loaded: Loaded) -> dict[str, object]:
    return {
        "setting": problem.setting,
        "place": printable(_place(problem, loaded)),
        "reason": printable(problem.reason),
        "excerpt": list(map(printable, problem.excerpt)),
    }


def _outcome(parsed: RuleTest, failures: list[Failure]) -> dict[str, object]:
    count = len(parsed.expectations)
    told = [
        {
            "line": failure.expectation.line,
            "at": failure.expectation.at,
            "rule": failure.expectation.rule,
            "state": failure.expectation.state,
            "severity": failure.expectation.severity,
            "subject": printable(failure.expectation.subject),
            "found": printable(failure.found),
        }
        for failure in failures
    ]
    return {"expectations": count, "met": count - len(failures), "failures": told}


def _place(problem: RuleError, loaded: Loaded) -> str:
    return place_of(loaded.path, problem.setting) or loaded.origins.get(problem.setting, "")


def _said(problem: RuleError, loaded: Loaded) -> str:
    place = _place(problem, loaded)
    return f"{place}: {problem}" if place else str(problem)


def _rules(loaded: Loaded) -> tuple[Rule, ...]:
    problem = first_problem(loaded)
    if problem is not None:
        raise ConfigError(problem)
    return configured_rules(loaded.settings)


def _report(path: Path, parsed: RuleTest, failures: list[Failure]) -> tuple[str, bool]:
    lines = []
    for failure in failures:
        wanted = failure.expectation
        severity = f" ({wanted.severity})" if wanted.severity else ""
        subject = f" for {wanted.subject}" if wanted.subject else ""
        lines.append(
            f"{path} line {wanted.line}: at {age(wanted.at)} {wanted.rule} must be "
            f"{wanted.state}{severity}{subject}, but is {failure.found}"
        )
    count = len(parsed.expectations)
    met = count - len(failures)
    lines.append(f"{path}: {met} of {count} expectations met")
    return "\n".join(map(printable, lines)) + "\n", bool(failures)


def _lines(rule: Rule, loaded: Loaded) -> list[str]:
    off = "" if rule.enabled else ", off"
    lines = [printable(f"{rule.id:<5} {rule.name}: {rule.title} ({rule.kind.value}{off})")]
    if rule.id == rule.name:
        lines = [printable(f"{rule.id}: {rule.title} (your own, {rule.kind.value}{off})")]
    lines.append(f"{INDENT}{_levels(rule.levels, rule.unit)}")
    lines.append(
        f"{INDENT}for {age(rule.hold)}, keep {age(rule.keep)}, "
        f"smoothing {age(rule.smoothing)}" + (f", n at least {rule.least}" if rule.least else "")
    )
    name, table = _table(rule, loaded)
    if table is not None:
        if table.expr is not None:
            lines.append(printable(f"{INDENT}{' '.join(table.expr.split())}"))
        lines.append(printable(f"{INDENT}set in {_set_where(name, table, loaded)}"))
    elif rule.id in loaded.settings.alerts.disabled or rule.name in loaded.settings.alerts.disabled:
        lines.append(f"{INDENT}switched off by alerts.disabled")
    return lines


def _set_where(name: str, table: RuleSettings, loaded: Loaded) -> str:
    keys = ", ".join(msgspec.to_builtins(table))
    place = place_of(loaded.path, f"rules.{name}") or str(loaded.path or "the configuration")
    return f"{place}: {keys}" if keys else place


def _levels(levels: Levels, unit: str) -> str:
    side = "above" if levels.above else "below"
    said = []
    for word, enter, clear in (
        ("info" if levels.informs else "warning", levels.warn, levels.warn_clear),
        ("critical", levels.crit, levels.crit_clear),
    ):
        if enter is not None:
            until = enter if clear is None else clear
            if unit == YES_NO:
                said.append(f"{word} when it is so")
                continue
            said.append(f"{word} {side} {measure(enter, unit)} until {measure(until, unit)}")
    return ", ".join(said) or "no levels"


def _table(rule: Rule, loaded: Loaded) -> tuple[str, RuleSettings | None]:
    for name in (rule.id, rule.name):
        if name in loaded.settings.rules:
            return name, loaded.settings.rules[name]
    return rule.id, None


def _values(rule: Rule, loaded: Loaded) -> dict[str, object]:
    name, table = _table(rule, loaded)
    alerts = loaded.settings.alerts
    given: dict[str, object] = {} if table is None else msgspec.to_builtins(table)
    origins = {key: place_of(loaded.path, f"rules.{name}.{key}") or "file" for key in given}
    if {rule.id, rule.name} & set(alerts.disabled):
        origins["enabled"] = loaded.origins.get("alerts.disabled", "file")
    return {
        "id": rule.id,
        "name": rule.name,
        "title": rule.title,
        "kind": rule.kind.value,
        "unit": rule.unit,
        "enabled": rule.enabled,
        "above": rule.levels.above,
        "warn": rule.levels.warn,
        "warn_clear": rule.levels.warn_clear,
        "informs": rule.levels.informs,
        "crit": rule.levels.crit,
        "crit_clear": rule.levels.crit_clear,
        "for": rule.hold,
        "keep": rule.keep,
        "smoothing": rule.smoothing,
        "min_n": rule.least,
        "expr": None if table is None else table.expr,
        "sources": sorted(rule.sources),
        "pane": rule.pane,
        "origins": origins,
    }
