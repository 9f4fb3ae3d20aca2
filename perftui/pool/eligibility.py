"""When a server is overloaded, and how many may be out for it."""

from __future__ import annotations

import dataclasses
from math import inf


@dataclasses.dataclass(frozen=True)
class EligibilityRules:
    """Strictly above a threshold is overloaded: percent of a core, percent, requests per second.

    Loads are smoothed over `smoothing` seconds (exponentially), a server comes back after
    `calm_beats` heartbeats with all loads at `return_ratio` of the thresholds or below, and at most
    `max_excluded` of the live servers are out for their load at a time, but one in any case and
    never the last. Without that, excluding a busy server loads the others until none is left: with
    20 servers at 70 % load a tenth of the picks found no server. `strict` is that literal rule.

    Raises ValueError that names the setting.
    """

    cpu_threshold: float = 80.0
    memory_threshold: float = 90.0
    request_threshold: float = 1000.0
    strict: bool = False
    return_ratio: float = 0.9
    calm_beats: int = 1
    smoothing: float = 10.0
    max_excluded: float = 0.1

    def __post_init__(self) -> None:
        for name, value in self.words().items():
            if not 0.0 <= value < inf:
                raise ValueError(f"{name} is {value!r}, it must be finite and not negative")
        for name, share in (
            ("return_ratio", self.return_ratio),
            ("max_excluded", self.max_excluded),
        ):
            if share > 1.0:
                raise ValueError(f"{name} is {share!r}, it must be 0 to 1")

    def words(self) -> dict[str, float]:
        """Return the settings by name, in the order of the heartbeat script."""
        return {name: float(value) for name, value in dataclasses.asdict(self).items()}


DEFAULT_RULES = EligibilityRules()
