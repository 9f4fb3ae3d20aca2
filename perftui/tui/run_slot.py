"""The newest word of a run on another thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class RunSlot(Generic[T]):
    """Holds what a run said last, and since when it has been silent."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.newest: T | None = None
        self._clock = clock
        self._heard = clock()

    def put(self, said: T) -> None:
        """Replace it; called on the run's thread."""
        self.newest = said
        self._heard = self._clock()

    @property
    def silence(self) -> float:
        """Seconds since the run was last heard of, or since it began."""
        return self._clock() - self._heard
