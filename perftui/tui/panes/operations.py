"""Operations: what the services do, how often, how fast, how well, and where the time goes."""

from __future__ import annotations

import math
from typing import Any

from perftui.assembly import MOST_OPERATIONS, operation_series
from perftui.format import age
from perftui.snapshot import NOT_STARTED, Absent, Snapshot, State
from perftui.text import printable
from perftui.tui.charts import CHART_SECONDS, HistoryChart
from perftui.tui.lines import Line, Span, fit_line
from perftui.tui.panes.operation_columns import Courses, SteadyValues, operation_columns
from perftui.tui.panes.operation_detail import detail_lines
from perftui.tui.panes.operation_problems import (
    SOURCES,
    configured_sources,
    find_problems,
    nothing_configured,
    problem_lines,
)
from perftui.tui.panes.operation_rows import (
    Listing,
    OperationRow,
    list_operations,
    real_seconds,
)
from perftui.tui.panes.pane import Pane, absent_lines, joined, stale_span
from perftui.tui.table import Table
from perftui.tui.view import Choice, View, window_label

LEAST_TABLE = 6
"""Lines that the table keeps in a zoom, its heading included."""
CHARTS_FROM = 30
"""Lines of a zoom from which on there is room for charts."""
STACKED_FROM = 40
LEAST_CHART, MOST_CHART = 6, 14
"""Lines of a chart with its title."""
CHART_WIDTH = 32
"""Least width of a chart that stands beside others."""


