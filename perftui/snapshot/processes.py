"""The processes of the machine."""

from __future__ import annotations

from perftui.snapshot.part import Maybe, Part


class Process(Part, frozen=True, gc=False):
    """One process; `cpu_percent` is of one core, `started` is Unix time."""

    pid: int
    ppid: int
    name: str
    command: str
    user: str
    state: str
    cpu_percent: Maybe[float]
    memory_rss: int
    threads: int
    started: float
    python: bool


class ProcessTable(Part, frozen=True):
    """All processes, and how old the oldest row may be on a machine with very many."""

    rows: tuple[Process, ...]
    total: int
    threads: int
    running: int
    scan_seconds: float
