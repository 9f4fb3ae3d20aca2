"""The process table where there is no /proc, through psutil."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from perftui.snapshot import FIRST_SAMPLE, Maybe, Process, ProcessTable, State
from perftui.sources.processes.details import COMMAND_BYTES, Details, command_text, runs_python
from perftui.sources.source import SourceError

CHEAP = [
    "pid", "ppid", "name", "status", "cpu_times", "memory_info", "num_threads", "create_time",
]  # fmt: skip
STATES = {
    "running": "R",
    "sleeping": "S",
    "disk-sleep": "D",
    "stopped": "T",
    "tracing-stop": "t",
    "zombie": "Z",
    "dead": "X",
    "wake-kill": "K",
    "waking": "W",
    "parked": "P",
    "idle": "I",
    "locked": "L",
    "waiting": "W",
}


class _Known(NamedTuple):
    """What is remembered of one process; `cpu` in seconds, `time` on the monotonic clock."""

    created: float
    details: Details
    cpu: float
    time: float


class PsutilScan:
    """Process tables through psutil, a table standing for several ticks when it is expensive.

    A table that costs n budgets of CPU time is kept for n ticks; `scan_seconds` tells its age.
    """

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._known: dict[int, _Known] = {}
        self._debt = 0.0
        self._table: ProcessTable | None = None
        self._begun = 0.0

    def scan(self) -> ProcessTable:
        """Return the table; raises SourceError when no process can be read."""
        self._debt = max(0.0, self._debt - self._budget)
        if self._table is not None and self._debt > 0:
            age = time.monotonic() - self._begun
            table = self._table
            return ProcessTable(table.rows, table.total, table.threads, table.running, age)
        cpu_begun, self._begun = time.thread_time(), time.monotonic()
        rows = self._rows()
        first = self._table is None
        if not rows:
            raise SourceError(State.DENIED, "no process may be read", "run perftui as root")
        self._table = ProcessTable(
            rows,
            len(rows),
            sum(row.threads for row in rows),
            sum(row.state == "R" for row in rows),
            time.monotonic() - self._begun,
        )
        # The first table is followed by a second at once: rates need two.
        self._debt = 0.0 if first else time.thread_time() - cpu_begun
        return self._table

    def _rows(self) -> tuple[Process, ...]:
        import psutil

        known: dict[int, _Known] = {}
        rows = []
        for process in psutil.process_iter(CHEAP):
            info: dict[str, Any] = process.info
            pid, now = process.pid, time.monotonic()
            created = info["create_time"] or 0.0
            name = _text(info["name"] or "")
            times = info["cpu_times"]
            cpu = times.user + times.system if times is not None else 0.0
            before = self._known.get(pid)
            if before is not None and before.created != created:
                before = None
            details = _details(process, name) if before is None else before.details
            percent: Maybe[float] = FIRST_SAMPLE
            if before is not None and now > before.time:
                percent = 100 * max(0.0, cpu - before.cpu) / (now - before.time)
            known[pid] = _Known(created, details, cpu, now)
            memory = info["memory_info"]
            rows.append(
                Process(
                    pid=pid,
                    ppid=info["ppid"] or 0,
                    name=name,
                    command=details.command,
                    user=details.user,
                    state=STATES.get(info["status"] or "", "?"),
                    cpu_percent=percent,
                    memory_rss=memory.rss if memory is not None else 0,
                    threads=info["num_threads"] or 0,
                    started=created,
                    python=details.python,
                )
            )
        self._known = known
        return tuple(rows)


def _details(process: Any, name: str) -> Details:
    import psutil

    info = {}
    for attribute in ("cmdline", "username", "exe"):
        try:
            info[attribute] = process.as_dict([attribute])[attribute]
        except psutil.NoSuchProcess:
            info[attribute] = None
    arguments = "\0".join(info["cmdline"] or ()).encode("utf-8", "surrogateescape")
    arguments = arguments[:COMMAND_BYTES]
    return Details(
        command_text(arguments, name),
        _text(info["username"] or ""),
        runs_python(info["exe"] or None, arguments),
    )


def _text(text: str) -> str:
    """Turn what psutil could not decode into backslash escapes, which every output can encode."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
