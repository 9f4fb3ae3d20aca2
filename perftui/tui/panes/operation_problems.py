"""What keeps operations from being shown in full: sources, pages and odd numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perftui.format import absence
from perftui.snapshot import NOT_STARTED, Absent, Endpoint, Service, Snapshot, State
from perftui.text import printable
from perftui.tui.lines import Line, columns_of, wrap
from perftui.tui.view import View

SOURCES = ("services", "scrape", "prometheus")
"""The sources that know operations."""

FIRST = 2
"""Problems that are named in a pane that is not zoomed."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and what helps; `broken` when numbers are missing because of it."""

    text: str
    fix: str = ""
    broken: bool = True


def configured_sources(snapshot: Snapshot) -> list[str]:
    """Return the sources of operations that there are, also those that have not answered yet."""
    values = {
        "services": snapshot.services,
        "scrape": snapshot.scrape,
        "prometheus": snapshot.prometheus,
    }
    return [
        name
        for name, value in values.items()
        if not isinstance(value, Absent)
        or value.state is not State.NOT_COLLECTED
        or value == NOT_STARTED
        or snapshot.status(name) is not None
    ]


def find_problems(snapshot: Snapshot, shown: Sequence[Service]) -> list[Problem]:
    """Return what is wrong with the sources of operations and with the services that are shown."""
    problems: list[Problem] = []
    configured = configured_sources(snapshot)
    if "services" in configured and isinstance(snapshot.services, Absent):
        problems += _absence(snapshot.services)
    if "scrape" in configured:
        if isinstance(snapshot.scrape, Absent):
            problems += _absence(snapshot.scrape)
        else:
            for endpoint in snapshot.scrape.endpoints:
                problems += _endpoint(endpoint)
    if "prometheus" in configured:
        prometheus = snapshot.prometheus
        if isinstance(prometheus, Absent):
            problems += _absence(prometheus)
        else:
            if isinstance(prometheus.services, Absent):
                problems += _absence(prometheus.services)
            if isinstance(prometheus.alerts, Absent):
                problems += _absence(prometheus.alerts)
            problems += [Problem(note, broken=False) for note in prometheus.notes]
    noted: dict[str, list[str]] = {}
    for service in shown:
        for note in service.notes:
            noted.setdefault(note, []).append(service.name)
    for note, names in noted.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        problems.append(Problem(f"{names[0]}{others}: {note}", broken=False))
    problems.sort(key=lambda problem: not problem.broken)
    return problems


def _absence(absent: Absent) -> list[Problem]:
    # What has not been tried yet is not wrong.
    if absent.state is State.NOT_COLLECTED:
        return []
    return [Problem(absence(absent), absent.fix)]


def _endpoint(endpoint: Endpoint) -> list[Problem]:
    def named(text: str) -> str:
        return text if endpoint.address in text else f"{endpoint.address}: {text}"

    problems = []
    if endpoint.state not in (State.OK, State.NOT_COLLECTED):
        reason = named(endpoint.reason or "no answer")
        problems.append(Problem(f"{endpoint.state.value}: {reason}", endpoint.fix))
    problems += [Problem(named(note), broken=False) for note in endpoint.notes]
    return problems


def problem_lines(problems: Sequence[Problem], view: View, alone: bool = False) -> list[Line]:
    """Return the first problems, each in one line; with their fix in a zoom or when `alone`.

    `alone` says that there is nothing else to show. What has no line is counted.
    """
    full = view.zoomed or alone
    if alone:
        room = view.height
    elif view.zoomed:
        room = max(4, view.height // 4)
    else:
        room = FIRST if view.height >= 6 else 1
    lines: list[Line] = []
    for number, problem in enumerate(problems):
        block = _block(problem, view, full)
        left = len(problems) - number
        if lines and len(lines) + len(block) > room:
            hint = "" if view.zoomed else ": enter"
            more: Line = ((f" {left} more{hint}", "muted"),)
            lines[-1] = columns_of(lines[-1], more, view.width, view.glyphs.ellipsis)
            break
        lines += block
    return lines


def _block(problem: Problem, view: View, full: bool) -> list[Line]:
    mark = view.glyphs.cross if problem.broken else view.glyphs.warning
    style = "warning"
    text = printable(problem.text, view.ascii_only)
    if not full:
        return [((f" {mark} ", style), (text, style))]
    room = max(8, view.width - 3)
    lines: list[Line] = [
        ((f" {mark} " if index == 0 else "   ", style), (part, style))
        for index, part in enumerate(wrap(text, room))
    ]
    if problem.fix:
        lines += [
            (("   fix: " if index == 0 else "        ", "muted"), (part, "accent"))
            for index, part in enumerate(wrap(printable(problem.fix, view.ascii_only), room - 5))
        ]
    return lines


WAYS = (
    (
        'Reporter(service="NAME").start(), perftui --redis URL',
        "a service that reports, two lines of Python:",
        '@ExecutionMetrics().track("NAME"), or a middleware',
        'Reporter(service="NAME").start()',
        "and here: perftui --redis redis://HOST:6379",
    ),
    (
        "perftui --scrape http://HOST:PORT/metrics",
        "a service with a page of metrics, no change to it:",
        "perftui --scrape http://HOST:PORT/metrics",
        "or perftui --discover",
    ),
    (
        "perftui --prometheus http://HOST:9090",
        "a Prometheus server:",
        "perftui --prometheus http://HOST:9090",
    ),
)
"""The ways to see operations: each in one line, then what it is for and how it goes."""


def nothing_configured(view: View) -> list[Line]:
    """Return the three ways to see operations; the higher the pane the more is said of them."""
    head = wrap("no source of operations is configured; any of these will do", view.width - 4)
    lines: list[Line] = [
        ((f" {view.glyphs.hollow} " if index == 0 else "   ", "absent"), (part, "absent"))
        for index, part in enumerate(head)
    ]
    roomy = sum(len(way) - 1 for way in WAYS) + len(lines) <= view.height
    for short, about, *commands in WAYS:
        if roomy:
            lines.append((("   ", "text"), (about, "muted")))
            lines += [(("     ", "text"), (command, "accent")) for command in commands]
        else:
            lines.append((("   ", "text"), (short, "accent")))
    return lines
