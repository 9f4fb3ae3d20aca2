"""The list in which a process to profile is chosen: what runs, what it is, whether it may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from perftui.format import age, percent, size_short
from perftui.profiling.profilable import Checked, Subject, Verdict, Viewer, verdict
from perftui.snapshot import Absent, Instance, Maybe, Process, Snapshot, State
from perftui.text import printable
from perftui.tui.lines import Line, Span
from perftui.tui.panes.pane import Pane, absent_lines, missing
from perftui.tui.panes.processes import short_command
from perftui.tui.profile_view import Feed
from perftui.tui.table import Column, Table
from perftui.tui.view import View


class Checks(Protocol):
    """What is known of processes so far."""

    @property
    def viewer(self) -> Viewer | None: ...

    def subject(self, key: tuple[int, float]) -> Subject | None: ...

    def checked(self, key: tuple[int, float]) -> Checked | None: ...

    def is_trying(self, key: tuple[int, float]) -> bool: ...


@dataclass(frozen=True)
class Candidate:
    """A row: a process, or with a `feed` the profile that one makes of itself.

    `service` is the name of the service that the process reports to be of, empty when unknown.
    """

    pid: int
    cpu: Maybe[float]
    memory: Maybe[int]
    age: Maybe[float]
    command: str
    user: str = ""
    service: str = ""
    process: Process | None = None
    feed: Feed | None = None
    place: str = ""
    source: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """What the row is known by from one snapshot to the next."""
        if self.feed is not None:
            return self.feed
        return self.process_key

    @property
    def process_key(self) -> tuple[int, float]:
        """Process id and start."""
        return (self.pid, 0.0 if self.process is None else self.process.started)

    @property
    def rank(self) -> int:
        """Own profiles before Python processes before all others."""
        if self.feed is not None:
            return 2
        return 1 if self.process is not None and self.process.python else 0


class ProcessChoicePane(Pane):
    """Python processes, and on request all others; `user` leaves only those of one user."""

    id = "process-choice"
    number = ""
    title = "Profile which process?"
    default_sort = "cpu"
    follows_cursor = True

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self.everything = False
        self.user = ""

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        rows = self.candidates(snapshot)
        count = sum(row.rank == 1 for row in rows)
        spans: list[Span] = [(f"{count} Python", "text")]
        if self.everything:
            spans.append((f", {sum(row.rank == 0 for row in rows)} others", "muted"))
        if feeds := sum(row.rank == 2 for row in rows):
            spans.append((f", {feeds} own profile{'s' if feeds > 1 else ''}", "muted"))
        spans.append((f" of {printable(self.user)}" if self.user else "", "accent"))
        return tuple(spans)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        if isinstance(snapshot.processes, Absent):
            return absent_lines(snapshot.processes, view)
        return []

    def candidates(self, snapshot: Snapshot) -> list[Candidate]:
        """Return the rows that may be chosen of."""
        rows = list(_feeds(snapshot))
        table = snapshot.processes
        if isinstance(table, Absent):
            return rows
        services = _services_of_host(snapshot)
        for process in table.rows:
            if not (process.python or self.everything):
                continue
            if self.user and process.user != self.user:
                continue
            rows.append(
                Candidate(
                    pid=process.pid,
                    cpu=process.cpu_percent,
                    memory=process.memory_rss,
                    age=max(0.0, snapshot.time - process.started),
                    command=telling_command(process),
                    user=process.user,
                    service=services.get(process.pid, ""),
                    process=process,
                )
            )
        return rows

    def verdict(self, row: Candidate) -> Verdict | None:
        """Return whether a process may be profiled as far as is known, None before it was read."""
        viewer = self._checks.viewer
        subject = self._checks.subject(row.process_key)
        checked = self._checks.checked(row.process_key)
        if viewer is None or subject is None or row.process is None:
            guess = None
        else:
            guess = verdict(subject, viewer, row.process.python)
        if checked is None:
            return guess
        if checked.problem is None:
            # It could be read; that it cannot be paused is told by the rules alone.
            held = guess is not None and guess.permitted
            return guess if held else Verdict(True, "yes")
        word = guess.word if guess is not None and not guess.permitted else _word(checked.problem)
        return Verdict(False, word, checked.problem)

    def container(self, row: Candidate) -> str:
        """Return the container or unit of a process, empty for none."""
        if row.feed is not None:
            return row.place
        subject = self._checks.subject(row.process_key)
        if subject is None:
            return ""
        if subject.namespace_pid and not subject.contained:
            return f"pid ns {subject.namespace_pid}"
        return subject.container

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        what = "process is" if self.everything else "Python process is"
        return Table(
            columns=self._columns(view),
            records=self.candidates(snapshot),
            key=lambda row: row.key,
            text=lambda row: (
                f"{row.pid} {row.user} {row.service} {row.command} {self.container(row)}"
                f" {'' if row.process is None else row.process.command}"
            ),
            empty=(((f" {view.glyphs.hollow} no {what} visible", "absent"),),)
            if not isinstance(snapshot.processes, Absent)
            else (),
        )

    def _columns(self, view: View) -> tuple[Column[Candidate], ...]:
        ascii_only = view.ascii_only

        def cpu(row: Candidate) -> Span:
            value = row.cpu
            if isinstance(value, Absent):
                return missing(value)
            style = "critical" if value >= 90 else "warning" if value >= 50 else "text"
            return (percent(value), style)

        def memory(row: Candidate) -> Span:
            value = row.memory
            return missing(value) if isinstance(value, Absent) else (size_short(value), "text")

        def since(row: Candidate) -> Span:
            value = row.age
            return missing(value) if isinstance(value, Absent) else (age(value), "muted")

        def allowed(row: Candidate) -> Span:
            if row.feed is not None:
                return (f"own: {row.source}", "ok")
            if self._checks.is_trying(row.process_key):
                return (f"checking{view.glyphs.ellipsis}", "accent")
            found = self.verdict(row)
            if found is None:
                return ("", "muted")
            if found.problem is not None:
                return (found.word, "warning")
            sure = self._checks.checked(row.process_key) is not None
            return (f"{found.word}{', checked' if sure else ''}", "ok")

        def command(row: Candidate) -> Span:
            service = f"[{row.service}] " if row.service else ""
            text = printable(f"{service}{row.command}", ascii_only)
            return (text, "accent" if row.rank else "text")

        return (
            Column("cpu", "cpu%", 5, cpu, lambda r: (r.rank, *_order(r.cpu), -r.pid)),
            Column("memory", "rss", 5, memory, lambda r: (r.rank, *_order(r.memory))),
            Column("pid", "pid", 7, lambda r: (str(r.pid) if r.pid else "", "muted"),
                   lambda r: (-r.rank, r.pid), descending=False),
            Column("user", "user", 8, lambda r: (printable(r.user, ascii_only), "muted"),
                   lambda r: (-r.rank, r.user), "left", spare=3, descending=False),
            Column("container", "container", 20,
                   lambda r: (printable(self.container(r), ascii_only), "muted"),
                   lambda r: (-r.rank, self.container(r) or "\x7f"), "left", spare=1,
                   descending=False),
            Column("age", "age", 8, since, lambda r: (r.rank, *_order(r.age)), spare=2),
            Column("allowed", "profile?", 14, allowed, lambda r: (-r.rank, allowed(r)[0]), "left",
                   descending=False),
            Column("command", "command", 20, command, lambda r: (-r.rank, r.command), "left",
                   flex=True, descending=False),
        )  # fmt: skip


def telling_command(process: Process) -> str:
    """Return a command line from where on it tells something.

    The script rather than the interpreter, `python -m` where a module is run, and a title that a
    server gave itself as it is.
    """
    program, _, arguments = process.command.partition(" ")
    text = short_command(process)
    if process.python and program.rpartition("/")[2].startswith("python"):
        before, found, after = f" {arguments}".partition(" -m ")
        if found and after == text and not before.replace(" -", "").count(" "):
            return f"python -m {text}"
    return text


def _feeds(snapshot: Snapshot) -> Iterable[Candidate]:
    """Yield the processes that profile themselves."""
    for service in snapshot.all_services:
        for one in service.instances:
            if isinstance(one.profile, Absent):
                continue
            yield Candidate(
                pid=0 if isinstance(one.pid, Absent) else one.pid,
                cpu=one.cpu_percent,
                memory=one.memory_rss,
                age=one.uptime,
                command=one.id,
                service=service.name,
                feed=(service.name, one.id),
                source=one.profile.source,
                place=one.host,
            )


def _services_of_host(snapshot: Snapshot) -> dict[int, str]:
    """Return the names of services by the ids of their live processes on this host."""
    if isinstance(snapshot.host, Absent):
        return {}
    here = snapshot.host.name
    return {
        one.pid: service.name
        for service in snapshot.all_services
        for one in service.instances
        if one.host == here and not isinstance(one.pid, Absent) and _is_live(one)
    }


def _is_live(instance: Instance) -> bool:
    return instance.state is State.OK


def _order(value: Maybe[float] | Maybe[int]) -> tuple[float]:
    return (-1.0 if isinstance(value, Absent) else round(value, 1),)


def _word(problem: Absent) -> str:
    if problem.state is State.DENIED:
        return "denied"
    return "not Python" if "not a Python program" in problem.reason else "no"
