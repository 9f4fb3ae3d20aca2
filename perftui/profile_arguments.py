"""What the command line asks of the command `profile`, checked."""

from __future__ import annotations

import argparse
from pathlib import Path

from perftui.config import Settings
from perftui.parser import USAGE, CommandError
from perftui.profile_command import Wish


def wish_of(
    options: argparse.Namespace, settings: Settings, seconds: float, ascii_only: bool
) -> Wish:
    """Return what is asked for; raises CommandError when the options contradict each other."""
    given = vars(options)
    pid = _pid(options.what, settings.profile.pid, given.get("pid"))
    if settings.profile.gil and settings.profile.idle:
        raise CommandError("--gil and --idle exclude each other: who waits holds no lock", USAGE)
    if settings.profile.native and settings.profile.mode == "safe":
        raise CommandError(
            "C frames (--native) are only read while the process is paused, and safe mode never "
            "pauses it: leave one of the two out",
            USAGE,
        )
    forms = [name for name in ("json", "collapsed", "speedscope") if given[name]]
    if len(forms) + (options.flame is not None) > 1:
        raise CommandError("choose one of --json, --collapsed, --speedscope and --flame", USAGE)
    form = forms[0] if forms else "text"
    table = form in ("text", "json") and options.flame is None
    for name in ("by", "limit"):
        if given[name] is not None and not table:
            raise CommandError(f"--{name} belongs to the table and to --json", USAGE)
    if options.threads and (form == "speedscope" or options.flame is not None):
        raise CommandError("--threads belongs to the table, --json and --collapsed", USAGE)
    if options.output is not None and options.flame is not None:
        raise CommandError("--flame names its file already: leave --output out", USAGE)
    for flag, file in (("--output", options.output), ("--flame", options.flame)):
        if file == "":
            raise CommandError(f"{flag} names no file", USAGE)
        if file == "-":
            raise CommandError(
                f"{flag} - is no file: for standard output "
                + ("leave it out" if flag == "--output" else "say /dev/stdout"),
                USAGE,
            )
    return Wish(
        pid=pid,
        seconds=seconds,
        form=form,
        by=options.by or "function",
        per_thread=options.threads,
        limit=_limit(options.limit),
        output=None if options.output is None else Path(options.output),
        ascii_only=ascii_only,
    )


def _pid(text: str | None, configured: int | None, flag: str | None) -> int:
    if text is None:
        if configured is None:
            raise CommandError("say which process: perftui profile PID", USAGE)
        return configured
    # No id of a process has more digits.
    if text.isascii() and text.isdecimal() and len(text) < 10 and int(text):
        if flag is not None and configured != int(text):
            raise CommandError(f"one process at a time: PID is {text}, --pid is {flag}", USAGE)
        return int(text)
    raise CommandError(f"PID is {text!r}; it must be the id of a process, like 4711", USAGE)


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 7 and int(text):
        return int(text)
    raise CommandError(f"--limit is {text!r}; it must be a number from 1 to 999999", USAGE)
