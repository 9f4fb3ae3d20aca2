"""What a product costs a customer: the best combination of the offers that hold for both."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import combinations

from perftui.demo.shop_database import Customer, Discount, Product

QUANTITIES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 20, 50, 100)
MOST_TOGETHER = 4
"""Offers that may be used together."""
LARGEST_REDUCTION = Decimal("0.35")

_CENT = Decimal("0.01")
_HUNDRED = Decimal(100)
_TAX = {
    "DE": Decimal("1.19"),
    "FR": Decimal("1.20"),
    "GB": Decimal("1.20"),
    "IT": Decimal("1.22"),
    "JP": Decimal("1.10"),
    "US": Decimal("1.00"),
}


def price_table(
    product: Product, discounts: Sequence[Discount], customer: Customer
) -> dict[int, Decimal]:
    """Return the price of one piece for each of the usual quantities."""
    return {
        quantity: price_of_one(product, discounts, customer, quantity) for quantity in QUANTITIES
    }


def price_of_one(
    product: Product, discounts: Sequence[Discount], customer: Customer, quantity: int
) -> Decimal:
    """Return the price of one piece with tax when `quantity` are bought."""
    return add_tax(apply_discounts(product, discounts, customer, quantity), customer.country)


def apply_discounts(
    product: Product, discounts: Sequence[Discount], customer: Customer, quantity: int
) -> Decimal:
    """Return the lowest net price that the offers allow; all combinations are tried."""
    full = Decimal(product.cents) / _HUNDRED
    usable = [discount for discount in discounts if is_usable(discount, customer, quantity)]
    best = full
    for count in range(1, MOST_TOGETHER + 1):
        for together in combinations(usable, count):
            best = min(best, reduce_price(full, together))
    return max(best, full * (1 - LARGEST_REDUCTION))


def is_usable(discount: Discount, customer: Customer, quantity: int) -> bool:
    """Return whether an offer holds for this customer and quantity."""
    return (
        quantity >= discount.minimum
        and discount.tier in (None, customer.tier)
        and discount.country in (None, customer.country)
    )


def reduce_price(price: Decimal, together: Sequence[Discount]) -> Decimal:
    """Return the price with percentages taken off first and amounts after them."""
    for discount in together:
        price -= price * discount.percent / _HUNDRED
    for discount in together:
        price -= Decimal(discount.cents) / _HUNDRED
    return price


def add_tax(net: Decimal, country: str) -> Decimal:
    """Return the price with the country's tax, rounded to whole cents."""
    return (net * _TAX[country]).quantize(_CENT, rounding=ROUND_HALF_EVEN)
