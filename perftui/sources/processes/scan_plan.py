"""How many processes may be read in one tick, learned from what reading has cost."""

from __future__ import annotations

from typing import NamedTuple

NEWCOMER_COST = 4
"""A newcomer costs as much as this many known processes: its details are read as well."""

SMALLEST_PASS = 64
"""Reads that are allowed whatever they cost: less would make a round endless."""

FIRST_GUESS = 20e-6
"""CPU seconds per read before any was measured."""

WEIGHT = 0.3
"""Weight of the newest measurement in the moving averages."""


class Share(NamedTuple):
    """How many of each kind to read in one tick."""

    newcomers: int
    active: int
    rest: int


class ScanPlan:
    """Divides a budget of CPU seconds per tick; one unit is one known process read."""

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._per_unit = FIRST_GUESS
        self._overhead = 0.0
        self._learned = False

    @property
    def units(self) -> int:
        """Units that fit in the budget after listing and assembling the table."""
        return max(SMALLEST_PASS, int((self._budget - self._overhead) / self._per_unit))

    def learn(self, units: int, reading: float, rest: float) -> None:
        """Take in what a tick has cost: CPU seconds for `units` reads, and for everything else."""
        weight = WEIGHT if self._learned else 1.0
        self._overhead += weight * (rest - self._overhead)
        if units >= SMALLEST_PASS or not self._learned:
            measured = max(1e-7, reading / max(1, units))
            self._per_unit += weight * (measured - self._per_unit)
        self._learned = True

    def allows_all(self, known: int, newcomers: int) -> bool:
        """Tell whether a complete pass fits in the budget."""
        return known + NEWCOMER_COST * newcomers <= self.units

    def share(self, active: int, newcomers: int) -> Share:
        """Divide the budget when it does not fit.

        A quarter is kept for the rest, so that its round always ends; newcomers and active
        processes share what is left, each with at most half of it when both want more.
        """
        units = self.units
        urgent = units - units // 4
        for_newcomers = min(NEWCOMER_COST * newcomers, max(urgent // 2, urgent - active))
        for_active = min(active, urgent - for_newcomers)
        return Share(for_newcomers // NEWCOMER_COST, for_active, units - for_newcomers - for_active)
