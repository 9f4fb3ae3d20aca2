"""The doctor's look at alerts: their rules, who is told of them, and where silences are kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from perftui.finding import Finding

if TYPE_CHECKING:
    from perftui.config import Alerts, Loaded

CORRECT = "correct or remove it: perftui config show"


def alert_findings(loaded: Loaded | None) -> Iterator[Finding]:
    """Yield what is found; without a configuration that can be read only where silences are."""
    if loaded is not None:
        yield from _rules(loaded)
        yield from _receivers(loaded.settings.alerts)
    yield from _silences()


def _rules(loaded: Loaded) -> Iterator[Finding]:
    from perftui.analysis.alerting.configured import configured_rules, rule_problems
    from perftui.rules_command import problem_line

    problems = list(rule_problems(loaded.settings))
    for problem in problems:
        fix = f"correct or remove {problem.setting}; perftui rules check shows the place"
        yield Finding("problem", "rules", problem_line(problem, loaded), fix)
    if problems:
        return
    rules = configured_rules(loaded.settings)
    own = sum(table.expr is not None for table in loaded.settings.rules.values())
    if not loaded.settings.alerts.enabled:
        fix = "remove alerts.enabled = false"
        yield Finding("note", "rules", "alerts are switched off: no rule is evaluated", fix)
        return
    off = sum(not rule.enabled for rule in rules)
    parts = [f"{len(rules)} rules", f"{own} of your own", f"{off} switched off"]
    yield Finding("ok", "rules", ", ".join(parts))


def _receivers(alerts: Alerts) -> Iterator[Finding]:
    from perftui.setting_checks import receiver_problems

    problems = list(receiver_problems(alerts))
    for setting, problem in problems:
        yield Finding("problem", setting, problem, CORRECT)
    wrong = {setting for setting, _ in problems}
    if alerts.exec and "alerts.exec" not in wrong:
        yield _command(alerts.exec)
    if alerts.webhook and "alerts.webhook" not in wrong:
        from perftui.sources.http.target import HttpTarget

        # Only its host: the path of a web hook is often a secret. Nothing is posted.
        yield Finding("ok", "alerts.webhook", HttpTarget.parse(alerts.webhook).origin)


def _command(text: str) -> Finding:
    from perftui.output.alert_command import parse_command

    program = parse_command(text)[0]
    found = shutil.which(program)
    if found is not None:
        return Finding("ok", "alerts.exec", f"runs {found}")
    if os.path.exists(program):
        fix = f"chmod +x {program}, if it is a program"
        return Finding("problem", "alerts.exec", f"{program} may not be run", fix)
    fix = "install it, or write its whole path; for a line of a shell write sh -c '...'"
    return Finding("problem", "alerts.exec", f"{program} is not a program on PATH", fix)


def _silences() -> Iterator[Finding]:
    from perftui.analysis.alerting.silences import SilenceBook
    from perftui.config.paths import silences_file

    path = silences_file()
    problem = SilenceBook.trouble(path)
    if problem:
        yield Finding("problem", "silences", problem, _silences_fix(path))
    else:
        yield Finding("ok", "silences", f"kept in {path}")


def _silences_fix(path: Path) -> str:
    if os.path.isfile(path) and os.access(path, os.R_OK) and os.access(path.parent, os.W_OK):
        return f"correct or remove {path}"
    return f"let this user write {path.parent}, or set XDG_STATE_HOME to a directory they may write"
