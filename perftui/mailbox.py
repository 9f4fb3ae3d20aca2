"""A mailbox with one slot: the newest item replaces the one nobody fetched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Hands the newest item from a producing thread to a reader that may be slow or stalled."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: T | None = None
        self._doorbell: Callable[[], None] | None = None

    def on_delivery(self, doorbell: Callable[[], None] | None) -> None:
        """Have `doorbell` called on the producer's thread after each delivery; None removes it.

        The doorbell must return at once and must not block.
        """
        self._doorbell = doorbell

    def put(self, item: T) -> None:
        """Replace the item in the slot and ring the doorbell."""
        with self._condition:
            self._item = item
            self._condition.notify_all()
        doorbell = self._doorbell
        if doorbell is not None:
            doorbell()

    def latest(self) -> T | None:
        """Return the newest item, None before the first."""
        return self._item

    def wait(self, timeout: float, accept: Callable[[T], bool]) -> T | None:
        """Return the first item that `accept` takes, or None after `timeout` seconds."""
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None and accept(self._item), timeout)
            return self._item if self._item is not None and accept(self._item) else None
