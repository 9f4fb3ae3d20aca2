"""Replays series of values against rules, and checks what is expected of them at some moments."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.language.checking import check
from perftui.analysis.alerting.language.errors import ExpressionError
from perftui.analysis.alerting.language.parser import parse
from perftui.analysis.alerting.language.terms import ELEMENT
from perftui.analysis.alerting.language.tree import Path
from perftui.analysis.alerting.rule import Reading, Rule
from perftui.analysis.alerting.series_notation import MOST_TICKS, NotationError, Sample, samples
from perftui.analysis.alerting.series_snapshots import SeriesError, check_path, snapshot_at
from perftui.config.errors import closest
from perftui.config.settings import SOURCE_NAMES
from perftui.format import measure
from perftui.quantities import PLAIN, SECONDS, Quantity, in_unit, parse_quantity
from perftui.snapshot import Absent, Alert, AlertState, Severity, Snapshot

OK = "ok"
STATES = (OK, *(state.value for state in AlertState))
SEVERITIES = tuple(severity.value for severity in Severity)
KEYS = ("interval", "series", "outage", "expect")
MOST_NAMED = 3
"""Subjects that are told with their values when a rule is ok and should not be."""

EXAMPLE = """\
# Seconds between two values.
interval = "5s"

# The last value of a series stays.
[series]
"resources.cpu.percent" = "50x60 97x60 _x6 50x84"

# A source that gives nothing.
[[outage]]
source = "host"
from = "10min"
to = "10min 30s"

# ok, pending, firing, recovering, or
# nodata.
[[expect]]
at = "4min"
rule = "R10"
state = "ok"

# Optional: severity and subject.
[[expect]]
at = "9min"
rule = "R10"
state = "firing"
severity = "critical"

[[expect]]
at = "10min 10s"
rule = "R10"
state = "nodata"

[[expect]]
at = "17min"
rule = "R10"
state = "ok"
"""
"""A test of the rule for CPU use, for the help."""


class RuleTestError(ValueError):
    """A file of tests cannot be used; `line` is where, 0 if that is not known."""

    def __init__(self, reason: str, line: int = 0, excerpt: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.excerpt = excerpt


@dataclass(frozen=True)
class Expectation:
    """What a rule has to be at a moment; an empty severity or subject may be any."""

    at: float
    rule: str
    state: str
    severity: str
    subject: str
    line: int


@dataclass(frozen=True)
class Outage:
    """A source that gives nothing from one moment until another; seconds."""

    source: str
    begin: float
    end: float


@dataclass(frozen=True)
class RuleTest:
    """A file of tests that has been understood; seconds."""

    interval: float
    series: tuple[tuple[Path, tuple[Sample, ...]], ...]
    outages: tuple[Outage, ...]
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True)
class Failure:
    """An expectation that was not met, and what was instead."""

    expectation: Expectation
    found: str


def parse_test(text: str, rules: Sequence[Rule]) -> RuleTest:
    """Return the test of a TOML text for these rules; raises RuleTestError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"\(at line (\d+), column \d+\)$", str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        raise RuleTestError(f"not valid TOML: {error}", line) from None
    return _Reader(text, rules).test(document)


def replay(test: RuleTest, rules: Sequence[Rule]) -> list[Failure]:
    """Return the expectations that are not met when the series are replayed against the rules.

    The rules must be new ones: they remember what they have seen.
    """
    readings: dict[str, list[Reading]] = {}
    by_id = {rule.id: rule for rule in rules}
    engine = AlertEngine([_kept(rule, readings) for rule in rules])
    pending = sorted(test.expectations, key=lambda expectation: expectation.at)
    failures: list[Failure] = []
    tick = 0
    while pending:
        now = tick * test.interval
        values = {path: found[min(tick, len(found) - 1)] for path, found in test.series}
        lost = [outage.source for outage in test.outages if outage.begin <= now < outage.end]
        readings.clear()
        alerts, _ = engine.update(snapshot_at(tick, test.interval, values, lost))
        tick += 1
        # An expectation between two ticks is of the one before it.
        while pending and pending[0].at < tick * test.interval - 1e-9:
            expectation = pending.pop(0)
            found = _found(expectation, alerts)
            if found == OK:
                rule = by_id[expectation.rule]
                found += _why_ok(rule, readings.get(rule.id, []), expectation.subject)
            if found is not None:
                failures.append(Failure(expectation, found))
    return failures


