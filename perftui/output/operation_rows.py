"""The operations of all services in one flat list, for the window that was asked for."""

from __future__ import annotations

import math
from typing import NamedTuple

from perftui.snapshot import Operation, OperationWindow, Service, Snapshot

WINDOW_SECONDS = {"10s": 10.0, "1min": 60.0, "5min": 300.0}
"""Windows as the setting `operations.window` names them."""
ALL = "all"
SHORTEST = "10s"


class OperationRow(NamedTuple):
    """One operation of a service; the window and what is covered of it are seconds."""

    service: str
    origin: str
    window: float
    covered: float
    operation: Operation


def chosen_window(service: Service, name: str) -> OperationWindow | None:
    """Return the window of a service that is nearest to the named one, None where it has none.

    A Prometheus server cannot tell of windows shorter than a few of its scrape intervals. `all`
    stands for the shortest window here.
    """
    wanted = WINDOW_SECONDS[SHORTEST if name == ALL else name]
    return min(
        service.windows,
        key=lambda window: (abs(math.log(max(window.seconds, 1e-9) / wanted)), window.seconds),
        default=None,
    )


def operation_rows(snapshot: Snapshot, window: str) -> list[OperationRow]:
    """Return the operations of all services in the named window, or in every one for `all`."""
    rows = []
    for service in snapshot.all_services:
        nearest = chosen_window(service, window)
        windows = service.windows if window == ALL else (nearest,) if nearest else ()
        rows += [
            OperationRow(service.name, service.origin, part.seconds, part.covered, operation)
            for part in windows
            for operation in part.operations
        ]
    return rows
