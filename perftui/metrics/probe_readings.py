"""What the probes of a service find, as it is reported."""

from __future__ import annotations

import msgspec


class ProbeReadings(msgspec.Struct, frozen=True, gc=False):
    """Event-loop lag and garbage collection of one process over the last `window` seconds.

    Lags and pauses are seconds; `lag_ticks` is 0 where no loop is watched. A block counts once for
    every tick that it made impossible, so that the p95 is of time and not of luck.
    """

    window: float
    lag_p95: float = 0.0
    lag_longest: float = 0.0
    lag_ticks: int = 0
    gc_seconds: float = 0.0
    gc_longest: float = 0.0
    gc_collections: int = 0
