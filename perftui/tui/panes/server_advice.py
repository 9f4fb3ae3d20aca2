"""What a pool does as a whole: who may be picked, panic, and the advice to scale."""

from __future__ import annotations

from collections import Counter

from perftui.format import age, measure
from perftui.snapshot import Absent, Pool, PoolAdvice
from perftui.text import printable
from perftui.tui.lines import Line, Span
from perftui.tui.panes.flowing import flowing
from perftui.tui.panes.server_rows import STATE_STYLES, eligible_of
from perftui.tui.view import View

MOST_CHANGES = 3
"""Former changes of the number of servers that the zoomed pane shows."""


def advice_text(advice: PoolAdvice, view: View) -> Span:
    """Return the advice in one line, such as `advice 4 → 6: cpu 91 % > 80 %`."""
    arrow = "->" if view.ascii_only or view.glyphs.poor_font else "→"
    changes = advice.want != advice.current
    numbers = f"{advice.current} {arrow} {advice.want}" if changes else f"stay at {advice.current}"
    text = f"advice {numbers}"
    if advice.held_by:
        text += f": held by {printable(advice.held_by, view.ascii_only)}"
    # A reason begins with the numbers, which are told already.
    before, colon, behind = advice.reason.partition(": ")
    why = behind if colon and not before.strip("0123456789 ->") else advice.reason
    if why:
        joint = ", " if advice.held_by else ": "
        text += f"{joint}{printable(why, view.ascii_only)}"
    return (text, "warning" if changes and not advice.held_by else "muted")


def eligible_part(pools: tuple[Pool, ...]) -> tuple[Span, ...]:
    """Return how many servers of the pools may be picked, where all pools tell it."""
    able = total = 0
    for pool in pools:
        some, servers = eligible_of(pool)
        if isinstance(some, Absent):
            return ()
        able, total = able + some, total + servers
    style = "critical" if total and not able else "warning" if 2 * able < total else "muted"
    return ((f"{able} of {total} eligible", style),)


def pool_parts(pools: tuple[Pool, ...], view: View) -> list[tuple[Span, ...]]:
    """Return what stands in the frame: names, panic, who may be picked, advice."""
    names = ", ".join(printable(pool.name, view.ascii_only) for pool in pools[:2])
    text = f"pool {names}" if len(pools) == 1 else names if len(pools) == 2 else ""
    parts: list[tuple[Span, ...]] = [((text or f"{len(pools)} pools", "muted"),)]
    panicking = [pool for pool in pools if pool.panic is True]
    if panicking:
        names = "" if len(pools) == 1 else f" {printable(panicking[0].name, view.ascii_only)}"
        more = f" and {len(panicking) - 1} more" if len(panicking) > 1 else ""
        parts.append(((f"panic{names}{more}", "critical"),))
    parts.append(eligible_part(pools))
    for pool in pools:
        advice = pool.advice
        if isinstance(advice, Absent) or (advice.want == advice.current and not advice.held_by):
            continue
        said, style = advice_text(advice, view)
        name = "" if len(pools) == 1 else f"{printable(pool.name, view.ascii_only)} "
        parts.append(((f"{name}{said}", style),))
        break
    return parts


def pool_lines(pool: Pool, view: View, now: float, full: bool) -> list[Line]:
    """Return the summary of a pool: one line, or all that is known; `now` is Unix time."""
    ascii_only = view.ascii_only
    parts: list[tuple[Span, ...]] = []
    if pool.panic is True:
        parts.append((("panic: all live servers are used", "critical"),))
    able, total = eligible_of(pool)
    advice = pool.advice
    if not isinstance(able, Absent):
        least = "" if isinstance(advice, Absent) else _least(advice)
        style = "critical" if total and not able else "text"
        parts.append(((f"{able} of {total} eligible{least}", style),))
    states = Counter(server.state for server in pool.servers)
    for state in (*STATE_STYLES, *sorted(states.keys() - STATE_STYLES.keys())):
        if states[state]:
            style = STATE_STYLES.get(state, "text") if state != "ready" else "text"
            parts.append(((f"{states[state]} {printable(state, ascii_only)}", style),))
    if not isinstance(pool.picks_per_second, Absent):
        parts.append(((f"{measure(pool.picks_per_second, '/s')}", "text"), (" picks", "muted")))
    limits = pool.thresholds
    if full and not isinstance(limits, Absent):
        text = f"cpu {limits.cpu:g} %, mem {limits.memory:g} %, {limits.requests:g} req/s"
        parts.append((("overloaded above ", "muted"), (text, "text")))
    if pool.level:
        parts.append((("haproxy level ", "muted"), (printable(pool.level, ascii_only), "text")))
    where = f"{printable(pool.name, ascii_only)} "
    if pool.endpoint:
        where += f"at {printable(pool.endpoint, ascii_only)} "
    lines = flowing(parts, view, ((where, "title"),))
    if not full:
        return lines[:1]
    return [*lines, *_advice_lines(pool, view, now)]


def _least(advice: PoolAdvice) -> str:
    return "" if advice.min_instances is None else f", min {advice.min_instances}"


def _advice_lines(pool: Pool, view: View, now: float) -> list[Line]:
    advice = pool.advice
    lines: list[Line] = []
    if not isinstance(advice, Absent):
        parts: list[tuple[Span, ...]] = [(advice_text(advice, view),)]
        if advice.max_instances is not None:
            parts.append(((f"max {advice.max_instances}", "muted"),))
        if advice.policy:
            parts.append(((f"policy {printable(advice.policy, view.ascii_only)}", "muted"),))
        parts.append(((f"{age(advice.age)} ago", "muted"),))
        lines += flowing(parts, view)
    elif pool.origin == "redis":
        lines.append(((f" no advice: {printable(advice.reason, view.ascii_only)}", "absent"),))
    changes = [event for event in pool.events if event.kind == "scale"][:MOST_CHANGES]
    if changes:
        lines += flowing(
            [
                (
                    (f"{age(now - event.time)} ago ", "muted"),
                    (printable(event.reason or "another size", view.ascii_only), "text"),
                )
                for event in changes
            ],
            view,
            (("advised ", "muted"),),
        )
    return lines
