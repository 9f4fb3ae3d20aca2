"""The answer of a cache that has nothing; None is a value like any other."""

from __future__ import annotations

import enum
from typing import Final, Literal


class Miss(enum.Enum):
    """The type of `MISS`, which is false and the same object in every process."""

    MISS = "miss"
    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__


UNKNOWN: Final[Literal[Miss.UNKNOWN]] = Miss.UNKNOWN
"""What the memory tier says of a key that Redis has to be asked for; never leaves the cache."""
MISS: Final[Literal[Miss.MISS]] = Miss.MISS
"""What `get_cached` returns when neither tier has the key: `if value is MISS`."""
