"""Keeps the source files that were looked at; reads them on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable

from perftui.snapshot import NOT_STARTED, Maybe
from perftui.sources.source_text import read_source
from perftui.tui.jobs import Job
from perftui.tui.profile_view import SourceText

MOST = 8
"""Files kept; the next one drops them all, since somebody who looks around rarely returns."""


class SourceTexts:
    """Source files by process and name; `arrived` is called on the thread that has read one."""

    def __init__(self, arrived: Callable[[], None]) -> None:
        self._arrived = arrived
        self._texts: dict[tuple[int, str], Maybe[tuple[str, ...]]] = {}

    def get(self, pid: int, file: str) -> SourceText:
        """Return the text, without lines until the file has been read."""
        key = pid, file
        if key not in self._texts:
            if len(self._texts) >= MOST:
                self._texts.clear()
            self._texts[key] = NOT_STARTED
            Job(lambda: self._read(key))
        return SourceText(pid, file, self._texts[key])

    def _read(self, key: tuple[int, str]) -> None:
        text = read_source(*key)
        self._texts[key] = tuple(text.split("\n")) if isinstance(text, str) else text
        self._arrived()
