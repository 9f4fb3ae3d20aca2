"""Adds up sampled keys by group in bounded memory, and says how far the totals may be off.

Ranges are at 95 %. Of keys: the score interval of Wilson (1927) for a share; of bytes: the normal
interval of a stratified mean, each server being a stratum; both with the correction for a finite
population (Cochran, Sampling Techniques, 3rd ed., sections 2.6 and 5.6).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Z = 1.96
"""Standard errors on each side that 95 % of a normal distribution lie within."""
MOST_GROUPS = 4096
"""Groups that are told apart of one server at a time; half of them go when there are more."""


class Prefix(msgspec.Struct, frozen=True, gc=False):
    """All keys that begin alike; `depth` 1 is a prefix, 2 a part of one, `parent` its prefix.

    `keys` and `size` in bytes are of the whole server, scaled up from `sampled` keys, with the
    ends of their ranges; sizes are None where the server does not tell that of every key.
    `largest` is the largest key that was seen.
    """

    pattern: bytes
    depth: int
    parent: bytes
    sampled: int
    keys: int
    keys_low: int
    keys_high: int
    size: int | None
    size_low: int | None
    size_high: int | None
    largest: bytes
    largest_size: int | None


class _Sum:
    """Sampled keys of one group on one server."""

    __slots__ = ("count", "largest", "largest_size", "parent", "size", "squares", "unsized")

    def __init__(self, parent: bytes) -> None:
        self.parent = parent
        self.count = self.unsized = 0
        self.size = 0
        self.squares = 0.0
        self.largest = b""
        self.largest_size = -1


class ServerTally:
    """The sampled keys of one server; `merged` and `merged_size` are those of no known group."""

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self.sampled = self.unsized = 0
        self.sums: dict[bytes, _Sum] = {}
        self.merged: dict[int, int] = {1: 0, 2: 0}
        self.merged_size = 0
        self.forgotten = 0
        """Keys that a group which is known may lack at most, since it was forgotten before."""
        self.forgotten_size = 0
        self._most = most

    def add(self, key: bytes, size: int | None, groups: tuple[bytes, bytes | None]) -> None:
        """Count one key of `size` bytes in its groups, None where the server does not tell."""
        self.sampled += 1
        self.unsized += size is None
        prefix, deeper = groups
        self._count(prefix, b"", key, size)
        if deeper is not None:
            self._count(deeper, prefix, key, size)
        if len(self.sums) > self._most:
            self._forget()

    def _count(self, group: bytes, parent: bytes, key: bytes, size: int | None) -> None:
        found = self.sums.get(group)
        if found is None:
            found = self.sums[group] = _Sum(parent)
        found.count += 1
        if size is None:
            found.unsized += 1
            found.largest = found.largest or key
            return
        found.size += size
        found.squares += float(size) * size
        if size > found.largest_size:
            found.largest, found.largest_size = key, size

    def _forget(self) -> None:
        """Keep a quarter by keys and a quarter by bytes, and add up the others as one."""
        sums = self.sums
        quarter = self._most // 4
        kept = set(sorted(sums, key=lambda group: -sums[group].count)[:quarter])
        kept |= set(sorted(sums, key=lambda group: -sums[group].size)[:quarter])
        # A group without its prefix would hang in the air.
        kept |= {sums[group].parent for group in kept if sums[group].parent}
        gone = [found for group, found in sums.items() if group not in kept]
        for found in gone:
            self.merged[2 if found.parent else 1] += found.count
            self.merged_size += 0 if found.parent else found.size
        self.forgotten += max((found.count for found in gone), default=0)
        self.forgotten_size += max((found.size for found in gone), default=0)
        self.sums = {group: found for group, found in sums.items() if group in kept}


class _Total:
    __slots__ = (
        "keys",
        "largest",
        "largest_size",
        "missing",
        "missing_size",
        "parent",
        "sampled",
        "size",
        "size_seen",
        "unsized",
        "variance",
    )

    def __init__(self, parent: bytes) -> None:
        self.parent = parent
        self.sampled = self.size_seen = self.unsized = 0
        self.keys = self.size = self.variance = 0.0
        self.missing = self.missing_size = 0.0
        self.largest = b""
        self.largest_size = -1


class Totals:
    """The tallies of all servers, scaled up to all their keys."""

    def __init__(self) -> None:
        self.keys = 0
        self.sampled = 0
        self.unsized = 0
        self.size = 0.0
        self.merged = 0.0
        self._totals: dict[bytes, _Total] = {}

    def add(self, tally: ServerTally, keys: int) -> None:
        """Take what was sampled of a server that has so many keys, unless that is nothing."""
        sampled = tally.sampled
        if not sampled:
            return
        self.keys += keys
        self.sampled += sampled
        self.unsized += tally.unsized
        scale = keys / sampled
        rest = max(0.0, 1 - sampled / keys) if keys else 0.0
        self.merged += tally.merged[1] * scale
        self.size += tally.merged_size * scale
        for group, found in tally.sums.items():
            total = self._totals.get(group)
            if total is None:
                total = self._totals[group] = _Total(found.parent)
            if not found.parent:
                self.size += found.size * scale
            total.sampled += found.count
            total.size_seen += found.size
            total.unsized += found.unsized
            total.keys += found.count * scale
            total.size += found.size * scale
            mean = found.size / sampled
            spread = max(0.0, found.squares - sampled * mean * mean) / max(1, sampled - 1)
            total.variance += keys * keys * rest * spread / sampled
            total.missing += tally.forgotten * scale
            total.missing_size += tally.forgotten_size * scale
            if found.largest_size > total.largest_size or not total.largest:
                total.largest, total.largest_size = found.largest, found.largest_size

    def prefixes(self, most: int) -> tuple[Prefix, ...]:
        """Return the `most` biggest and as many of the most frequent, with the prefixes of all."""
        totals = self._totals
        chosen = set(_first(totals, most, lambda total: total.keys))
        chosen |= set(_first(totals, most, lambda total: total.size))
        chosen |= {totals[group].parent for group in chosen if totals[group].parent in totals}
        found = [self._prefix(group, totals[group]) for group in chosen]
        return tuple(sorted(found, key=lambda one: (-(one.size or 0), -one.keys, one.pattern)))

    def _prefix(self, group: bytes, total: _Total) -> Prefix:
        low, high = wilson(total.keys, self.keys, self.sampled)
        # What has been seen is there, and what was forgotten may have been of this group.
        known = not total.unsized
        margin = Z * math.sqrt(total.variance)
        return Prefix(
            pattern=group,
            depth=2 if total.parent else 1,
            parent=total.parent,
            sampled=total.sampled,
            keys=round(total.keys),
            keys_low=max(total.sampled, math.floor(low)),
            keys_high=math.ceil(high + total.missing),
            size=round(total.size) if known else None,
            size_low=max(total.size_seen, round(total.size - margin)) if known else None,
            size_high=round(total.size + margin + total.missing_size) if known else None,
            largest=total.largest,
            largest_size=total.largest_size if known else None,
        )


def wilson(keys: float, population: int, sampled: int) -> tuple[float, float]:
    """Return the ends of the range of `keys`, a number scaled up from a sample to `population`."""
    if sampled >= population or not sampled:
        return keys, keys
    share = min(1.0, keys / population)
    # A sample of a large part of the keys says more than one of the same size from endless many.
    effective = sampled / (1 - sampled / population)
    square = Z * Z / effective
    centre = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * math.sqrt(share * (1 - share) / effective + square / effective / 4)
    # Exactly at the ends rounding may put the share itself outside.
    low, high = min(share, centre - half), max(share, centre + half)
    return max(0.0, low) * population, min(1.0, high) * population


def _first(
    totals: dict[bytes, _Total], most: int, weight: Callable[[_Total], float]
) -> Iterable[bytes]:
    return sorted(totals, key=lambda group: (-weight(totals[group]), group))[:most]
