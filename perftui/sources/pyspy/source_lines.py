"""Finds the waiting places in the source files of one process, as the process itself sees them.

A process in a container has other files under the same names: /proc/PID/root and /proc/PID/cwd lead
to its own, see proc_pid_root(5) and proc_pid_cwd(5).
"""

from __future__ import annotations

import os
import stat

from perftui.profiling.speedscope import Frame
from perftui.profiling.waiting import known_wait, waiting_line

LARGEST = 1 << 20
"""Bytes of a source file from which on it is not read: nobody wrote it by hand."""

MOST_PLACES = 10_000
MOST_FILES = 16
"""Lines judged and files kept; beyond that both are forgotten and read anew."""


class SourceLines:
    """Judges frames of one process; reads only regular files of Python source, each line once."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._waiting: dict[tuple[str, int], bool] = {}
        self._files: dict[str, str] = {}

    def waits(self, frame: Frame) -> bool:
        """Whether a thread whose innermost frame this is waits rather than computes."""
        place = frame.file, frame.line
        waiting = self._waiting.get(place)
        if waiting is None:
            if len(self._waiting) >= MOST_PLACES:
                self._waiting.clear()
            waiting = self._waiting[place] = waiting_line(self._line(*place)) or known_wait(frame)
        return waiting

    def _line(self, file: str, number: int) -> str:
        text = self._files.get(file)
        if text is None:
            if len(self._files) >= MOST_FILES:
                self._files.clear()
            text = self._files[file] = self._read(file) or ""
        # Kept in one piece: as a list of lines a file takes three times the memory.
        lines = text.split("\n", max(0, number))
        return lines[number - 1] if 1 <= number <= len(lines) else ""

    def _read(self, file: str) -> str | None:
        # The name comes from the process and may be anything, "<string>" or a pipe.
        if not file.endswith(".py") or "\0" in file:
            return None
        own = f"/proc/{self._pid}/root" if os.path.isabs(file) else f"/proc/{self._pid}/cwd/"
        # Without /proc every process sees the same files.
        path = own + file if os.path.isdir(f"/proc/{self._pid}") else file
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError):
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                return None
            return os.read(descriptor, LARGEST).decode("utf-8", "replace")
        except OSError:
            return None
        finally:
            os.close(descriptor)
