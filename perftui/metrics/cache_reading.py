"""What the caches of a process tell of themselves, put together for its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

from perftui.metrics.report import CacheCounts, CacheState


class CacheReading(msgspec.Struct, frozen=True):
    """One cache at one moment: counts by namespace, and how it stands."""

    counts: dict[str, CacheCounts]
    state: CacheState


@runtime_checkable
class ReportedCache(Protocol):
    """A cache that can be reported, as a CacheManager can; `reading` neither waits nor raises."""

    def reading(self) -> CacheReading: ...


CountsFunction: TypeAlias = Callable[[], Mapping[str, CacheCounts]]
ReportedCaches: TypeAlias = (
    ReportedCache | CountsFunction | Sequence[ReportedCache | CountsFunction]
)
"""What a Reporter takes: caches, or functions that return counts by namespace, or one of them."""


class CacheReadings(msgspec.Struct, frozen=True):
    """All caches of a process: counts by namespace, whose `states` are places in `states`."""

    counts: dict[str, CacheCounts] = {}
    states: tuple[CacheState, ...] = ()


def sources_of(caches: ReportedCaches | None) -> tuple[ReportedCache | CountsFunction, ...]:
    """Return the caches one by one, each once. Raises TypeError for what is none."""
    if caches is None:
        return ()
    if isinstance(caches, ReportedCache) or callable(caches):
        return (caches,)
    if isinstance(caches, str | bytes) or not isinstance(caches, Sequence):
        raise TypeError(_wrong(caches))
    found: list[ReportedCache | CountsFunction] = []
    for each in caches:
        if not isinstance(each, ReportedCache) and not callable(each):
            raise TypeError(_wrong(each))
        if not any(each is other for other in found):
            found.append(each)
    return tuple(found)


def read_all(
    sources: Sequence[ReportedCache | CountsFunction], failed: Callable[[], None]
) -> CacheReadings:
    """Return what all caches tell, added up by namespace.

    Those that raise are left out, after `failed` was called while the exception is handled.
    """
    counts: dict[str, CacheCounts] = {}
    states: list[CacheState] = []
    for source in sources:
        try:
            told, state = _read(source)
        except BaseException:
            # It may be the service's own function, which may raise anything, SystemExit too.
            failed()
            continue
        places = () if state is None else (len(states),)
        states += () if state is None else (state,)
        for name, each in told.items():
            one = msgspec.structs.replace(each, states=places)
            counts[name] = _sum(counts[name], one) if name in counts else one
    return CacheReadings(counts, tuple(states))


def _read(
    source: ReportedCache | CountsFunction,
) -> tuple[Mapping[str, CacheCounts], CacheState | None]:
    """Return what one cache tells; raises what it raises, or for what no report can hold."""
    if isinstance(source, ReportedCache):
        reading = source.reading()
        return reading.counts, reading.state
    told = dict(source())
    for name, each in told.items():
        name.encode()
        if not isinstance(each, CacheCounts):
            raise TypeError(f"{name!r} is a {type(each).__name__}, not CacheCounts")
    return told, None


def _sum(one: CacheCounts, other: CacheCounts) -> CacheCounts:
    """Return both together; what only one of them counts is not known of both."""
    mine, others = msgspec.structs.asdict(one), msgspec.structs.asdict(other)
    sums = {
        name: None if mine[name] is None or others[name] is None else mine[name] + others[name]
        for name in mine
    }
    return msgspec.structs.replace(one, **sums)


def _wrong(caches: object) -> str:
    return (
        f"caches is or contains {caches!r:.80}; it must be a CacheManager, several of them, or a "
        "function that returns a dict of CacheCounts"
    )
