"""What a person chose to see of the caches: by what they are listed, and sampled prefixes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from perftui.cache.prefixes import PrefixSamples

CacheBy: TypeAlias = Literal["namespaces", "processes", "commands", "slow", "errors", "prefixes"]

CACHE_VIEWS: Mapping[CacheBy, str] = {
    "namespaces": "namespaces",
    "processes": "processes",
    "commands": "commands",
    "slow": "slow log",
    "errors": "errors",
    "prefixes": "prefixes",
}
"""The views of the zoomed pane in the order that a key goes through, with their titles."""

FIRST_SORT: Mapping[CacheBy, str] = {
    "namespaces": "cache",
    "processes": "process",
    "commands": "core",
    "slow": "time",
    "errors": "rate",
    "prefixes": "bytes",
}
"""The column that each view is sorted by at first; the first two hold the order of urgency."""


@dataclass(frozen=True)
class PrefixLook:
    """The newest sampling of prefixes.

    `progress` are the keys seen and how many shall be, None when none is under way. `samples` are
    those of the last one that ended, at `ended` in monotonic seconds; `problem` says why it failed.
    """

    progress: tuple[int, int] | None = None
    samples: PrefixSamples | None = None
    ended: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class CacheView:
    """How the caches are looked at; `sample_key` is the key that samples the prefixes."""

    by: CacheBy = "namespaces"
    prefixes: PrefixLook = field(default_factory=PrefixLook)
    sample_key: str = "r"