def _kept(rule: Rule, readings: dict[str, list[Reading]]) -> Rule:
    """Return a rule that keeps what it has measured last; to ask it twice could change it."""

    def measured(snapshot: Snapshot) -> list[Reading]:
        found = readings[rule.id] = list(rule.measure(snapshot))
        return found

    return replace(rule, measure=measured)


def _why_ok(rule: Rule, readings: list[Reading], subject: str) -> str:
    """Return what is known of the values of a rule that has no alert, to find out why."""
    about = [reading for reading in readings if subject in ("", reading.subject)]
    if not readings:
        return ", without any value"
    if not about:
        subjects = ", ".join(reading.subject for reading in readings[:MOST_NAMED])
        return f", without a value for it (there is one for {subjects})"
    said = []
    for reading in about[:MOST_NAMED]:
        few = reading.n is not None and reading.n < rule.least
        short = f" of {reading.n} calls, which says nothing below {rule.least}" if few else ""
        said.append(f"{measure(reading.value, rule.unit)} for {reading.subject}{short}")
    more = len(about) - MOST_NAMED
    return " at " + "; ".join(said) + (f" and {more} more" if more > 0 else "")


def _found(expected: Expectation, alerts: Sequence[Alert]) -> str | None:
    """Return what is there instead of what is expected, None where that is met."""
    about = [
        alert
        for alert in alerts
        if alert.rule == expected.rule and expected.subject in ("", alert.subject)
    ]
    if expected.state == OK:
        return "; ".join(map(_described, about)) if about else None
    for alert in about:
        if alert.state.value == expected.state and expected.severity in ("", alert.severity.value):
            return None
    return "; ".join(map(_described, about)) or OK


def _described(alert: Alert) -> str:
    value = "no value" if isinstance(alert.value, Absent) else measure(alert.value, alert.unit)
    return f"{alert.state.value} ({alert.severity.value}) for {alert.subject} at {value}"


