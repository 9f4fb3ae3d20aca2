"""Processes: every process of the machine, Python ones marked."""

from __future__ import annotations

from typing import Any

from perftui.format import age, percent, size_short
from perftui.snapshot import Absent, Process, Snapshot
from perftui.text import printable
from perftui.tui.lines import Line, Span
from perftui.tui.panes.pane import Pane, absent_lines, joined, missing, stale_span
from perftui.tui.table import Column, Table
from perftui.tui.view import View

ROOMY = 90
"""Width from which on a command line is shown with the directory of its program."""


class ProcessesPane(Pane):
    """The process table; `p` profiles the selected Python process."""

    id = "processes"
    number = "8"
    title = "Processes"
    tab = "Procs"
    needs = frozenset({"processes"})
    default_sort = "cpu"

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        table = snapshot.processes
        if isinstance(table, Absent):
            return ()
        parts: list[tuple[Span, ...]] = [
            stale_span(snapshot.status("processes")),
            ((f"{table.total}", "muted"),),
            ((f"{table.threads} threads", "muted"),),
            ((f"{table.running} running", "muted"),),
        ]
        if table.scan_seconds > 3 * view.interval:
            parts.append(((f"idle ones read every {table.scan_seconds:.0f} s", "muted"),))
        return joined(parts, view.glyphs.separator)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        if isinstance(snapshot.processes, Absent):
            return absent_lines(snapshot.processes, view)
        return []

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        processes = snapshot.processes
        if isinstance(processes, Absent):
            return None
        return Table(
            columns=_columns(view, snapshot.time),
            records=processes.rows,
            key=lambda process: (process.pid, process.started),
            text=lambda process: (
                f"{process.pid} {process.user} {process.name} {process.command}"
                f"{' python' if process.python else ''}"
            ),
            empty=(((f" {view.glyphs.hollow} no process is visible", "absent"),),),
            parent=_Parents(processes.rows),
            tree_column="command",
        )


def short_command(process: Process) -> str:
    """Return what tells most of a command line: the program without its directory.

    Of a Python process that is the module or script, not the interpreter; a title that a server
    gave itself, such as `gunicorn: worker`, stays as it is.
    """
    program, space, arguments = process.command.partition(" ")
    if program.endswith(":"):
        return process.command
    if process.python:
        words = arguments.split(" ")
        while words and words[0].startswith("-") and words[0] not in ("-m", "-c", "-"):
            option = words.pop(0)
            if option in ("-W", "-X") and words:
                words.pop(0)
        if words[:1] == ["-m"] and len(words) > 1:
            return " ".join(words[1:])
        if words and words[0] and words[0] not in ("-c", "-"):
            program, space, arguments = words[0], " ", " ".join(words[1:])
    if not process.command.startswith("["):
        program = program.rpartition("/")[2] or program
    return f"{program}{space}{arguments}"


class _Parents:
    """Finds the key of a process's parent; the index is made when the tree is first asked for."""

    def __init__(self, processes: tuple[Process, ...]) -> None:
        self._processes = processes
        self._started: dict[int, float] | None = None

    def __call__(self, process: Process) -> tuple[int, float]:
        if self._started is None:
            self._started = {process.pid: process.started for process in self._processes}
        return (process.ppid, self._started.get(process.ppid, 0.0))


def _columns(view: View, now: float) -> tuple[Column[Process], ...]:
    ascii_only = view.ascii_only
    roomy = view.width >= ROOMY

    def cpu(process: Process) -> Span:
        value = process.cpu_percent
        if isinstance(value, Absent):
            return missing(value)
        return (percent(value), "critical" if value >= 90 else "warning" if value >= 50 else "text")

    def cpu_order(process: Process) -> tuple[float, int]:
        value = process.cpu_percent
        return (-1.0 if isinstance(value, Absent) else round(value, 1), -process.pid)

    def command(process: Process) -> Span:
        text = printable(process.command if roomy else short_command(process), ascii_only)
        return (text, "accent" if process.python else "text")

    return (
        Column("pid", "pid", 7, lambda p: (str(p.pid), "muted"), lambda p: p.pid, descending=False),
        Column("user", "user", 8, lambda p: (printable(p.user, ascii_only), "muted"),
               lambda p: p.user, "left", spare=3, descending=False),
        Column("cpu", "cpu%", 6, cpu, cpu_order),
        Column("memory", "mem", 6, lambda p: (size_short(p.memory_rss), "text"),
               lambda p: p.memory_rss),
        Column("threads", "thr", 4, lambda p: (str(p.threads), "muted"), lambda p: p.threads,
               spare=4),
        Column("state", "s", 1, lambda p: (p.state[:1], "text"), lambda p: p.state, spare=5,
               descending=False),
        Column("age", "age", 8, lambda p: (age(max(0.0, now - p.started)), "muted"),
               lambda p: -p.started, spare=6),
        Column("command", "command", 16, command, lambda p: p.command, "left", flex=True,
               descending=False),
    )  # fmt: skip
