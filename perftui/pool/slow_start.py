"""How much of its share a server gets that has just joined or come back."""

from __future__ import annotations

LEAST_SHARE = 0.1


def slow_start_share(age: float, window: float = 30.0) -> float:
    """Return the share of its weight for a server that joined `age` seconds ago.

    It grows evenly from a tenth to 1 at the end of the window, so that cold caches and unopened
    connections do not meet a full load; the same curve as Envoy's with aggression 1.
    """
    if age >= window:
        return 1.0
    return max(LEAST_SHARE, age / window)
