"""How a balancer fares, for those who watch it."""

from __future__ import annotations

from typing import NamedTuple


class BalancerStatus(NamedTuple):
    """How a balancer fares.

    `snapshot_age`: seconds since the pool was last read, None when it never was. `outdated`: for
    longer than the setting `snapshot_age`. `panic`: servers above a threshold get requests too.
    `error`: why the pool could not be read the last time, empty when it was.
    """

    eligible: tuple[str, ...]
    excluded: frozenset[str]
    live: tuple[str, ...]
    panic: bool
    snapshot_age: float | None
    outdated: bool
    error: str
