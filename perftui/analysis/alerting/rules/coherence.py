"""The rule for memory tiers that are cut off from the news of what changed in Redis."""

from __future__ import annotations

from collections.abc import Iterator

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules.operations import judged_services
from perftui.format import measure
from perftui.quantities import YES_NO
from perftui.snapshot import Absent, CacheNamespace, Snapshot

MOST_PROCESSES = 5


def cache_name(service: str, cache: CacheNamespace) -> str:
    """Return what a cache is called in alerts."""
    return f"{service} cache {cache.namespace}".rstrip()


def _caches(snapshot: Snapshot) -> Iterator[tuple[str, str, CacheNamespace]]:
    for service in judged_services(snapshot):
        for cache in service.caches:
            yield cache_name(service.name, cache), service.name, cache


def _lost(snapshot: Snapshot) -> Iterator[Reading]:
    for name, service, cache in _caches(snapshot):
        # Off is a setting or a right, which nobody wants to hear of for ever.
        if not isinstance(cache.coherence, Absent):
            yield Reading(name, float(cache.coherence.state == "lost"), group=service)


def state_of(cache: CacheNamespace) -> Iterator[str]:
    """Yield what keeps the memory of a cache from being used, and what it would gain by more."""
    coherence = cache.coherence
    if not isinstance(coherence, Absent) and coherence.state != "live":
        yield f"memory is {coherence.state}{coherence.reason and ': '}{coherence.reason}"
    for tier in cache.tiers:
        if tier.tier == "memory" and not isinstance(tier.items_limit, Absent):
            held = "-" if isinstance(tier.items, Absent) else f"{tier.items:,}"
            yield f"memory holds {held} of {tier.items_limit:,} items"
            if not isinstance(tier.evictions_rate, Absent) and tier.evictions_rate > 0:
                yield f"memory evicts {measure(tier.evictions_rate, '/s')}"
            ratio = tier.hit_ratio.seconds_100
            if not isinstance(cache.ghost_ratio, Absent) and not isinstance(ratio, Absent):
                yield (
                    f"memory answers {100 * ratio:.0f} %, with twice the room it would answer "
                    f"{100 * cache.ghost_ratio:.0f} %"
                )


def about_cache(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    """Return how the cache that a reading is of stands."""
    for name, _, cache in _caches(snapshot):
        if name == reading.subject:
            return tuple(state_of(cache))
    return ()


def _who(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    lines = []
    for name, _, cache in _caches(snapshot):
        if name != reading.subject:
            continue
        for process in cache.processes:
            coherence = process.coherence
            if not isinstance(coherence, Absent) and coherence.state == "lost":
                why = coherence.reason or "no reason told"
                pid = "" if isinstance(process.pid, Absent) else f" {process.pid}"
                lines.append(f"{process.host}{pid}: {why}")
    more = len(lines) - MOST_PROCESSES
    return (*lines[:MOST_PROCESSES], *([f"and {more:,} more"] if more > 0 else ()))


def coherence_rule() -> Rule:
    """Return the rule."""
    return Rule(
        id="R24b",
        name="cache_coherence",
        title="Cache memory bypassed",
        kind=Kind.ERROR,
        unit=YES_NO,
        levels=Levels(warn=0.5, warn_clear=0.5),
        measure=_lost,
        message=lambda reading, level: (
            "the connection that tells of changes is lost: Redis has to answer every look-up"
            if reading.value > level
            else "changes are told again; memory was bypassed"
        ),
        hint=lambda reading: (
            "4 Cache shows which process and why; redis-cli CLIENT LIST TYPE pubsub, the network, "
            "client-output-buffer-limit"
        ),
        sources=frozenset({"services"}),
        pane="cache",
        # A reconnection takes a fraction of a second.
        hold=15.0,
        keep=60.0,
        evidence=_who,
    )
