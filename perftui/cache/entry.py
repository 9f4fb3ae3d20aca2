"""One value in the memory tier, and what is counted for it."""

from __future__ import annotations

import msgspec


class Tally(msgspec.Struct, gc=False):
    """What the memory tier counted under one namespace, values and known absences apart.

    `ghost_hits` are misses that a tier of twice the size would have answered.
    """

    namespace: int
    hits: int = 0
    items: int = 0
    bytes: int = 0
    sets: int = 0
    evictions: int = 0
    expirations: int = 0
    ghost_hits: int = 0


class Entry(msgspec.Struct, gc=False):
    """A value and when it ends by the tier's clock; `value` None: the key is known to be absent.

    `uses` and `in_main` are how S3-FIFO tells entries that were asked for from those that were not.
    """

    value: bytes | None
    deadline: float
    cost: int
    tally: Tally
    uses: int = 0
    in_main: bool = False

    @property
    def namespace(self) -> int:
        return self.tally.namespace
