"""Everything the shop asks of its database."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from perftui.demo.shop_catalogue import ORDERS_KEPT
from perftui.demo.shop_queries import ShopQueries
from perftui.queries.optimizer import QueryOptimizer


class Product(msgspec.Struct, frozen=True):
    """A product with what others think of it.

    `praise` are the words that its reviews use most, `companions` what its buyers buy too.
    """

    id: int
    name: str
    category: str
    material: str
    description: str
    cents: int
    stars: float
    praise: tuple[str, ...]
    companions: tuple[int, ...]


class Discount(msgspec.Struct, frozen=True):
    """An offer: `percent` or `cents` off from `minimum` pieces on; None means any."""

    title: str
    tier: str | None
    country: str | None
    minimum: int
    percent: int
    cents: int


class Customer(msgspec.Struct, frozen=True):
    """Who buys."""

    id: int
    tier: str
    country: str
    street: str
    card: str


class PastOrder(msgspec.Struct, frozen=True, gc=False):
    """What the fraud check looks at."""

    customer: int
    street: str
    cents: int
    products: str


def summarise_reviews(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the four longer words that most reviews have in common."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 4})
    return tuple(word for word, _ in counts.most_common(4))


class ShopDatabase:
    """The shop's SQLite file, with one connection for each thread that asks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queries = ShopQueries()
        self._threads = threading.local()

    @property
    def optimizer(self) -> QueryOptimizer:
        """What has observed the lists that the shop asks for."""
        return self._queries.optimizer

    def product(self, number: int) -> Product | None:
        """Return a product, None when there is none of that number."""
        rows = self._all(
            "SELECT name, category, material, description, cents FROM products WHERE id = ?",
            number,
        )
        if not rows:
            return None
        reviews = self._all("SELECT stars, text FROM reviews WHERE product = ?", number)
        companions = self._all(
            "SELECT also.product FROM order_lines AS own"
            " JOIN orders AS bought ON bought.id = own.placed_in"
            " JOIN orders AS later ON later.customer = bought.customer"
            " JOIN order_lines AS also ON also.placed_in = later.id"
            " WHERE own.product = ? AND also.product <> own.product"
            " GROUP BY also.product ORDER BY sum(also.quantity) DESC, also.product LIMIT 40",
            number,
        )
        name, category, material, description, cents = rows[0]
        return Product(
            number,
            name,
            category,
            material,
            description,
            cents,
            stars=sum(stars for stars, _ in reviews) / max(len(reviews), 1),
            praise=summarise_reviews(text for _, text in reviews),
            companions=tuple(row[0] for row in companions),
        )

    def products_of(self, category: str) -> list[int]:
        """Return the numbers of the products of a category."""
        rows = self._queries.run(
            self._connection(),
            {"endpoint": "GET /products", "filters": {"category": category}, "sort": ["id"]},
            "SELECT id FROM products WHERE category = ? ORDER BY id",
            (category,),
        )
        return [row[0] for row in rows]

    def discounts_of(self, number: int) -> list[Discount]:
        """Return the offers that hold for a product."""
        rows = self._all(
            "SELECT title, tier, country, minimum, percent, discounts.cents"
            " FROM discounts JOIN products ON products.id = ?"
            " AND (discounts.category IS NULL OR discounts.category = products.category)"
            " AND (discounts.material IS NULL OR discounts.material = products.material)"
            " ORDER BY percent DESC, discounts.cents DESC LIMIT 12",
            number,
        )
        return [Discount(*row) for row in rows]

    def matching(self, words: Sequence[str], limit: int) -> list[tuple[int, str, str]]:
        """Return number, name and description of products with any of the words."""
        if not words:
            return []
        condition = " OR ".join("name LIKE ? OR description LIKE ?" for _ in words)
        patterns = [f"%{word}%" for word in words for _ in range(2)]
        alternatives = [
            {"field": field, "op": "contains", "value": word}
            for word in words
            for field in ("name", "description")
        ]
        return self._queries.run(
            self._connection(),
            {
                "endpoint": "GET /search",
                "parameters": {"limit": limit, "fields": ["id", "name", "description"]},
                "filters": [{"or": alternatives}],
            },
            f"SELECT id, name, description FROM products WHERE {condition} LIMIT ?",
            (*patterns, limit),
        )

    def descriptions(self) -> list[str]:
        """Return the descriptions of all products."""
        return [row[0] for row in self._all("SELECT description FROM products ORDER BY id")]

    def customer(self, number: int) -> Customer | None:
        """Return a customer, None when there is none of that number."""
        rows = self._all(
            "SELECT id, tier, country, street, card FROM customers WHERE id = ?", number
        )
        return Customer(*rows[0]) if rows else None

    def last_bought(self, customer: int, limit: int) -> list[str]:
        """Return the names of what a customer bought last."""
        rows = self._all(
            "SELECT name FROM orders JOIN order_lines ON placed_in = orders.id"
            " JOIN products ON products.id = product WHERE customer = ?"
            " ORDER BY orders.id DESC LIMIT ?",
            customer, limit,
        )  # fmt: skip
        return [row[0] for row in rows]

    def cart(self, customer: int) -> dict[int, int]:
        """Return what is in a customer's cart: product to quantity."""
        rows = self._all("SELECT product, quantity FROM cart_lines WHERE customer = ?", customer)
        return dict(rows)

    def add_to_cart(self, customer: int, product: int) -> None:
        """Put one piece more into the cart, nine pieces at most."""
        self._all(
            "INSERT INTO cart_lines VALUES (?, ?, 1) ON CONFLICT (customer, product)"
            " DO UPDATE SET quantity = min(quantity + 1, 9)",
            customer, product,
        )  # fmt: skip

    def recent_orders(self, limit: int) -> list[PastOrder]:
        """Return the newest orders, the newest first."""
        rows = self._queries.run(
            self._connection(),
            {"endpoint": "POST /checkout", "parameters": {"limit": limit}, "sort": ["-id"]},
            "SELECT customer, street, cents, (SELECT group_concat(product) FROM order_lines"
            " WHERE placed_in = orders.id) FROM orders ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [PastOrder(row[0], row[1], row[2], row[3] or "") for row in rows]

    def place_order(
        self, customer: Customer, cart: dict[int, int], cents: int, signature: str
    ) -> int:
        """Write an order, empty the cart and return the order's number."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            number = connection.execute(
                "INSERT INTO orders (customer, street, cents, placed, signature)"
                " VALUES (?, ?, ?, ?, ?)",
                (customer.id, customer.street, cents, time.time(), signature),
            ).lastrowid
            assert number is not None
            connection.executemany(
                "INSERT INTO order_lines VALUES (?, ?, ?)",
                [(number, product, quantity) for product, quantity in cart.items()],
            )
            connection.executemany(
                "UPDATE products SET stock = CASE WHEN stock > ? THEN stock - ? ELSE 500 END"
                " WHERE id = ?",
                [(quantity, quantity, product) for product, quantity in cart.items()],
            )
            connection.execute("DELETE FROM cart_lines WHERE customer = ?", (customer.id,))
            oldest = number - ORDERS_KEPT
            connection.execute("DELETE FROM order_lines WHERE placed_in <= ?", (oldest,))
            connection.execute("DELETE FROM orders WHERE id <= ?", (oldest,))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return number

    def _all(self, statement: str, *values: object) -> list[Any]:
        return self._connection().execute(statement, values).fetchall()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = self._threads.__dict__.get("connection")
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=2.0, isolation_level=None)
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA cache_size = -512")
            self._threads.connection = connection
        return connection
