"""Finds the waiting places in the source files of one process, as the process itself sees them."""

from __future__ import annotations

from perftui.profiling.speedscope import Frame
from perftui.profiling.waiting import known_wait, waiting_line
from perftui.sources.source_text import read_source

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
            read = read_source(self._pid, file)
            text = self._files[file] = read if isinstance(read, str) else ""
        # Kept in one piece: as a list of lines a file takes three times the memory.
        lines = text.split("\n", max(0, number))
        return lines[number - 1] if 1 <= number <= len(lines) else ""
