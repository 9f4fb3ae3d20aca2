"""One set of collectors per registry, however many objects ask for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics import MetricWrapperBase

LOCK = threading.RLock()
"""Held while collectors or their children are made.

A fork waits for it, so that a child never inherits it locked by a thread the child does not have.
"""
os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)


class HoldsCollectors(Protocol):
    """Something whose collectors are registered together or not at all."""

    @property
    def collectors(self) -> tuple[MetricWrapperBase, ...]: ...


Holder = TypeVar("Holder", bound=HoldsCollectors)


class OnePerRegistry(Generic[Holder]):
    """Finds or makes what belongs to a registry, without keeping the registry alive."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._known: WeakKeyDictionary[CollectorRegistry, Holder] = WeakKeyDictionary()

    def find(self, registry: CollectorRegistry) -> Holder | None:
        """Return what was made for the registry, unless any of it was unregistered since."""
        with LOCK:
            known = self._known.get(registry)
            if known is None or not all(is_registered(registry, c) for c in known.collectors):
                return None
            return known

    def find_or_make(self, registry: CollectorRegistry, make: Callable[[], Holder]) -> Holder:
        """Return what the registry has, or make and register it anew.

        Raises ValueError when the registry has a metric of the same name from somebody else.
        """
        with LOCK:
            found = self.find(registry)
            if found is not None:
                return found
            for collector in self._rest(registry):
                registry.unregister(collector)
            made = make()
            self._register(registry, made.collectors)
            self._known[registry] = made
            return made

    def _rest(self, registry: CollectorRegistry) -> list[MetricWrapperBase]:
        """Return what is left of a set of which some were unregistered."""
        known = self._known.pop(registry, None)
        return [c for c in known.collectors if is_registered(registry, c)] if known else []

    def _register(
        self, registry: CollectorRegistry, collectors: tuple[MetricWrapperBase, ...]
    ) -> None:
        done: list[MetricWrapperBase] = []
        for collector in collectors:
            try:
                registry.register(collector)
            except ValueError as error:
                for earlier in done:
                    registry.unregister(earlier)
                raise ValueError(
                    f"{self._owner} cannot register {collector}: the registry already has a metric "
                    f"of that name from elsewhere ({error}); rename that one, or pass a registry "
                    f"of its own: {self._owner}(registry=CollectorRegistry())"
                ) from error
            done.append(collector)


def is_registered(registry: CollectorRegistry, collector: MetricWrapperBase) -> bool:
    """Tell whether exactly this collector is in the registry.

    prometheus-client has no question for it. Its private table answers without a side effect; the
    public way takes the collector out and puts it back, which one scrape could notice.
    """
    try:
        return collector in registry._collector_to_names
    except AttributeError:
        try:
            registry.unregister(collector)
        except KeyError:
            return False
        registry.register(collector)
        return True
