"""Cells of the cache tables: ratios, counts, limits, and what is missing."""

from __future__ import annotations

from perftui.format import count, rate_short, ratio, size_short
from perftui.snapshot import Absent, CacheTier, Maybe, State
from perftui.tui.lines import Span
from perftui.tui.panes.pane import missing

POOR_RATIO = 0.5
"""Hit ratio over all tiers below which a cache hardly helps."""

NO_LIMIT = Absent(State.NOT_COLLECTED, "nothing may be held, so nothing can be full")


def hits(value: Maybe[float], marked: bool = False) -> Span:
    """Return a hit ratio as percent; `marked` where a poor one is worth a colour."""
    if isinstance(value, Absent):
        return missing(value)
    return (ratio(value), "warning" if marked and value < POOR_RATIO else "text")


def counted(value: Maybe[int]) -> Span:
    """Return a count for a column of six cells."""
    return missing(value) if isinstance(value, Absent) else (count(value), "text")


def short_size(value: Maybe[int]) -> Span:
    """Return bytes for a column of five cells."""
    return missing(value) if isinstance(value, Absent) else (size_short(value), "text")


def per_second(value: Maybe[float], bad: bool = False) -> Span:
    """Return a rate for a column of five cells; a `bad` one is marked as soon as it is not zero."""
    if isinstance(value, Absent):
        return missing(value)
    return (rate_short(value), "warning" if bad and value > 0 else "text")


def whole_percent(value: Maybe[float]) -> Span:
    """Return a part of 0..1 as whole percent."""
    return missing(value) if isinstance(value, Absent) else (f"{100 * value:.0f}", "text")


def nearness(tier: CacheTier) -> Maybe[float]:
    """Return the part of its items or bytes limit that a tier has used up, whichever is more."""
    shares: list[float] = []
    unknown: list[Absent] = []
    for used, limit in ((tier.items, tier.items_limit), (tier.size, tier.size_limit)):
        if isinstance(used, Absent):
            unknown.append(used)
        elif isinstance(limit, Absent):
            unknown.append(limit)
        elif limit > 0:
            shares.append(used / limit)
    return max(shares) if shares else unknown[0] if unknown else NO_LIMIT


def order(value: Maybe[float] | Maybe[int]) -> float:
    """Return what to sort by: what is missing comes after a zero."""
    return -1.0 if isinstance(value, Absent) else float(value)
