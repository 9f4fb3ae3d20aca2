"""How a cache stands, as a Reporter tells it and as Prometheus scrapes it."""

from __future__ import annotations

import msgspec

from perftui.cache.coherence import Coherence
from perftui.cache.config import CacheConfig
from perftui.metrics.report import CacheState

LONGEST_TEXT = 300
"""Characters of a reason or a fix, which may hold what a server said."""


def read_state(
    config: CacheConfig, coherence: Coherence | None, redis_answers: bool | None
) -> CacheState:
    """Return how a cache stands; `coherence` is None while it is not in use.

    `redis_answers` is None without a Redis tier.
    """
    prefix, separator = _text(config.prefix), _text(config.separator)
    kept = config.memory_enabled
    state = CacheState(
        prefix=prefix or "",
        separator="" if prefix is None else separator or "",
        max_items=config.max_items if kept else None,
        max_bytes=config.memory_bytes if kept else None,
    )
    if coherence is None:
        return state
    return msgspec.structs.replace(
        state,
        coherence=coherence.state.value,
        reason=coherence.reason[:LONGEST_TEXT],
        fix=coherence.fix[:LONGEST_TEXT],
        lag=coherence.lag,
        bound=coherence.bound,
        age=coherence.age,
        lost=coherence.lost,
        redis_answers=redis_answers,
    )


def _text(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
