"""The Redis server behind the caches: memory, load, and all about it in a zoom."""

from __future__ import annotations

from perftui.format import age, duration, measure, percent, rate, ratio, size_short
from perftui.snapshot import Absent, Maybe, RedisServer
from perftui.text import printable
from perftui.tui.charts import bar, level_style
from perftui.tui.lines import Line, Span, width_of
from perftui.tui.panes.flowing import flowing
from perftui.tui.panes.pane import joined, missing
from perftui.tui.view import View

NEARLY_FULL, FULL = 85.0, 97.0
"""Percent of maxmemory at which the gauge changes its colour."""


def memory_line(redis: RedisServer, view: View) -> Line:
    """Return the memory of the server against its limit."""
    used = size_short(redis.memory_used).strip()
    if redis.memory_limit is None:
        return (
            (" memory ", "muted"),
            (used, "text"),
            (" used, no maxmemory set", "muted"),
        )
    share = 100 * redis.memory_used / redis.memory_limit if redis.memory_limit else 100.0
    limit = size_short(redis.memory_limit).strip()
    # A server that may evict any key is full by design.
    full = redis.memory_policy.startswith("allkeys")
    style = "bar" if full else level_style(share, NEARLY_FULL, FULL)
    gauge = bar(share, max(4, min(20, view.width - 48)), view.glyphs, style)
    return (
        (" memory ", "muted"),
        *gauge,
        (f" {percent(share)} ", "text"),
        ("% of ", "muted"),
        (f"{used}/{limit} ", "text"),
        (printable(redis.memory_policy, view.ascii_only), "muted"),
    )


def load_line(redis: RedisServer, view: View) -> Line:
    """Return round trip, commands, what expires, and the clients of the server."""
    parts: list[tuple[Span, ...]] = [
        ((" ping ", "muted"), (duration(redis.latency), "text")),
        (_rate(redis.commands_rate), ("commands", "muted")),
        (_rate(redis.expirations_rate), ("expired", "muted")),
        ((f"{redis.clients}", "text"), (" clients", "muted")),
    ]
    # What is wrong must not be cut off at the end of the line.
    urgent: list[tuple[Span, ...]] = []
    if redis.blocked_clients:
        urgent.append(((f"{redis.blocked_clients} blocked", "warning"),))
    if not isinstance(redis.rejections_rate, Absent) and redis.rejections_rate > 0:
        urgent.append(((f"{rate(redis.rejections_rate).strip()} rejected", "critical"),))
    parts[2:2] = urgent
    while len(parts) > 2 + len(urgent) and width_of(joined(parts, "-")) > view.width:
        parts.pop()
    return joined(parts, view.glyphs.separator)


def _rate(value: Maybe[float]) -> Span:
    if isinstance(value, Absent):
        return ("       - ", "absent")
    return (f"{rate(value)} ", "text")


def server_detail(redis: RedisServer, view: View) -> list[Line]:
    """Return what is known of the server."""
    ascii_only = view.ascii_only
    who = f"{redis.flavour} {redis.version} {redis.role}"
    lines: list[Line] = [
        (
            (" all clients of ", "title"),
            (printable(redis.address, ascii_only), "title"),
            (f"  {printable(who, ascii_only)}", "muted"),
        )
    ]
    limit = redis.memory_limit
    of = "" if limit is None else f" of {measure(limit, 'bytes')}"
    parts: list[tuple[Span, ...]] = [
        (("up ", "muted"), (age(redis.uptime), "text")),
        ((f"{redis.keys:,}", "text"), (" keys in ", "muted"),
         (f"{measure(redis.memory_used, 'bytes')}{of}", "text")),
        ((f"{redis.clients:,}", "text"), (" clients", "muted")),
        ((f"{redis.blocked_clients:,}", "text"), (" blocked", "muted")),
        _named(redis.hits_rate, "hits"),
        _named(redis.misses_rate, "misses"),
        _named(redis.expirations_rate, "expired"),
        _named(redis.evictions_rate, "evicted"),
        _named(redis.rejections_rate, "rejected"),
    ]  # fmt: skip
    lines += flowing(parts, view)
    ratios = redis.hit_ratio
    values = (ratios.seconds_10, ratios.seconds_100, ratios.seconds_1000)
    if all(isinstance(value, Absent) for value in values):
        return lines
    shown = " ".join("-" if isinstance(v, Absent) else ratio(v).strip() for v in values)
    about = " % hits in 10, 100, 1000 s, without what memory tiers answered"
    return [*lines, ((f" {shown}", "text"), (about, "muted"))]


def _named(value: Maybe[float], name: str) -> tuple[Span, ...]:
    if isinstance(value, Absent):
        return (missing(value), (f" {name}", "muted"))
    return ((rate(value).strip(), "text"), (f" {name}", "muted"))