class OperationsPane(Pane):
    """The operations of the chosen services; zoomed with history and detail of the selected one."""

    id = "operations"
    number = "5"
    title = "Operations"
    tab = "Ops"
    needs = frozenset(SOURCES)
    default_sort = "share"
    follows_cursor = True

    def __init__(self) -> None:
        self._courses = Courses()
        self._values = SteadyValues()
        self._charts = (
            ("rate", HistoryChart("calls/s")),
            ("p95", HistoryChart("p95 ms")),
            ("errors", HistoryChart("errors %")),
        )
        self._listed: tuple[object, ...] = ()
        self._listing = Listing((), (), (), None, ())

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        listing = self._list(snapshot, view.choice)
        if not configured_sources(snapshot):
            return ()
        parts: list[tuple[Span, ...]] = [
            stale_span(snapshot.status(name)) for name in SOURCES if snapshot.status(name)
        ]
        if listing.rows:
            parts.append(((str(len(listing.rows)), "muted"),))
        parts.append((_window(listing, view.choice),))
        problems = find_problems(snapshot, listing.shown)
        if problems:
            noun = "warning" if len(problems) == 1 else "warnings"
            parts.append(((f"{len(problems)} {noun}", "warning"),))
        parts += _chosen(listing, view)
        origins = dict.fromkeys(service.origin for service in listing.shown)
        if origins:
            parts.append(((", ".join(origins), "muted"),))
        parts += [
            (
                (
                    f"{printable(service.name, view.ascii_only)} "
                    f"{window_label(real_seconds(window))}",
                    "muted",
                ),
            )
            for service, window in listing.other_windows[:2]
        ]
        return joined(parts, view.glyphs.separator)

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        configured = configured_sources(snapshot)
        if not configured:
            return nothing_configured(view)
        listing = self._list(snapshot, view.choice)
        lines = problem_lines(
            find_problems(snapshot, listing.shown), view, alone=not snapshot.all_services
        )
        if not lines and not snapshot.all_services and snapshot.services == NOT_STARTED:
            return absent_lines(NOT_STARTED, view)
        row = view.selected
        if not view.zoomed or not isinstance(row, OperationRow):
            return lines
        below = min(len(listing.rows) + 1, max(LEAST_TABLE, view.height * 2 // 5))
        room = view.height - len(lines) - below
        least = self._least_charts(view)
        detail = detail_lines(row, view, room - least)
        charts = self._history(row, view, room - len(detail)) if least else []
        return [*lines, *charts, *detail]

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        if not configured_sources(snapshot):
            return None
        listing = self._list(snapshot, view.choice)
        return Table(
            columns=operation_columns(listing.rows, view, self._courses, self._values),
            records=listing.rows,
            key=lambda row: row.key,
            text=lambda row: f"{row.service.name}/{row.operation.name} {row.service.origin}",
            empty=tuple(_empty(snapshot, listing, view)),
        )

    def mark(self, snapshot: Snapshot) -> Span:
        problems = find_problems(snapshot, snapshot.all_services)
        return ("!", "warning") if problems else (" ", "muted")

    def _list(self, snapshot: Snapshot, choice: Choice) -> Listing:
        """Return the rows; the same ones until a source has read anew or the choice changes."""
        cause = (snapshot.services, snapshot.scrape, snapshot.prometheus, choice)
        if len(cause) != len(self._listed) or any(
            new is not old for new, old in zip(cause, self._listed, strict=True)
        ):
            self._listed = cause
            self._listing = list_operations(snapshot.all_services, choice)
        return self._listing

    def _least_charts(self, view: View) -> int:
        """Return the lines that charts need: beside each other, stacked, or none at all."""
        if view.width >= 3 * CHART_WIDTH:
            return LEAST_CHART if view.height >= CHARTS_FROM else 0
        return 3 * LEAST_CHART if view.height >= STACKED_FROM else 0

    def _history(self, row: OperationRow, view: View, room: int) -> list[Line]:
        """Return rate, latency and errors over time in `room` lines."""
        service, name = row.service, row.operation.name
        names = [operation_series(service, name, what) for what, _ in self._charts]
        count = round(CHART_SECONDS / view.interval)
        known = [not all(map(math.isnan, view.history.series(each, count))) for each in names]
        if not any(known):
            text = "no history yet"
            if len(self._listing.rows) > MOST_OPERATIONS:
                text = f"history is kept of the {MOST_OPERATIONS} operations that take most time"
            return [((f" {text}", "absent"),)]
        beside = view.width >= 3 * CHART_WIDTH
        scope = ", all hosts" if view.choice.hosts else ""
        width = view.width // 3 if beside else view.width
        height = min(MOST_CHART, room if beside else room // 3)
        drawn: list[list[Line]] = []
        for (_, chart), series, some in zip(self._charts, names, known, strict=True):
            title: Line = ((f" {chart.title}{scope}", "title"),)
            lines: list[Line] = [((" nothing measured in the last 5 min", "absent"),)]
            if some:
                size = (width - 1, height - 1)
                lines = chart.lines(
                    view.history, series, view.interval, size, (0.0, None), view.glyphs
                )
            drawn.append([title, *lines] if lines else [])
        if not beside:
            return [line for lines in drawn for line in lines]
        ellipsis = view.glyphs.ellipsis
        return [
            tuple(
                span
                for lines in drawn
                for span in fit_line(lines[y] if y < len(lines) else (), width, ellipsis)
            )
            for y in range(max(map(len, drawn), default=0))
        ]


def _window(listing: Listing, choice: Choice) -> Span:
    """Return the window, and how much of it has been watched while that is not all."""
    label = window_label(choice.window)
    covered = listing.covered
    if covered is None or covered >= choice.window - 0.5:
        return (label, "muted")
    watched = age(covered)
    if watched.rpartition(" ")[2] == label.rpartition(" ")[2]:
        watched = watched.rpartition(" ")[0]
    return (f"{watched} of {label}", "accent")


def _chosen(listing: Listing, view: View) -> list[tuple[Span, ...]]:
    """Return which services and hosts were chosen; the service where there is but one."""
    choice = view.choice
    parts: list[tuple[Span, ...]] = []
    names = list(dict.fromkeys(service.name for service in listing.shown))
    if names and len(names) <= 2:
        text = ", ".join(printable(name, view.ascii_only) for name in names)
        parts.append(((text, "accent" if choice.services else "muted"),))
    elif names:
        parts.append(((f"{len(names)} services", "accent" if choice.services else "muted"),))
    if choice.hosts:
        hosts = choice.hosts
        text = ", ".join(printable(host, view.ascii_only) for host in hosts[:2])
        where = f"on {text if len(hosts) <= 2 else f'{len(hosts)} hosts'}"
        if listing.covered is not None and listing.covered < choice.window - 0.5:
            where = f"{where} since {age(listing.covered)}"
        parts.append(((where, "accent"),))
    return parts


def _empty(snapshot: Snapshot, listing: Listing, view: View) -> list[Line]:
    """Return why there is no row."""
    services = snapshot.all_services
    problems = find_problems(snapshot, services)
    if listing.silent:
        names = ", ".join(
            printable(service.name, view.ascii_only) for service in listing.silent[:3]
        )
        if view.choice.hosts:
            text = f"{names}: the chosen hosts are read from now on, a few seconds"
        else:
            text = f"{names}: no calls counted yet; a rate needs two readings"
    elif services and not listing.shown:
        text = "none of the chosen services runs on the chosen hosts: c chooses"
    elif services:
        text = "no service tells of operations: ExecutionMetrics counts them"
    elif problems or snapshot.services == NOT_STARTED:
        return []
    elif not isinstance(snapshot.services, Absent):
        text = "no service reports to this Redis yet: Reporter(service=NAME).start() in it"
    else:
        waiting = any(
            isinstance(value, Absent) and value.state is State.NOT_COLLECTED
            for value in (snapshot.scrape, snapshot.prometheus)
        )
        text = "no operations yet" if waiting else "nothing that is read tells of operations"
    return [((f" {view.glyphs.hollow} {text}", "absent"),)]
