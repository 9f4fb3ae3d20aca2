"""What happens between a full cart and an order: card, fraud check, signature."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from perftui.demo.shop_catalogue import card_number
from perftui.demo.shop_database import Customer, PastOrder
from perftui.demo.shop_search import similarity, trigrams

SUSPICIOUS = 0.999
"""Likeness to another customer's order from which an order would be looked at by a person."""

_SIGNING_ROUNDS = 400


def is_valid_card(card: str) -> bool:
    """Return whether the check digit fits."""
    return card.isdigit() and card_number(card[:-1]) == card


def check_fraud(
    customer: Customer, cart: Mapping[int, int], cents: int, past: Iterable[PastOrder]
) -> float:
    """Return the greatest likeness, 0 to 1, of this order to one of another customer."""
    products = set(cart)
    street = trigrams(customer.street)
    return max(
        (
            likeness(products, cents, street, order)
            for order in past
            if order.customer != customer.id
        ),
        default=0.0,
    )


def likeness(products: set[int], cents: int, street: set[str], order: PastOrder) -> float:
    """Return how alike an order is: same goods, about the same sum, a street spelt alike."""
    others = {int(number) for number in order.products.split(",") if number}
    goods = len(products & others) / max(len(products | others), 1)
    sums = 1.0 - abs(cents - order.cents) / max(cents, order.cents, 1)
    return 0.4 * goods + 0.2 * sums + 0.4 * similarity(street, trigrams(order.street))


def sign_order(customer: Customer, cart: Mapping[int, int], cents: int) -> str:
    """Return a signature over the order that takes a moment to compute."""
    text = f"{customer.id}|{sorted(cart.items())}|{cents}"
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"perftui demo", _SIGNING_ROUNDS).hex()
