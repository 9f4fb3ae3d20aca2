"""The command line; each command imports what it needs when it runs.

Standard output is data, standard error is narration. Exit codes: 0 fine, 1 failure, 2 wrong usage
or configuration, 3 an alert fired that `--fail-on` asks for or `cache` has not done all, 130
interrupted, 143 terminated.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from perftui.argument_numbers import seconds_of, size_of
from perftui.commands import COMMANDS, Command, command_named
from perftui.interruption import exit_code
from perftui.options import GLOBAL_OPTIONS
from perftui.parser import FAILURE, USAGE, CommandError, build_parser, parse

if TYPE_CHECKING:
    from perftui.config import Loaded, Settings
    from perftui.snapshot import Snapshot

OK = 0
ALERT = 3

MOST_FAILURES = 20
"""Failures to tell somebody of alerts that are shown when the dashboard ends, the newest."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; the arguments are those of the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except CommandError as error:
        _complain(str(error))
        return error.code
    except KeyboardInterrupt as interrupt:
        return exit_code(interrupt)


def _run(arguments: list[str]) -> int:
    # Asking for help or version must work however wrong the rest of the line is.
    name = next((c.name for c in COMMANDS if c.name in arguments), None)
    if "--help" in arguments or "-h" in arguments:
        return _help(None if name is None else command_named(name))
    if "--version" in arguments:
        from perftui.version import __version__

        _write(f"perftui {__version__}\n")
        return OK
    parser = build_parser()
    _refuse_unknown_options(arguments)
    command = None if name is None else command_named(name)
    if command is not None and command.default and not {*arguments} & {*command.choices}:
        # `perftui pool --json` is the question that is asked most.
        arguments.insert(arguments.index(command.name) + 1, command.default)
    options = parse(parser, arguments)
    from perftui.config.errors import ConfigError

    try:
        return _COMMANDS[options.command or ""](options)
    except ConfigError as error:
        raise CommandError(str(error), USAGE) from None


def _refuse_unknown_options(arguments: list[str]) -> None:
    # argparse would take the value behind a misspelt option for the command.
    known = {option.flag for _, group in GLOBAL_OPTIONS for option in group}
    known |= {option.flag for command in COMMANDS for option in command.options}
    for word in arguments:
        flag = word.partition("=")[0]
        if flag.startswith("--") and len(flag) > 2 and flag not in known:
            from perftui.config.errors import closest

            raise CommandError(
                f"unknown option {flag}{closest(flag, known)} (see perftui --help)", USAGE
            )


def _help(command: Command | None) -> int:
    from perftui.manual import command_manual, manual, width_of_terminal

    width = width_of_terminal()
    _write(manual(width) if command is None else command_manual(command, width))
    return OK


def _write(text: str) -> bool:
    """Write to standard output and return whether there still is a reader.

    One that has seen enough, such as head, is no error.
    """
    stdout: TextIO | None = sys.stdout
    encoding = (stdout and stdout.encoding) or "utf-8"
    return _write_bytes(text.encode(encoding, "backslashreplace"))


def _write_bytes(data: bytes) -> bool:
    stdout: TextIO | None = sys.stdout
    if stdout is None:
        raise CommandError("standard output is closed: let it go to a file or to /dev/null")
    try:
        stdout.buffer.write(data)
        stdout.flush()
    except OSError as error:
        # The interpreter flushes what is left once more at its end and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            what = f"standard output cannot be written: {error.strerror}"
            raise CommandError(what) from None
        return False
    return True


def _complain(message: str) -> None:
    from perftui.text import printable

    # The exit code says enough where nobody can be told more.
    stderr: TextIO | None = sys.stderr
    if stderr is not None:
        with contextlib.suppress(OSError):
            stderr.write(f"perftui: {printable(message)}\n")


def _loaded(options: argparse.Namespace) -> Loaded:
    from perftui.config import load_settings

    given = vars(options)
    flags: dict[str, tuple[str, object]] = {}
    command = given.get("command")
    of_command = command_named(command).options if command else ()
    for option in (*(option for _, group in GLOBAL_OPTIONS for option in group), *of_command):
        value = given.get(option.flag[2:].replace("-", "_"))
        if option.setting and value is not None and value is not False:
            flags[option.setting] = (option.flag, value if option.metavar else option.value)
    loaded = load_settings(flags, given.get("config"))
    if loaded.settings.keys:
        from perftui.tui.actions import check_keys

        check_keys(loaded.settings.keys)
    return loaded


