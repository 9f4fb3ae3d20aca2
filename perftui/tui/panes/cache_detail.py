"""One tier of one namespace in detail: limits, ghosts, loads, errors and coherence."""

from __future__ import annotations

from perftui.format import measure, ratio, size
from perftui.snapshot import Absent, CacheNamespace, CacheTier, Maybe, Service, State
from perftui.text import printable
from perftui.tui.lines import Line, Span
from perftui.tui.panes.cache_coherence import LIVE, coherence_lines, rank
from perftui.tui.panes.cache_rows import TierRow, find_tier
from perftui.tui.panes.flowing import flowing
from perftui.tui.panes.pane import missing
from perftui.tui.view import View

WORTH = 0.01
"""Rise of the hit ratio below which twice the items are not worth their memory."""


def tier_detail(row: TierRow, view: View, now: float) -> list[Line]:
    """Return what is known of a row, most important first; `now` is Unix time."""
    namespace, service = row.namespace, row.service
    if namespace is None or service is None:
        return []
    ascii_only = view.ascii_only
    title: Line = (
        (f" {printable(namespace.namespace, ascii_only)}", "title"),
        (f" {printable(row.tier.tier, ascii_only)}", "title"),
        (f"  {printable(service.name, ascii_only)}{_origin(service)}", "muted"),
        (_processes(namespace), "muted"),
    )
    memory = find_tier(namespace.tiers, "memory")
    lines = _numbers(row.tier, namespace, view)
    if memory is not None:
        lines += _memory(memory, namespace, view)
    coherence = coherence_lines(namespace.coherence, view, now)
    # What is wrong must not be cut off where there is little room.
    if rank(namespace.coherence) < LIVE:
        return [title, *coherence, *lines]
    return [title, *lines, *coherence]


def _origin(service: Service) -> str:
    return "" if service.origin == "redis" else f" by {service.origin}"


def _processes(namespace: CacheNamespace) -> str:
    live = sum(process.state is State.OK for process in namespace.processes)
    live += namespace.more_processes
    if not live:
        return ""
    silent = len(namespace.processes) + namespace.more_processes - live
    text = f", {live} process{'' if live == 1 else 'es'}"
    return f"{text}, {silent} silent" if silent else text


def _numbers(tier: CacheTier, namespace: CacheNamespace, view: View) -> list[Line]:
    parts: list[tuple[Span, ...]] = []
    if not isinstance(tier.lookups_100, Absent):
        parts.append(((f"{tier.lookups_100:,}", "text"), (" look-ups in 100 s", "muted")))
    if not isinstance(namespace.loads_rate, Absent):
        parts.append(_rate(namespace.loads_rate, "loads from the source"))
    for value, name, bad in (
        (tier.evictions_rate, "evicted", False),
        (tier.expirations_rate, "expired", False),
        (tier.errors_rate, "errors", True),
    ):
        if not isinstance(value, Absent):
            parts.append(_rate(value, name, bad))
    return flowing(parts, view) if parts else []


def _rate(value: float, name: str, bad: bool = False) -> tuple[Span, ...]:
    style = "warning" if bad and value > 0 else "text"
    return ((measure(value, "/s"), style), (f" {name}", "muted"))


def _memory(memory: CacheTier, namespace: CacheNamespace, view: View) -> list[Line]:
    parts: list[tuple[Span, ...]] = []
    if not isinstance(memory.items, Absent):
        parts.append(
            ((f"{memory.items:,}", "text"), (_of(memory.items_limit, ","), "text"),
             (" items", "muted"))
        )  # fmt: skip
    elif not isinstance(memory.items_limit, Absent):
        parts.append(((f"at most {memory.items_limit:,}", "text"), (" items", "muted")))
    if not isinstance(memory.size, Absent):
        used = size(memory.size).strip()
        parts.append(((f"{used}{_of(memory.size_limit, 'B')}", "text"),))
    if isinstance(memory.items_limit, Absent) and isinstance(memory.size_limit, Absent):
        parts.append((("limits ", "muted"), missing(memory.items_limit)))
    elif parts:
        parts.append((("limits are of all its processes, shared by all namespaces", "muted"),))
    lines: list[Line] = []
    if parts:
        lines += flowing(parts, view, (("in memory ", "muted"),))
    return [*lines, *ghost_lines(memory, namespace.ghost_ratio, view)]


def _of(limit: Maybe[int], unit: str) -> str:
    if isinstance(limit, Absent):
        return ""
    return f" of {limit:,}" if unit == "," else f" of {size(limit).strip()}"


def ghost_lines(memory: CacheTier, ghost: Maybe[float], view: View) -> list[Line]:
    """Return what twice the items would give; nothing where the process keeps no such list."""
    if isinstance(ghost, Absent):
        return []
    now = memory.hit_ratio.seconds_100
    gain = "" if isinstance(now, Absent) else f", now {ratio(now).strip()} %"
    worth = not isinstance(now, Absent) and ghost - now < WORTH
    verdict = ": not worth it" if worth else ""
    return [
        (
            (" twice the items would give ", "muted"),
            (f"{ratio(ghost).strip()} %", "text"),
            (f" in memory{gain}{verdict}", "muted"),
        )
    ]
