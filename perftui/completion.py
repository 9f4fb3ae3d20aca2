"""The completion script of the command line for a shell."""

from __future__ import annotations

import argparse

import shtab

FILES = frozenset({"--config", "--flame", "--output", "--screenshot"})
"""Options whose value is a file."""


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for one of the shells that shtab knows."""
    _complete_files(parser)
    script: str = shtab.complete(parser, shell)
    return script


def _complete_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        named = FILES.intersection(action.option_strings)
        if named or action.dest == "file" or action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _complete_files(sub)