def _settings(options: argparse.Namespace) -> Settings:
    """Return settings that are ready to be used: URLs and patterns have been understood too."""
    from perftui.config import ConfigError
    from perftui.setting_checks import setting_problems

    loaded = _loaded(options)
    for setting, problem in setting_problems(loaded.settings):
        origin = loaded.origins.get(setting, "default")
        raise ConfigError(f"{setting} ({origin}): {problem}")
    if loaded.settings.rules or loaded.settings.alerts.disabled:
        from perftui.rules_command import first_problem

        wrong = first_problem(loaded)
        if wrong is not None:
            raise ConfigError(wrong)
    return loaded.settings


def _dashboard(options: argparse.Namespace) -> int:
    settings = _settings(options)
    _require_terminal(settings)
    from perftui.tui.launch import run

    if not (settings.alerts.exec or settings.alerts.webhook):
        return run(settings)
    from perftui.output.alert_delivery import AlertDelivery

    # Standard error is the screen's while it is open.
    failures: deque[str] = deque(maxlen=MOST_FAILURES)
    delivery = AlertDelivery(settings.alerts, failures.append)
    try:
        return run(settings, watch=delivery.watch)
    finally:
        delivery.close()
        for failure in failures:
            _complain(failure)


def _require_terminal(settings: Settings) -> None:
    from perftui.tui.terminal import check_terminal

    problem = check_terminal(os.environ)
    if problem is not None:
        raise CommandError(problem)
    if settings.screen.color not in ("auto", "never"):
        # Who asks for colours in so many words means it, whatever the shell's profile says.
        os.environ.pop("NO_COLOR", None)


def _demo(options: argparse.Namespace) -> int:
    from perftui import demo_command

    settings = _settings(options)
    if options.screenshot is not None:
        size = size_of(options)
        keys = tuple((options.press or "").replace(",", " ").split())
        seconds = seconds_of(options, 15.0)
        demo_command.picture(
            settings, options.scenario, Path(options.screenshot), size, seconds, keys
        )
        return OK
    if options.headless or options.json or options.seconds is not None:
        seconds = seconds_of(options, 5.0)
        snapshot, failed = demo_command.measure(settings, options.scenario, seconds)
        _write_report(settings, snapshot, options.json)
        return FAILURE if failed else OK
    _require_terminal(settings)
    return demo_command.watch(settings, options.scenario)


def _once(options: argparse.Namespace) -> int:
    settings = _settings(options)
    seconds = seconds_of(options, 1.0)
    from perftui.monitor import collect

    snapshot = collect(settings, seconds)
    _write_report(settings, snapshot, options.json, options.window)
    return _verdict(options, {alert.severity.value for alert in snapshot.firing})


def _verdict(options: argparse.Namespace, fired: Collection[str]) -> int:
    if options.fail_on == "critical":
        return ALERT if "critical" in fired else OK
    return ALERT if options.fail_on and fired else OK


def _alerts(options: argparse.Namespace) -> int:
    settings = _settings(options)
    seconds = seconds_of(options, math.inf, math.inf)
    from perftui.output import alert_follow
    from perftui.output.alert_delivery import AlertDelivery

    fired = alert_follow.follow(
        settings,
        AlertDelivery(settings.alerts),
        _write,
        as_json=options.json,
        ascii_only=_ascii_only(settings),
        seconds=seconds,
    )
    return _verdict(options, {severity.value for severity in fired})


def _profile(options: argparse.Namespace) -> int:
    settings = _settings(options)
    from perftui import profile_arguments, profile_command

    seconds = seconds_of(options, profile_command.SECONDS, least=0.5)
    wish = profile_arguments.wish_of(options, settings, seconds, _ascii_only(settings))
    if options.flame is not None:
        return profile_command.flame(settings, wish, Path(options.flame))
    return profile_command.profile(settings, wish, _write_bytes)


