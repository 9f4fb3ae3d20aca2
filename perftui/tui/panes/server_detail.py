"""One server in detail: its numbers, why it is not picked, its checks, and what happened to it."""

from __future__ import annotations

from perftui.format import age, measure
from perftui.snapshot import Absent, Maybe
from perftui.text import printable
from perftui.tui.lines import Line, Span
from perftui.tui.panes.flowing import flowing
from perftui.tui.panes.server_columns import weight_text
from perftui.tui.panes.server_events import event_lines
from perftui.tui.panes.server_rows import ServerRow, response, state_span
from perftui.tui.view import View


def server_detail(row: ServerRow, view: View, now: float, room: int) -> list[Line]:
    """Return what is known of a server in at most `room` lines; `now` is Unix time."""
    if room < 1:
        return []
    lines = [_title(row, view), *why_lines(row, view), *_numbers(row, view), *_checks(row, view)]
    own = tuple(event for event in row.pool.events if event.server == row.server.id)
    if own:
        lines += event_lines(own, view, now, room - len(lines), named=False)
    else:
        lines += event_lines(row.pool.events, view, now, room - len(lines), named=True)
    return lines[:room]


def _title(row: ServerRow, view: View) -> Line:
    server = row.server
    state, style = state_span(row.pool, server, view.ascii_only)
    since = "" if isinstance(server.since, Absent) else f" for {age(server.since)}"
    return (
        (f" {printable(server.id, view.ascii_only)}", "title"),
        (f"  {printable(server.address, view.ascii_only)}  ", "muted"),
        (state, style),
        (since, "muted"),
    )


def why_lines(row: ServerRow, view: View) -> list[Line]:
    """Return in plain words why a server is picked or not, and each threshold with its value."""
    server, pool, ascii_only = row.server, row.pool, view.ascii_only
    causes: list[Span] = []
    if server.decided in ("drain", "maint"):
        done = "drained" if server.decided == "drain" else "put into maintenance"
        who = f" by {printable(server.decided_by, ascii_only)}" if server.decided_by else ""
        when = _decided_ago(row)
        text = f": {printable(server.reason, ascii_only)}" if server.reason else ""
        causes.append((f"{done}{who}{when}{text}", "warning"))
    if server.state in ("stale", "down") and pool.origin == "redis":
        causes.append((f"no heartbeat for {age(server.last_seen)}", "stale"))
    if server.leaving:
        causes.append(("it ends its requests and leaves", "warning"))
    if server.kept:
        causes.append(("overloaded, but picked: no more servers may be left out", "warning"))
    elif server.overloaded and pool.panic is True:
        causes.append(("overloaded, but picked: the pool is in panic", "critical"))
    if not causes and server.reason:
        causes.append((printable(server.reason, ascii_only), "warning"))
    if server.detail:
        causes.append((printable(server.detail, ascii_only), "text"))
    if server.eligible is True:
        verdict: Span = ("picked: ", "ok")
    elif server.eligible is False:
        verdict = ("not picked: ", "warning")
    else:
        verdict = ("state: ", "muted")
    if not causes:
        causes.append(
            ("nothing speaks against it", "muted")
            if server.eligible is not False
            else ("the pool has not listed it as eligible", "muted")
        )
    lines = flowing([(cause,) for cause in causes], view, (verdict,))
    limits = pool.thresholds
    if isinstance(limits, Absent):
        return lines
    parts = [
        _against("cpu", server.cpu_usage, limits.cpu, " %"),
        _against("memory", server.memory_usage, limits.memory, " %"),
        _against("requests", server.requests_per_second, limits.requests, "/s"),
    ]
    return [*lines, *flowing(parts, view, (("thresholds ", "muted"),))]


def _decided_ago(row: ServerRow) -> str:
    """Return how long ago an operator decided; events tell it with their own clock."""
    since = row.server.since
    if isinstance(since, Absent) or row.server.state != row.server.decided:
        return ""
    return f" {age(since)} ago"


def _against(name: str, value: Maybe[float], limit: float, unit: str) -> tuple[Span, ...]:
    if isinstance(value, Absent):
        return ((f"{name} ", "muted"), ("unknown", "absent"), (f", limit {limit:g}{unit}", "muted"))
    over = value > limit
    shown = f"{value:.1f}" if unit == " %" else f"{value:.4g}"
    return (
        (f"{name} ", "muted"),
        (f"{shown}{unit}", "warning" if over else "text"),
        (f" {'over' if over else 'of'} {limit:g}{unit}", "warning" if over else "muted"),
    )


def _numbers(row: ServerRow, view: View) -> list[Line]:
    server = row.server
    parts: list[tuple[Span, ...]] = [(("weight ", "muted"), (weight_text(server), "text"))]
    for name, value in (("in flight", server.in_flight), ("queue", server.queue)):
        if not isinstance(value, Absent):
            parts.append(((f"{name} ", "muted"), (f"{value:,}", "text")))
    taken, mean = response(server)
    if not isinstance(taken, Absent):
        name = "mean" if mean else "p95"
        parts.append(((f"{name} ", "muted"), (measure(taken, "seconds"), "text")))
    if not isinstance(server.error_percent, Absent):
        style = "warning" if server.error_percent >= 1 else "text"
        parts.append((("errors ", "muted"), (measure(server.error_percent, "%"), style)))
    if not isinstance(server.picks_percent, Absent):
        picked: tuple[Span, ...] = (
            (f"{server.picks_percent:.0f} %", "text"),
            (" of picks", "muted"),
        )
        if not isinstance(server.picks_expected_percent, Absent):
            picked += ((f", expected {server.picks_expected_percent:.0f} %", "muted"),)
        parts.append(picked)
    if not isinstance(server.picks_per_second, Absent):
        parts.append(((measure(server.picks_per_second, "/s"), "text"), (" picks", "muted")))
    return flowing(parts, view)


def _checks(row: ServerRow, view: View) -> list[Line]:
    server = row.server
    parts: list[tuple[Span, ...]] = []
    if server.last_check:
        parts.append(((printable(server.last_check, view.ascii_only), "text"),))
    for value, name in ((server.checks_failed, "failed"), (server.checks_down, "took it out")):
        if not isinstance(value, Absent):
            parts.append(((f"{value:,}", "warning" if value else "text"), (f" {name}", "muted")))
    return flowing(parts, view, (("checks ", "muted"),)) if parts else []
