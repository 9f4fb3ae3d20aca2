"""The children's end of the pipes to the supervisor."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

from perftui.demo.messages import Instruction, Report, decode_instruction, encode_line
from perftui.demo.own_usage import OwnCpu

CPU_SECONDS = 2.0


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
    """Tell the supervisor something; without a supervisor this process ends.

    Never waits: what a supervisor that hangs has no room for is lost.
    """
    output = sys.stdout.fileno()
    try:
        os.set_blocking(output, False)
        os.write(output, encode_line(message))
    except BlockingIOError:
        return
    except BrokenPipeError:
        os._exit(0)


class CpuReport:
    """Tells the supervisor every two seconds what this process uses, from whatever loop it has.

    A thread for that would make a profiler's pauses longer.
    """

    def __init__(self) -> None:
        self._cpu = OwnCpu()
        self._due = time.monotonic() + CPU_SECONDS

    def tell_when_due(self) -> None:
        """Tell it, unless that was done a moment ago."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + CPU_SECONDS
            report(Report(cpu_percent=round(self._cpu.percent(), 1)))
