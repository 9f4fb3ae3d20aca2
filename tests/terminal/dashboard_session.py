"""The real program on a pseudo-terminal, with its panes as text."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from pty_session import PtySession

MARK = "FAULTS_MARK"
FILLED = re.compile(r"CPU +\S+ +\d+\.\d %")
FRAME = "╭╮╰╯├┤│┌┐└┘+|"
LEFT_CORNERS = "├╰└+"


class Dashboard(PtySession):
    """`perftui` with these arguments; its whole family of processes is known by a mark."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 120,
        rows: int = 40,
        env: Mapping[str, str] | None = None,
        ignore_hangup: bool = False,
        command: Sequence[str] = (sys.executable, "-m", "perftui"),
    ) -> None:
        self.mark = uuid.uuid4().hex
        super().__init__(
            (*command, *arguments),
            columns=columns,
            rows=rows,
            env={
                "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", ""),
                "XDG_STATE_HOME": os.environ.get("XDG_STATE_HOME", ""),
                MARK: self.mark,
                **(env or {}),
            },
            ignore_hangup=ignore_hangup,
        )

    def wait_filled(self, timeout: float = 20.0) -> None:
        """Read until the CPU gauge has a value."""
        self.wait_until(lambda: FILLED.search(self.text()) is not None, "CPU value", timeout)

    def wait_for_all(self, timeout: float, *texts: str) -> None:
        """Read until all these texts are on the screen, each within one line."""
        self.wait_until(lambda: all(t in self.text() for t in texts), repr(texts), timeout)

    def pane(self, title: str) -> list[str]:
        """Lines of a framed pane without its frame, its heading first; empty when not there."""
        grid = [[cell.text for cell in row] for row in self.cells()]
        place = next(
            (
                (y, x)
                for y, row in enumerate(grid)
                for x in range(len(row))
                if row[x] in FRAME and "".join(row[x + 1 :]).startswith(f" {title} ")
            ),
            None,
        )
        if place is None:
            return []
        top, left = place
        right = next(x for x in range(left + 1, len(grid[top])) if grid[top][x] in FRAME)
        lines = ["".join(grid[top][left + 1 : right])]
        for row in grid[top + 1 :]:
            if row[left] in LEFT_CORNERS:
                break
            lines.append("".join(row[left + 1 : right]))
        return lines

    def words(self, title: str) -> str:
        """Text of a pane in one line, words apart by one space, so that wrapping does not show."""
        return " ".join(" ".join(self.pane(title)).split())

    def wait_words(self, title: str, text: str, timeout: float = 15.0) -> str:
        """Read until a pane says so, wrapped or not; returns all it says."""
        self.wait_until(lambda: text in self.words(title), f"{text!r} in {title}", timeout)
        return self.words(title)

    def press(self, keys: str, text: str, timeout: float = 30.0) -> None:
        """Type and read until the screen shows the text."""
        self.send(keys)
        self.wait_for(text, timeout)

    def family(self) -> list[str]:
        """Command lines of all living processes that the program or its children started."""
        found: list[str] = []
        wanted = f"{MARK}={self.mark}".encode()
        for name in filter(str.isdigit, os.listdir("/proc")):
            # Processes end while one looks, and those of others may not be read.
            with contextlib.suppress(OSError):
                if wanted in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                    found.append(b" ".join(words).decode("utf-8", "backslashreplace"))
        return found

    def wait_family_gone(self, timeout: float = 5.0) -> None:
        """Read until no process of the program is left."""
        try:
            self.wait_until(lambda: not self.family(), "end of its processes", timeout)
        except TimeoutError as error:
            raise TimeoutError(f"still there: {self.family()}; {error}") from error
