"""Runs a program under a pseudo-terminal that is read, or left unread, by the test itself."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import pyte

UNKNOWN_TO_PYTE = re.compile(
    r"\x1b\[[<>=][0-9;]*[A-Za-z]"  # kitty keyboard protocol
    r"|\x1b\[\?[0-9;]*\$p"  # mode queries
    r"|[\u200d\ufe0f\x18]"  # pyte drops the rest of the text behind these
)
UNFINISHED = re.compile(r"\x1b(?:\[[0-9;<>=?$]*|\][^\x07\x1b]*\x1b?|)$")

REPOSITORY = Path(__file__).resolve().parents[2]

FAREWELL = ("\x1b[?1049l", "\x1b[?25h", "\x1b[?1000l", "\x1b[?2004l", "\x1b[?1004l", "\x1b[?7h")
"""What a terminal must be told before the program leaves it."""


class Cell(NamedTuple):
    """One cell as the terminal shows it."""

    text: str
    foreground: str
    background: str
    bold: bool
    italic: bool
    underline: bool
    strike: bool
    reverse: bool


class PtySession:
    """A program, its terminal and the screen that the terminal shows.

    Nothing reads the terminal but the methods of this class while they run: a test that calls
    none of them is a terminal that stalls.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        columns: int = 80,
        rows: int = 24,
        env: Mapping[str, str] | None = None,
        ignore_hangup: bool = False,
    ) -> None:
        """Start the program; `env` is added to a small fixed environment."""
        self.master, slave = os.openpty()
        self._resize(columns, rows)
        self.attributes = termios.tcgetattr(slave)
        self.slave_path = os.ttyname(slave)
        full_env = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "PYTHONPATH": str(REPOSITORY),
            "TEXTUAL_ANIMATIONS": "none",
            **(env or {}),
        }

        def take_terminal() -> None:
            if ignore_hangup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.login_tty(slave)

        self.process = subprocess.Popen(
            argv,
            env=full_env,
            preexec_fn=take_terminal,
            pass_fds=(slave,),
            cwd=REPOSITORY,
        )
        # Kept open by the test, the settings could be read at the end; but no hang-up would come.
        os.close(slave)
        self.total_bytes = 0
        self.raw = bytearray()
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tail = ""

    def __enter__(self) -> PtySession:
        """Nothing to do: the program runs."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill what still runs and close the terminal."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        """Change the terminal's size; the kernel sends SIGWINCH."""
        self.screen.resize(rows, columns)
        self._resize(columns, rows)

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def send(self, keys: str) -> None:
        """Type; control characters and escape sequences as a terminal sends them."""
        os.write(self.master, keys.encode())

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)

    def read(self, timeout: float) -> int:
        """Read once what is there within `timeout` seconds; returns the number of bytes."""
        if self.master < 0 or not select.select([self.master], [], [], timeout)[0]:
            return 0
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the program has closed its side.
            time.sleep(min(timeout, 0.02))
            return 0
        self.total_bytes += len(data)
        self.raw += data
        text = self._tail + self._decoder.decode(data)
        unfinished = UNFINISHED.search(text)
        cut = unfinished.start() if unfinished else len(text)
        text, self._tail = text[:cut], text[cut:]
        self._stream.feed(UNKNOWN_TO_PYTE.sub("", text))
        return len(data)

    def read_for(self, seconds: float) -> int:
        """Read everything for so long; returns the number of bytes."""
        before = self.total_bytes
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)
        return self.total_bytes - before

    def settle(self, quiet: float = 0.25, timeout: float = 30.0) -> None:
        """Read until nothing has come for `quiet` seconds."""
        end = time.monotonic() + timeout
        while self.read(quiet):
            if time.monotonic() > end:
                raise TimeoutError("the program does not stop writing")

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
        """Read until the condition holds, and then the rest of the frame that made it hold."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"no {what} within {timeout} s; the screen is:\n{self.text()}")
            self.read(0.05)
        # A frame comes in several pieces, and its cells in no order that a test may rely on.
        while time.monotonic() < end and self.read(0.02):
            pass

    def wait_for(self, text: str, timeout: float = 30.0) -> None:
        """Read until the screen shows the text."""
        self.wait_until(lambda: text in self.text(), repr(text), timeout)

    def wait_gone(self, text: str, timeout: float = 30.0) -> None:
        """Read until the screen does not show the text any more."""
        self.wait_until(lambda: text not in self.text(), f"end of {text!r}", timeout)

    def wait_exit(self, timeout: float = 30.0, *, reading: bool = True) -> int:
        """Exit code of the program; reads its last output unless told that nobody reads."""
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError(f"still running after {timeout} s:\n{self.text()}")
            if reading:
                self.read(0.02)
            else:
                time.sleep(0.02)
        while reading and self.read(0.05):
            pass
        return self.process.returncode

    def text(self) -> str:
        """The screen without colours."""
        return "\n".join(self.screen.display)

    def cells(self) -> list[list[Cell]]:
        """The screen with all its attributes, row by row."""
        rows = []
        for y in range(self.screen.lines):
            line = self.screen.buffer[y]
            rows.append(
                [
                    Cell(
                        char.data,
                        char.fg,
                        char.bg,
                        char.bold,
                        char.italics,
                        char.underscore,
                        char.strikethrough,
                        char.reverse,
                    )
                    for char in (line[x] for x in range(self.screen.columns))
                ]
            )
        return rows

    def settings(self) -> list[object]:
        """The terminal's present termios settings."""
        slave = os.open(self.slave_path, os.O_RDWR | os.O_NOCTTY)
        try:
            return list(termios.tcgetattr(slave))
        finally:
            os.close(slave)

    def missing_farewell(self) -> list[str]:
        """Resets that the program has not sent since it last took the terminal over."""
        sent = self.raw.decode("utf-8", "replace")
        taken = sent.rfind("\x1b[?1049h")
        return [sequence for sequence in FAREWELL if sequence not in sent[max(taken, 0) :]]

    def cpu_seconds(self) -> float:
        """CPU time used by the program's process so far (proc_pid_stat(5), fields 14 and 15)."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
