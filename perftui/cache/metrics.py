"""The counts of caches as Prometheus metrics.

Counters `perftui_cache_hits_total`, `_misses_total`, `_negative_hits_total`, `_bypasses_total`,
`_sets_total`, `_deletes_total`, `_invalidations_total`, `_errors_total`, `_codec_errors_total`,
`_evictions_total`, `_expirations_total`, `_loads_total`, `_load_errors_total`,
`_loads_shared_total`, gauges `perftui_cache_items` and `perftui_cache_bytes`; labels `tier`, which
is memory, redis or overall, and `namespace`, of which there are at most 200 and `_other`.

Of each cache by the label `prefix`: gauges `perftui_cache_coherence_state`, 1 for its `state`,
`perftui_cache_coherence_lag_seconds`, `perftui_cache_limit_items`, `perftui_cache_limit_bytes`,
counter `perftui_cache_coherence_lost_total`.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from perftui.cache.counters import CacheCounters
from perftui.metrics.registration import LOCK

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from perftui.cache.metric_families import CacheSeries

FILE_INTERVAL = 1.0
"""Seconds between two updates of the files of prometheus-client's multi-process mode."""

_SHOWN: WeakKeyDictionary[CacheCounters, CacheSeries] = WeakKeyDictionary()


def export(counters: CacheCounters, registry: CollectorRegistry | None = None) -> None:
    """Show the counters in a registry, by default that of prometheus-client, until `forget`.

    Several caches are added up by namespace. A look-up pays nothing for it: the numbers are taken
    when they are scraped, and once a second on a daemon thread in prometheus-client's multi-process
    mode, where another process answers the scrape from files. Raises ValueError when the registry
    has a metric of one of these names from somebody else.
    """
    from prometheus_client import REGISTRY

    from perftui.cache.metric_families import PER_REGISTRY, CacheSeries

    series = PER_REGISTRY.find_or_make(REGISTRY if registry is None else registry, CacheSeries)
    shown = _SHOWN.get(counters)
    if shown is not None and shown is not series:
        shown.remove(counters)
    series.add(counters)
    _SHOWN[counters] = series
    _write_files()


def refresh(counters: CacheCounters) -> None:
    """Bring the metrics up to date now; does nothing for counters that are not exported."""
    series = _SHOWN.get(counters)
    if series is not None:
        series.refresh()


def forget(counters: CacheCounters) -> None:
    """Export the counters for the last time; what they counted stays in the totals."""
    series = _SHOWN.pop(counters, None)
    if series is not None:
        series.remove(counters)


_writers: list[threading.Thread] = []


def _write_files() -> None:
    """Start the thread that keeps the files up to date, where there are any and it does not run."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return
    with LOCK:
        if not any(writer.is_alive() for writer in _writers):
            writer = threading.Thread(target=_write_all, name="perftui-cache-metrics", daemon=True)
            _writers[:] = [writer]
            writer.start()


def _write_all() -> None:
    while True:
        time.sleep(FILE_INTERVAL)
        with LOCK:
            shown = list(_SHOWN)
            if not shown:
                _writers.clear()
                return
        while shown:
            refresh(shown.pop())


def _write_files_after_fork() -> None:
    # A forked child has none of its parent's threads.
    _writers.clear()
    if _SHOWN:
        _write_files()


os.register_at_fork(after_in_child=_write_files_after_fork)