def _write_report(
    settings: Settings, snapshot: Snapshot, as_json: bool, window: str | None = None
) -> None:
    window = window or settings.operations.window
    if as_json:
        from perftui.output.document import document, encode

        _write(encode(document(snapshot, window)).decode() + "\n")
        return
    from perftui.output.once import report

    _write(report(snapshot, _ascii_only(settings), window))


def _ascii_only(settings: Settings) -> bool:
    stdout: TextIO | None = sys.stdout
    encoding = ((stdout and stdout.encoding) or "ascii").lower().replace("-", "")
    chosen = settings.screen.ascii
    return chosen == "on" or (chosen == "auto" and encoding != "utf8")


def _exporter(options: argparse.Namespace) -> int:
    settings = _settings(options)
    from perftui.output import exporter

    try:
        address = exporter.Address.parse(options.listen or exporter.DEFAULT_ADDRESS)
    except ValueError as error:
        raise CommandError(f"--listen {error}", USAGE) from None
    try:
        exporter.run(settings, address)
    except exporter.ListenError as error:
        raise CommandError(str(error), FAILURE if error.may_pass else USAGE) from None
    return OK


def _agent_check(options: argparse.Namespace) -> int:
    from perftui import agent_check_command

    return agent_check_command.run(agent_check_command.asked(options, _settings(options)))


def _rules(options: argparse.Namespace) -> int:
    from perftui import rules_command

    what = options.what
    if what == "test":
        if options.file is None:
            raise CommandError("say which file: perftui rules test FILE", USAGE)
        text, failed = rules_command.test(_loaded(options), Path(options.file), options.json)
        _write(text)
        return FAILURE if failed else OK
    if options.file is not None:
        if what == "list":
            raise CommandError(f"argument {options.file} does not belong here", USAGE)
        options.config = options.file
    loaded = _loaded(options)
    if what == "check":
        text, failed = rules_command.check(loaded, options.json)
        _write(text)
        return USAGE if failed else OK
    _write(rules_command.listing_json(loaded) if options.json else rules_command.listing(loaded))
    return OK


def _doctor(options: argparse.Namespace) -> int:
    from perftui import doctor

    findings = doctor.examine(lambda: _loaded(options))
    _write(doctor.json_of(findings) if options.json else doctor.text_of(findings))
    return FAILURE if doctor.has_problem(findings) else OK


def _cache(options: argparse.Namespace) -> int:
    from perftui import cache_command

    asked = cache_command.asked(options, seconds_of(options, 2.0))
    return cache_command.run(options.what, _settings(options), asked, _write)


def _pool(options: argparse.Namespace) -> int:
    from perftui import pool_command

    asked = pool_command.asked(options, seconds_of(options, 1.0))
    return pool_command.run(options.what, _settings(options), asked, _write)


def _queries(options: argparse.Namespace) -> int:
    from perftui import queries_command

    return queries_command.run(
        options.what, _settings(options), queries_command.asked(options), _write
    )


def _config(options: argparse.Namespace) -> int:
    import json

    from perftui import config

    if options.what == "schema":
        _write(json.dumps(config.schema(), indent=2) + "\n")
    elif options.what == "path":
        named = vars(options).get("config") or os.environ.get("PERFTUI_CONFIG")
        _write(f"{named or config.config_file()}\n")
    else:
        loaded = _loaded(options)
        _write(config.dump_toml(loaded.settings, loaded.origins))
    return OK


def _completion(options: argparse.Namespace) -> int:
    from perftui.completion import completion_script
    from perftui.demo.scenarios import SCENARIOS

    parser = build_parser([scenario.name for scenario in SCENARIOS])
    _write(completion_script(parser, options.what) + "\n")
    return OK


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "": _dashboard,
    "demo": _demo,
    "once": _once,
    "alerts": _alerts,
    "profile": _profile,
    "exporter": _exporter,
    "agent-check": _agent_check,
    "doctor": _doctor,
    "rules": _rules,
    "cache": _cache,
    "pool": _pool,
    "queries": _queries,
    "config": _config,
    "completion": _completion,
}
