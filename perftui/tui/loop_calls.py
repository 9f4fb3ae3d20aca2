"""Calls into the event loop from other threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Wake the loop up to call back; nothing when it has just been closed."""
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        return
