"""What the terminal is and can do, told from the environment, and how to leave it as it was."""

from __future__ import annotations

import io
import os
import signal
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from perftui.tui.terminal_writer import open_terminal

ColourDepth = Literal["none", "16", "256", "truecolor"]

TRUECOLOR_TERMS = ("xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm", "contour")
"""Values of TERM whose terminals all draw 24-bit colour; ssh passes TERM on, COLORTERM not."""

COERCED_LOCALES = ("C.UTF-8", "C.utf8", "UTF-8")
"""What CPython puts into LC_CTYPE when it finds the C locale (PEP 538)."""

RESET_SEQUENCE = (
    "\x18\x1b\\"  # CAN and ST: end whatever sequence was cut off.
    "\x1b[?2026l\x1b]8;;\x1b\\\x1b[0m"
    "\x1b[?1016l\x1b[?1015l\x1b[?1006l\x1b[?1003l\x1b[?1000l"
    "\x1b[?1004l\x1b[?2004l\x1b[?2048l\x1b[?7h"
    "\x1b[<u\x1b[?1049l\x1b[?25h"
)
"""Undoes every mode that the screen sets, in the order of the driver's own farewell."""


def check_terminal(env: Mapping[str, str]) -> str | None:
    """Why the screen cannot run here and what to do instead; None when it can."""
    streams = (("stdin", sys.__stdin__), ("stdout", sys.__stdout__), ("stderr", sys.__stderr__))
    for name, stream in streams:
        if not _is_terminal(stream):
            return (
                f"{name} is not a terminal, and the screen needs one; "
                "run `perftui once` in scripts and pipes"
            )
    term = env.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        said = f"TERM={term}" if term else "TERM is not set"
        return (
            f"{said}, so the terminal cannot place text on the screen; "
            "set TERM (`export TERM=xterm-256color`) or run `perftui once`"
        )
    return None


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # The stream is closed.
        return False


def wants_ascii(env: Mapping[str, str]) -> bool:
    """True when the locale is explicitly C or POSIX; no locale at all does not say ASCII.

    Precedence as in POSIX, Base Definitions 8.2: LC_ALL, LC_CTYPE, LANG.
    """
    if value := env.get("LC_ALL", ""):
        return value in ("C", "POSIX")
    value = env.get("LC_CTYPE", "")
    if value and not (value in COERCED_LOCALES and _is_coerced(env)):
        return value in ("C", "POSIX")
    return env.get("LANG", "") in ("C", "POSIX")


def _is_coerced(env: Mapping[str, str]) -> bool:
    """True when LC_CTYPE comes from the interpreter rather than from the user."""
    if env is os.environ:
        try:
            # The block that execve(2) got; later changes to the environment do not show in it.
            block = Path("/proc/self/environ").read_bytes()
        except OSError:
            pass
        else:
            return not any(entry.startswith(b"LC_CTYPE=") for entry in block.split(b"\0"))
    return env.get("LANG", "") in ("C", "POSIX")


def colour_depth(env: Mapping[str, str]) -> ColourDepth:
    """How many colours to use; NO_COLOR (https://no-color.org) comes before all else."""
    if env.get("NO_COLOR"):
        return "none"
    term = env.get("TERM", "").strip().lower()
    if term in ("", "dumb", "unknown") or term.endswith(("-mono", "-m")):
        return "none"
    if term == "linux":
        return "16"
    if env.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return "truecolor"
    if term.endswith("-direct") or any(
        term == name or term.startswith(f"{name}-") for name in TRUECOLOR_TERMS
    ):
        return "truecolor"
    return "256" if term.endswith("256color") else "16"


def has_braille(env: Mapping[str, str]) -> bool:
    """False where the font has no braille: the Linux and BSD consoles and hardware terminals."""
    term = env.get("TERM", "").strip().lower()
    if term in ("", "dumb", "linux", "cons25") or term.startswith("vt"):
        return False
    return not wants_ascii(env)


def use_utf8_output() -> None:
    """Make the stream that Textual writes to send UTF-8 whatever the locale says."""
    stream = sys.__stderr__
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="replace")


def force_reset(fd: int, attributes: list[Any] | None, *, patience: float = 0.3) -> bool:
    """Give the terminal back without ever blocking; True when it took the whole sequence.

    `attributes` are termios settings to put back. What the kernel still holds for a terminal that
    does not read is thrown away, or there would be no room for the sequence that matters.
    """
    # A background job that changes the terminal is stopped unless it blocks this signal.
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        if attributes is not None:
            try:
                termios.tcsetattr(fd, termios.TCSANOW, attributes)
            except termios.error:
                return False
        try:
            own = open_terminal(fd)
        except OSError:
            return False
        try:
            return _send_reset(own, patience)
        finally:
            os.close(own)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def _send_reset(own: int, patience: float) -> bool:
    rest = RESET_SEQUENCE.encode()
    give_up = time.monotonic() + patience
    while rest and time.monotonic() < give_up:
        try:
            rest = rest[os.write(own, rest) :]
        except BlockingIOError:
            try:
                termios.tcflush(own, termios.TCOFLUSH)
            except termios.error:
                return False
            time.sleep(0.01)
        except OSError:
            return False
    return not rest
