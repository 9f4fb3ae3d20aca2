"""How many key look-ups the monitor itself caused, to be taken out of the server's hit ratio.

Redis counts every read of a key by anybody as a hit or a miss. On a quiet server the monitor's
own reads of the services' and pools' keys would be most of them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perftui.sources.redis.target import RedisTarget


class OwnLookups:
    """Hits and misses of this process on one server; safe to use from all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hits = 0
        self._misses = 0

    def add(self, hits: int, misses: int) -> None:
        """Count look-ups that have just been made."""
        with self._lock:
            self._hits += hits
            self._misses += misses

    @property
    def counts(self) -> tuple[int, int]:
        """Hits and misses so far."""
        with self._lock:
            return self._hits, self._misses


_SERVERS: dict[tuple[str, str, int], OwnLookups] = {}
_LOCK = threading.Lock()


def own_lookups(target: RedisTarget) -> OwnLookups:
    """Return the one count that all sources of this process share for a server."""
    with _LOCK:
        return _SERVERS.setdefault(target.server, OwnLookups())