class _Reader:
    def __init__(self, text: str, rules: Sequence[Rule]) -> None:
        self._lines = text.splitlines()
        self._rules = rules

    def test(self, document: dict[str, Any]) -> RuleTest:
        self._known_keys(document, KEYS, "", 0)
        interval = self._seconds(document.get("interval", 1), "interval", self._line("interval"))
        if not 0.1 <= interval <= 3600:
            raise RuleTestError("interval must be from 0.1 s to 1 h", self._line("interval"))
        series = document.get("series", {})
        if not isinstance(series, dict) or not series:
            raise RuleTestError("there are no series: write [series] and names with their values")
        expectations = [
            self._expectation(table, line) for table, line in self._tables(document, "expect")
        ]
        if not expectations:
            raise RuleTestError("nothing is expected: write [[expect]] with at, rule and state")
        if max(expected.at for expected in expectations) / interval > MOST_TICKS:
            raise RuleTestError(f"the test has more than {MOST_TICKS} ticks")
        return RuleTest(
            interval,
            tuple(self._series(name, given) for name, given in series.items()),
            tuple(self._outage(table, line) for table, line in self._tables(document, "outage")),
            tuple(expectations),
        )

    def _series(self, name: str, given: object) -> tuple[Path, tuple[Sample, ...]]:
        line = self._series_line(name)
        try:
            path = parse(name)
            term = check(path, name)
            if not isinstance(path, Path) or term.kind == ELEMENT:
                raise RuleTestError(f"{name}: a series is of one single name", line)
            check_path(path, term)
            return path, samples(given, term)
        except ExpressionError as error:
            raise RuleTestError(error.reason, line, error.excerpt()) from None
        except (NotationError, SeriesError) as error:
            raise RuleTestError(f"{name}: {error}", line) from None

    def _expectation(self, table: dict[str, Any], line: int) -> Expectation:
        self._known_keys(table, ("at", "rule", "state", "severity", "subject"), "expect.", line)
        word = self._word(table, "rule", (), line)
        known = {name: rule for rule in self._rules for name in (rule.name, rule.id)}
        rule = known.get(word)
        if rule is None:
            raise RuleTestError(f"unknown rule {word}{closest(word, known)}", line)
        if not rule.enabled:
            raise RuleTestError(f"rule {word} is switched off", line)
        return Expectation(
            at=self._seconds(table.get("at"), "expect.at", line),
            rule=rule.id,
            state=self._word(table, "state", STATES, line),
            severity=self._word(table, "severity", SEVERITIES, line) if "severity" in table else "",
            subject=self._word(table, "subject", (), line) if "subject" in table else "",
            line=line,
        )

    def _outage(self, table: dict[str, Any], line: int) -> Outage:
        self._known_keys(table, ("source", "from", "to"), "outage.", line)
        source = self._word(table, "source", SOURCE_NAMES, line)
        begin = self._seconds(table.get("from"), "outage.from", line)
        end = self._seconds(table.get("to"), "outage.to", line)
        if end <= begin:
            raise RuleTestError("an outage ends after its begin", line)
        return Outage(source, begin, end)

    def _known_keys(
        self, table: dict[str, Any], known: Sequence[str], prefix: str, line: int
    ) -> None:
        for key in table:
            if key not in known:
                hint = closest(key, known)
                reason = f"unknown key {prefix}{key}{hint} (keys: {', '.join(known)})"
                raise RuleTestError(reason, line or self._line(key))

    def _word(self, table: dict[str, Any], key: str, allowed: Sequence[str], line: int) -> str:
        word = table.get(key)
        if not isinstance(word, str) or not word:
            raise RuleTestError(f"{key} must be given as a text", line)
        if allowed and word not in allowed:
            hint = closest(word, allowed)
            raise RuleTestError(f'{key} cannot be "{word}"{hint} ({", ".join(allowed)})', line)
        return word

    def _seconds(self, given: object, name: str, line: int) -> float:
        try:
            if isinstance(given, str):
                # "10min 30s" is the sum of its words.
                seconds = sum(in_unit(parse_quantity(w), SECONDS) for w in given.split() or [""])
            elif isinstance(given, (int, float)) and not isinstance(given, bool):
                seconds = in_unit(Quantity(float(given), PLAIN), SECONDS)
            else:
                raise RuleTestError(f'{name} must be seconds, such as 90 or "1min 30s"', line)
        except (ValueError, OverflowError) as error:
            if isinstance(error, RuleTestError):
                raise
            raise RuleTestError(f"{name}: {error}", line) from None
        if not 0 <= seconds < float("inf"):
            raise RuleTestError(f"{name} must not be negative or infinite", line)
        return seconds

    def _tables(self, document: dict[str, Any], name: str) -> list[tuple[dict[str, Any], int]]:
        tables = document.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise RuleTestError(f"write [[{name}]] with its keys below", self._line(name))
        header = re.compile(rf"\s*\[\[\s*{name}\s*\]\]")
        lines = [number for number, line in enumerate(self._lines, 1) if header.match(line)]
        lines += [0] * (len(tables) - len(lines))
        return list(zip(tables, lines, strict=False))

    def _line(self, key: str) -> int:
        pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[\]=.]""")
        found = (number for number, line in enumerate(self._lines, 1) if pattern.match(line))
        return next(found, 0)

    def _series_line(self, name: str) -> int:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        forms = (f"'{name}'", f'"{escaped}"', f"{name} ", f"{name}=")
        found = (
            number for number, line in enumerate(self._lines, 1) if line.lstrip().startswith(forms)
        )
        return next(found, 0)
