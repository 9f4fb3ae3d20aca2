"""The children's end of the pipes to the supervisor."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable

from perftui.demo.messages import Instruction, Report, decode_instruction, encode_line


def follow_instructions(obey: Callable[[Instruction], None]) -> None:
    """Start a thread that passes every instruction to `obey`.

    The end of standard input is the end of the supervisor, and so of this process at once.
    """

    def follow() -> None:
        try:
            for line in sys.stdin.buffer:
                obey(decode_instruction(line))
        except Exception:
            # Without this thread nobody would notice the end of the supervisor.
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    threading.Thread(target=follow, name="control", daemon=True).start()


def report(message: Report) -> None:
    """Tell the supervisor something; without a supervisor this process ends."""
    try:
        os.write(sys.stdout.fileno(), encode_line(message))
    except BrokenPipeError:
        os._exit(0)
