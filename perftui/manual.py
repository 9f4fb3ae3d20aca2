"""The text of --help: a manual page wrapped to the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator

from perftui.commands import COMMANDS, Command
from perftui.options import GLOBAL_OPTIONS, Option

WIDEST = 96
NARROWEST = 40
MARGIN = "  "

ABOUT = (
    "perftui shows why a Python service is slow now and lets you act on it: processor, memory and "
    "control group, the functions a process spends its time in, the operations of your services "
    "with rate, quantiles and errors, Redis and caches, server pools, and alerts that lead to the "
    "pane that explains them. It only reads unless you allow actions."
)
ENVIRONMENT = (
    ("REDIS_URL", "Redis to watch"),
    ("PERFTUI_CONFIG", "configuration file to read"),
    ("PERFTUI_<SECTION>_<KEY>", "any setting, such as PERFTUI_MONITOR_INTERVAL=2"),
    ("HTTP_PROXY, NO_PROXY", "proxy for pages of metrics and the Prometheus server"),
    ("PERFTUI_DIFF=0", "send whole regions to the terminal instead of changed cells"),
    ("NO_COLOR", "use no colour at all (no-color.org)"),
)
FILES = (
    ("$XDG_CONFIG_HOME/perftui/config.toml", "settings; ~/.config where the variable is unset"),
    ("$XDG_CONFIG_HOME/perftui/themes/NAME.toml", "your own themes"),
    ("$XDG_STATE_HOME/perftui/undo/", "deleted keys for ten minutes; ~/.local/state by default"),
)
EXIT_CODES = (
    ("0", "all is well"),
    ("1", "something failed; one line on standard error says what and how to mend it"),
    ("2", "wrong usage or configuration"),
    ("3", "an alert fired that --fail-on asks for, or cache could not do all of it"),
    ("130", "interrupted"),
)
EXAMPLES = (
    ("perftui demo", "see everything at work, nothing to set up"),
    ("perftui --pid 4711 --redis redis://localhost:6379", "watch a process and its Redis"),
    ("perftui --scrape http://localhost:8000/metrics", "operations of a service that has a page"),
    ("perftui --prometheus http://prometheus:9090", "operations and alerts of a whole fleet"),
    ("perftui once --seconds 5 --fail-on critical", "check from cron or a deployment"),
    ("perftui once --json | jq .resources.cpu.percent", "one number for a script"),
    ("perftui profile 4711", "in which functions a process spends its time, as text"),
    ("perftui alerts --exec 'notify-send Alert'", "follow alerts, and run a command for each"),
    ("perftui exporter", "serve what is measured on http://127.0.0.1:9465/metrics"),
    ("perftui rules test rules_test.toml", "test rules for alerts on series of values"),
    ("perftui cache invalidate 'user:*'", "delete keys by pattern, and perftui cache undo"),
    ("perftui doctor", "find out why something is missing"),
)


def width_of_terminal() -> int:
    """Return the columns to write in: those of the terminal within readable bounds."""
    return max(NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, WIDEST))


def manual(width: int) -> str:
    """Return the manual of the program, no line wider than `width` where words allow it."""
    lines = ["perftui - why is this Python service slow now?", ""]
    lines += _section("Usage", ["perftui [OPTIONS]", "perftui COMMAND [OPTIONS]"])
    lines += [*_paragraph(ABOUT, width), ""]
    without = ("(no command)", "open the dashboard")
    lines += _section(
        "Commands", _table([without, *((c.name, c.help) for c in COMMANDS)], width, 14)
    )
    lines += ["perftui COMMAND --help tells more. Options go before or after the command.", ""]
    for title, options in GLOBAL_OPTIONS:
        lines += _section(title, _options(options, width))
    lines += _section("Help", _table((("--help", "this text"), ("--version", "version")), width))
    lines += _section("Keys in the dashboard (? shows all)", _table(_keys(), width, 14))
    lines += _section("Environment", _table(ENVIRONMENT, width))
    lines += _section("Files", _table(FILES, width))
    lines += _section("Exit codes", _table(EXIT_CODES, width, 5))
    lines += _section("Examples", list(_examples(width)))
    return "\n".join(lines).rstrip() + "\n"


def command_manual(command: Command, width: int) -> str:
    """Return the manual of one command."""
    usage = f"perftui {command.name}"
    if command.options:
        usage += " [OPTIONS]"
    if command.choices:
        usage += " " + "|".join(command.choices)
    elif command.argument:
        usage += f" {command.argument}"
    if command.file:
        usage += f" [{command.file}]"
    if command.words:
        usage += f" [{command.words}]"
    lines = [f"perftui {command.name} - {command.help}", "", *_section("Usage", [usage])]
    lines += [*_paragraph(command.about, width), ""]
    if command.options:
        lines += _section("Options", _options(command.options, width))
    if command.name == "rules":
        lines += _section("A test of a rule, as a file", _example_of_test())
    if command.name == "demo":
        lines += _section("Scenarios", _table(_scenarios(), width))
    lines += _paragraph("The options that perftui --help lists work here too.", width)
    return "\n".join(lines).rstrip() + "\n"


def _section(title: str, body: Iterable[str]) -> list[str]:
    return [f"{title}:", *((MARGIN + line).rstrip() for line in body), ""]


def _paragraph(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _options(options: Iterable[Option], width: int) -> list[str]:
    rows = []
    for option in options:
        text = option.help
        if option.choices and not all(choice in text for choice in option.choices):
            text = f"{text}: {', '.join(option.choices)}"
        rows.append((f"{option.flag} {option.metavar}".strip(), text))
    return _table(rows, width)


def _table(rows: Iterable[tuple[str, str]], width: int, column: int = 22) -> list[str]:
    """Return names with their text beside them, below them where a name is too long."""
    lines: list[str] = []
    room = width - len(MARGIN)
    for name, text in rows:
        wrapped = _paragraph(text, max(16, room - column))
        if len(name) + 2 > column:
            lines.append(name)
        else:
            lines.append(f"{name:<{column}}{wrapped.pop(0)}")
        lines += [" " * column + line for line in wrapped]
    return lines


def _keys() -> list[tuple[str, str]]:
    from perftui.tui.actions import ACTIONS, shown_keys

    return [
        (shown_keys(spec, {}), spec.help)
        for spec in ACTIONS
        if spec.label or spec.id in ("view.theme", "layout.next", "app.back", "row.copy")
    ]


def _example_of_test() -> list[str]:
    from perftui.analysis.alerting.rule_test import EXAMPLE

    return EXAMPLE.splitlines()


def _scenarios() -> list[tuple[str, str]]:
    from perftui.demo.scenarios import SCENARIOS

    return [(scenario.name, scenario.summary) for scenario in SCENARIOS]


def _examples(width: int) -> Iterator[str]:
    for command, text in EXAMPLES:
        yield command
        for line in _paragraph(text, max(16, width - 6)):
            yield f"    {line}"
