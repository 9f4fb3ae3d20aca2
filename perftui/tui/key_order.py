"""Keys that arrive together go where they would go one by one.

Textual hands a key to the focused widget and gives it to the bindings only when it has come back
from there, each step through another queue. Keys that arrive in one piece, as they do over a slow
line, overtake each other on the way: what is typed behind the key that opens an input reaches the
old widget, and a letter reaches an input before the backspace that was typed before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from textual import events
from textual.app import App
from textual.dom import DOMNode

ROUNDS = 2
"""Once behind the key up to its binding, once behind the message that its action may have sent."""

PATIENCE = 0.1
"""Seconds after which the next key goes on anyway; widgets that end lose what is in their queue."""


class KeysInOrder(App[Any]):
    """Holds each key back until the one before it has had its effect."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._typed_ahead: deque[events.Key] = deque()
        self._key_number = 0
        self._key_under_way = False
        self._key_patience: asyncio.TimerHandle | None = None

    async def on_event(self, event: events.Event) -> None:
        """Deliver a key now or later, and everything else now."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._key_under_way:
            self._typed_ahead.append(event)
        else:
            await self._deliver(event)

    async def _deliver(self, event: events.Key) -> None:
        self._key_under_way = True
        self._key_number += 1
        number = self._key_number
        target = self.focused or self.screen
        await super().on_event(event)
        loop = asyncio.get_running_loop()
        self._key_patience = loop.call_later(PATIENCE, self.call_later, self._key_done, number)
        path = tuple(node for node in target.ancestors_with_self if node is not self)
        self._follow((*path, self) * ROUNDS, number)

    def _follow(self, path: tuple[DOMNode, ...], number: int) -> None:
        """Go through the queues that the key goes through, always behind it."""
        for index, node in enumerate(path):
            # False: the node is gone, and its queue with it.
            if node.call_later(self._follow, path[index + 1 :], number):
                return
        self.call_later(self._key_done, number)

    async def _key_done(self, number: int) -> None:
        if number != self._key_number or not self._key_under_way:
            return
        if self._key_patience is not None:
            self._key_patience.cancel()
        if self._typed_ahead:
            await self._deliver(self._typed_ahead.popleft())
        else:
            self._key_under_way = False
