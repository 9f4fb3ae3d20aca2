"""Caches whose threads and connections a forked process does not have."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    def after_fork(self) -> None: ...


_caches: WeakSet[Forkable] = WeakSet()


def remember(cache: Forkable) -> None:
    """Let a cache begin anew in each process that is forked from now on."""
    _caches.add(cache)


def _after_fork_in_child() -> None:
    for cache in list(_caches):
        cache.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
