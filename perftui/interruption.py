"""Ends a command on SIGINT and SIGTERM without a word, from its first import to its last thread.

This is the first module that the command line loads, and until it is there Ctrl-C prints a
traceback: it takes nothing but what every interpreter has loaded already, so `signal`, which makes
enumerations first, is taken from below.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os

# Known to type checkers by its name; typing takes longer to load than all of this.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SIGINT, SIGTERM = 2, 15
ENDING = (SIGINT, SIGTERM)

RETRY = 0.01
"""Seconds until a signal that came at a bad moment comes again."""

_IMPORTER = "<frozen importlib."


class Terminated(KeyboardInterrupt):
    """SIGTERM came: whatever cleans up after Ctrl-C cleans up after it, too."""


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return what a shell says of a program that ended so: 143 or 130."""
    return 128 + (SIGTERM if isinstance(interrupt, Terminated) else SIGINT)


def ending_quietly(command: Callable[[], int]) -> int:
    """Run a command and return its exit code, 130 after SIGINT and 143 after SIGTERM.

    Both raise KeyboardInterrupt in the command, but never in the middle of an import: a module of C
    that cannot finish setting itself up may take the interpreter down, and a class may be only half
    there. Once the command has returned they end the process at once. What is ignored stays
    ignored, as nohup(1) and shells want it for programs in the background. For the main thread
    alone.
    """
    heeded = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    code = 0
    try:
        signal.signal(signal.SIGALRM, _again)
        for number in heeded:
            signal.signal(number, _on_signal)
        code = command()
    except KeyboardInterrupt as interrupt:
        code = exit_code(interrupt)
    finally:
        for number in heeded:
            signal.signal(number, _leave)
    return code


_put_off: list[int] = []


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        _put_off.append(number)
        signal.setitimer(signal.ITIMER_REAL, RETRY)
    elif number == SIGTERM:
        raise Terminated
    else:
        raise KeyboardInterrupt


def _again(_: int, __: FrameType | None) -> None:
    # Whoever heeds the signal by now shall get it; that may put it off once more.
    numbers = _put_off.copy()
    _put_off.clear()
    for number in numbers:
        os.kill(os.getpid(), number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTER):
            return True
        frame = frame.f_back
    return False


def _leave(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)
