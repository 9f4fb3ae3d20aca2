"""Units of the names of the document, and which units go together."""

from __future__ import annotations

from perftui.quantities import BYTE_RATE, BYTES, PERCENT, PLAIN, RATE, RATIO, SECONDS

_BY_NAME: dict[str, str] = {
    "percent": PERCENT,
    "per_core": PERCENT,
    "cpu_usage": PERCENT,
    "memory_usage": PERCENT,
    "time_share": RATIO,
    "ratio": RATIO,
    "uptime": SECONDS,
    "latency": SECONDS,
    "mean": SECONDS,
    "p50": SECONDS,
    "p95": SECONDS,
    "p99": SECONDS,
    "longest": SECONDS,
    "last_seen": SECONDS,
    "clock_ahead": SECONDS,
    "age": SECONDS,
    "duration": SECONDS,
    "interval": SECONDS,
    "window": SECONDS,
    "covered": SECONDS,
    "seconds": SECONDS,
    "slower_than": SECONDS,
    "rate": RATE,
    "requests_per_second": RATE,
    "size": BYTES,
    "memory_used": BYTES,
    "memory_limit": BYTES,
    "memory_rss": BYTES,
}
_BY_OWNER: dict[str, str] = {
    "Memory.used": BYTES,
    "Memory.total": BYTES,
    "Memory.available": BYTES,
    "Swap.used": BYTES,
    "Swap.total": BYTES,
    "Swap.in_rate": BYTE_RATE,
    "Swap.out_rate": BYTE_RATE,
    "FileSystem.total": BYTES,
    "FileSystem.available": BYTES,
    "MonitorCost.terminal_rate": BYTE_RATE,
}
_OWNERS: dict[str, str] = {
    "HitRatio": RATIO,
    "Stall": PERCENT,
    "Disk": BYTE_RATE,
    "Network": BYTE_RATE,
}
_BY_ENDING: tuple[tuple[str, str], ...] = (
    ("_percent", PERCENT),
    ("_ratio", RATIO),
    ("_rate", RATE),
    ("_seconds", SECONDS),
    ("_bytes", BYTES),
)

LARGEST = {PERCENT: 100.0, RATIO: 1.0}
"""The largest value of a unit that has one; percent of one core can be more."""


def unit_of(owner: str, name: str) -> str:
    """Return the unit of a field of a part; a plain number where none is known."""
    exact = _BY_OWNER.get(f"{owner}.{name}") or _OWNERS.get(owner) or _BY_NAME.get(name)
    if exact is not None:
        return exact
    return next((unit for ending, unit in _BY_ENDING if name.endswith(ending)), PLAIN)
