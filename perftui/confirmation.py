"""What has to be typed before keys are deleted."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perftui.sources.redis.target import RedisTarget

TYPED_COUNT_LIMIT = 10_000
"""Keys above which nobody reads their number any more."""


def confirmation_word(pattern: bytes, matched: int | None, target: RedisTarget) -> str:
    """Return the word: the count, or the host when very much would go or nobody has counted."""
    if matched is None or matched > TYPED_COUNT_LIMIT or set(pattern) <= set(b"*?"):
        return socket.gethostname() if target.scheme == "unix" else target.host
    return str(matched)
