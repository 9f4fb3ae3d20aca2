"""How many requests per second the traffic wants at a moment, and what they ask for."""

from __future__ import annotations

import math
import random

from perftui.demo.shop_catalogue import CATEGORIES, CUSTOMERS, MATERIALS, PRODUCTS, THINGS

MEAN_RATE = 72.0
SWING = 22.0
SWING_SECONDS = 90.0
BURST_EVERY = 40.0
BURST_SECONDS = 4.0
BURST_FACTOR = 1.35
LOWEST_RATE, HIGHEST_RATE = 40.0, 120.0


def rate_at(seconds: float) -> float:
    """Return the requests per second wanted so many seconds after the start."""
    rate = MEAN_RATE + SWING * math.sin(2 * math.pi * seconds / SWING_SECONDS)
    if seconds % BURST_EVERY > BURST_EVERY - BURST_SECONDS:
        rate *= BURST_FACTOR
    return min(max(rate, LOWEST_RATE), HIGHEST_RATE)


class Visitors:
    """Makes up what the next visitor does: some goods and some people come far more often."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._products = _popular(chance, range(1, PRODUCTS + 1))
        self._words = [f"{material} {thing}" for material in MATERIALS for thing in THINGS[:6]]

    def next_targets(self) -> tuple[str, ...]:
        """Return the targets one visitor requests one after the other."""
        chance = self._chance
        customer = f"customer={1 + int(CUSTOMERS * chance.random() ** 2)}"
        product = self._product()
        kind = chance.random()
        if kind < 0.22:
            page = int(3 * chance.random() ** 2)
            return (f"/products?category={chance.choice(CATEGORIES)}&page={page}&{customer}",)
        if kind < 0.52:
            return (f"/product?product={product}&{customer}",)
        if kind < 0.66:
            words = self._words[int(len(self._words) * chance.random() ** 3)]
            return (f"/search?q={words.replace(' ', '+')}&{customer}",)
        if kind < 0.82:
            return (f"/price?product={product}&{customer}",)
        if kind < 0.92:
            return (f"/cart?add={product}&{customer}", f"/cart?{customer}")
        return (f"/cart?add={product}&{customer}", f"/checkout?{customer}")

    def _product(self) -> int:
        # One link in a thousand is to a product that is no longer sold.
        if self._chance.random() < 0.001:
            return PRODUCTS + 1
        position = int(len(self._products) * self._chance.random() ** 2.5)
        return self._products[position]


def _popular(chance: random.Random, numbers: range) -> list[int]:
    ordered = list(numbers)
    chance.shuffle(ordered)
    return ordered
