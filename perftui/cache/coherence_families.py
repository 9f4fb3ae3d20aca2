"""How caches keep up with Redis, as Prometheus metrics; the label `prefix` begins their keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

from prometheus_client import Counter, Gauge, Metric
from prometheus_client.metrics import MetricWrapperBase

from perftui.cache.coherence import CoherenceState
from perftui.cache.counters import CacheCounters
from perftui.metrics.registration import LOCK
from perftui.metrics.report import CacheState

Caches: TypeAlias = Callable[[], list[CacheCounters]]
Values: TypeAlias = dict[tuple[str, ...], float]


class StateGauge(Gauge):
    """A gauge read from the states of caches; labels that nobody has any more go away."""

    def follow(
        self,
        caches: Caches,
        read: Callable[[CacheState], Values],
        add: Callable[[float, float], float],
    ) -> None:
        """Read the caches there are at the time; `add` puts those with the same labels together."""
        self._caches = caches
        self._read = read
        self._add = add
        self._set: set[tuple[str, ...]] = set()

    def refresh(self) -> None:
        with LOCK:
            found: Values = {}
            for cache in self._caches():
                state = cache.state()
                if state is None:
                    continue
                for labels, value in self._read(state).items():
                    found[labels] = self._add(found[labels], value) if labels in found else value
            for gone in self._set - found.keys():
                self._forget(gone)
            for labels, value in found.items():
                self.labels(*labels).set(value)
            self._set = set(found)

    def collect(self) -> Iterable[Metric]:
        with LOCK:
            self.refresh()
            return list(super().collect())

    def _forget(self, labels: tuple[str, ...]) -> None:
        # The files of multi-process mode have no way to leave a value out; there, a zero is
        # nothing in a sum and in a maximum.
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            self.labels(*labels).set(0.0)
        else:
            self.remove(*labels)


class LostCounter(Counter):
    """A counter that advances by how often caches lost the connection that tells of changes."""

    def follow(self, caches: Caches) -> None:
        """Count for the caches there are at the time."""
        self._caches = caches
        self._seen: WeakKeyDictionary[CacheCounters, int] = WeakKeyDictionary()

    def refresh(self) -> None:
        with LOCK:
            for cache in self._caches():
                state = cache.state()
                if state is None or not state.coherence:
                    continue
                # A forked process begins to count anew.
                before = min(self._seen.get(cache, 0), state.lost)
                self.labels(state.prefix).inc(state.lost - before)
                self._seen[cache] = state.lost

    def collect(self) -> Iterable[Metric]:
        self.refresh()
        return super().collect()


class StateSeries:
    """The metrics of how all caches of one registry stand."""

    def __init__(self, caches: Caches) -> None:
        def gauge(
            name: str,
            help_text: str,
            read: Callable[[CacheState], Values],
            labels: tuple[str, ...] = ("prefix",),
            mode: Literal["livesum", "livemax"] = "livesum",
        ) -> StateGauge:
            made = StateGauge(
                f"perftui_cache_{name}", help_text, labels, registry=None, multiprocess_mode=mode
            )
            made.follow(caches, read, max if mode == "livemax" else float.__add__)
            return made

        self._gauges = (
            gauge(
                "coherence_state",
                "Caches in a state of coherence with Redis.",
                _states,
                ("prefix", "state"),
            ),
            gauge(
                "coherence_lag_seconds",
                "Newest round trip on the connection that tells of changes.",
                lambda state: _known(state, state.lag),
                mode="livemax",
            ),
            gauge(
                "limit_items",
                "Values that memory may hold.",
                lambda state: _known(state, state.max_items),
            ),
            gauge(
                "limit_bytes",
                "Bytes that memory may hold.",
                lambda state: _known(state, state.max_bytes),
            ),
        )
        self._lost = LostCounter(
            "perftui_cache_coherence_lost",
            "Times that the connection that tells of changes was lost.",
            ("prefix",),
            registry=None,
        )
        self._lost.follow(caches)

    @property
    def collectors(self) -> tuple[MetricWrapperBase, ...]:
        return *self._gauges, self._lost

    def refresh(self) -> None:
        """Bring all metrics up to date."""
        for gauge in self._gauges:
            gauge.refresh()
        self._lost.refresh()


def _states(state: CacheState) -> Values:
    if not state.coherence:
        return {}
    return {
        (state.prefix, each.value): float(state.coherence == each.value) for each in CoherenceState
    }


def _known(state: CacheState, value: float | None) -> Values:
    return {} if value is None else {(state.prefix,): float(value)}
