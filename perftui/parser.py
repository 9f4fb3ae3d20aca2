"""The parser of the command line, which says what is wrong in one line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from perftui.commands import COMMANDS, command_named
from perftui.options import GLOBAL_OPTIONS, Option

FAILURE = 1
USAGE = 2


class CommandError(Exception):
    """A command cannot do its work; the message names the thing and the fix."""

    def __init__(self, message: str, code: int = FAILURE) -> None:
        super().__init__(message)
        self.code = code


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line instead of argparse's block of usage."""

    def error(self, message: str) -> NoReturn:
        choice = re.match(r"argument (.+?): invalid choice: '(.*?)' \(choose from (.*)\)$", message)
        if choice:
            from perftui.config.errors import closest

            name, word, listed = choice.groups()
            known = [part.strip(" '") for part in listed.split(",")]
            what = "unknown command" if name == "COMMAND" else f"{name} cannot be"
            message = f"{what} {word!r}{closest(word, known)} ({', '.join(known)})"
        elif message.startswith("unrecognized arguments: "):
            word = message.partition(": ")[2].split()[0]
            kind = "option" if word.startswith("-") else "argument"
            message = f"{kind} {word} does not belong here"
        elif message.startswith("the following arguments are required"):
            word = self.prog.rpartition(" ")[2]
            message = f"say what to do: {self.prog} {'|'.join(command_named(word).choices)}"
        elif message.startswith("argument "):
            message = message.removeprefix("argument ").replace(": ", " ", 1)
        raise CommandError(f"{message} (see {self.prog} --help)", USAGE)


def build_parser(scenarios: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser; `scenarios` become choices, which only completions need."""
    shared = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for title, options in GLOBAL_OPTIONS:
        group = shared.add_argument_group(title)
        for option in options:
            _add(group, option)
    parser = _Parser(prog="perftui", parents=[shared], allow_abbrev=False, add_help=False)
    _add_help(parser)
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help,
            parents=[shared],
            allow_abbrev=False,
            add_help=False,
        )
        _add_help(sub)
        for option in command.options:
            _add(sub, option, scenarios if option.flag == "--scenario" else ())
        if command.argument and command.choices:
            sub.add_argument("what", metavar=command.argument, choices=command.choices)
        elif command.argument:
            sub.add_argument("what", metavar=command.argument, nargs="?")
        if command.file:
            sub.add_argument("file", metavar=command.file, nargs="?")
        if command.words:
            sub.add_argument("words", metavar=command.words, nargs="*")
    return parser


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the arguments ask for; raises CommandError for what does not belong there.

    argparse takes words that stand behind an option for superfluous where any number of them may
    come; here they may.
    """
    options, rest = parser.parse_known_args(arguments)
    words: list[str] | None = vars(options).get("words")
    if words is not None and not any(len(word) > 2 and word.startswith("--") for word in rest):
        words += [word for word in rest if word != "--"]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _add_help(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-h", "--help", action="store_true", help="show the manual")


def _add(
    group: argparse._ActionsContainer, option: Option, choices: Sequence[str] = ()
) -> argparse.Action:
    if not option.metavar:
        return group.add_argument(option.flag, action="store_true", help=option.help)
    allowed = option.choices or choices or None
    if option.repeats:
        return group.add_argument(
            option.flag, metavar=option.metavar, action="append", help=option.help
        )
    return group.add_argument(
        option.flag, metavar=option.metavar, choices=allowed, help=option.help
    )
