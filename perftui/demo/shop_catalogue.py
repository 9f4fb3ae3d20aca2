"""The tables of the demo shop and the goods, reviews and orders it opens with.

The same seed gives the same shop each time. Prices are whole cents.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

PRODUCTS = 480
CUSTOMERS = 400
REVIEWS = 24
"""Reviews of each product."""
CATEGORIES = ("kitchen", "garden", "desk", "travel", "workshop", "nursery", "cellar", "attic")
TIERS = ("new", "regular", "silver", "gold")
COUNTRIES = ("DE", "FR", "GB", "IT", "JP", "US")
MATERIALS = ("oak", "steel", "linen", "glass", "copper", "wool", "cork", "slate", "bamboo", "clay")
THINGS = (
    "lamp", "kettle", "chair", "basket", "shelf", "clock", "bowl", "blanket", "ladder", "drawer",
    "mirror", "bottle", "stool", "tray", "hammer", "lantern", "vase", "bench", "hook", "crate",
)  # fmt: skip
STREETS = ("street", "lane", "avenue", "crescent", "court", "hill", "bridge", "market")
MANNERS = ("folding", "tall", "quiet", "heavy", "small", "striped", "plain", "round", "wide")
PRAISE = (
    "keeps its shape for years", "fits where others do not", "is made by hand in small numbers",
    "needs no tools to put together", "can be mended when it breaks", "comes with all its screws",
    "stays cool in summer", "is easy to clean", "folds flat", "was awarded by its users",
)  # fmt: skip

OPENING_ORDERS = 6000
ORDERS_KEPT = 7000
"""Older orders are deleted with each new one, so that the file stops growing."""

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE products (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, material TEXT NOT NULL,
    description TEXT NOT NULL, cents INTEGER NOT NULL, stock INTEGER NOT NULL
);
CREATE INDEX products_category ON products (category, id);
CREATE TABLE reviews (
    id INTEGER PRIMARY KEY, product INTEGER NOT NULL, stars INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE INDEX reviews_product ON reviews (product);
CREATE TABLE discounts (
    id INTEGER PRIMARY KEY, title TEXT NOT NULL, category TEXT, material TEXT, tier TEXT,
    country TEXT, minimum INTEGER NOT NULL, percent INTEGER NOT NULL, cents INTEGER NOT NULL
);
CREATE TABLE customers (
    id INTEGER PRIMARY KEY, tier TEXT NOT NULL, country TEXT NOT NULL, street TEXT NOT NULL,
    card TEXT NOT NULL
);
CREATE TABLE cart_lines (
    customer INTEGER NOT NULL, product INTEGER NOT NULL, quantity INTEGER NOT NULL,
    PRIMARY KEY (customer, product)
) WITHOUT ROWID;
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, street TEXT NOT NULL,
    cents INTEGER NOT NULL, placed REAL NOT NULL, signature TEXT NOT NULL
);
CREATE INDEX orders_customer ON orders (customer);
CREATE TABLE order_lines (
    placed_in INTEGER NOT NULL, product INTEGER NOT NULL, quantity INTEGER NOT NULL,
    PRIMARY KEY (placed_in, product)
) WITHOUT ROWID;
CREATE INDEX order_lines_product ON order_lines (product);
"""


def create_database(path: Path) -> None:
    """Make the file with all tables and goods; raises sqlite3.Error or OSError."""
    chance = random.Random(7)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN")
        for table, rows in (
            ("products", _products(chance)),
            ("reviews", _reviews(chance)),
            ("discounts", _discounts(chance)),
            ("customers", _customers(chance)),
            ("orders", _orders(chance)),
            ("order_lines", _order_lines(chance)),
        ):
            first = next(rows)
            marks = ", ".join("?" * len(first))
            statement = f"INSERT OR IGNORE INTO {table} VALUES ({marks})"
            connection.execute(statement, first)
            connection.executemany(statement, rows)
        connection.execute("COMMIT")
    finally:
        connection.close()


def card_number(digits: str) -> str:
    """Return the digits with the check digit of ISO/IEC 7812-1 (Luhn) behind them."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


Row = tuple[object, ...]


def _products(chance: random.Random) -> Iterator[Row]:
    for number in range(1, PRODUCTS + 1):
        material, thing = chance.choice(MATERIALS), chance.choice(THINGS)
        name = f"{chance.choice(MANNERS)} {material} {thing}"
        praise = "; it ".join(chance.sample(PRAISE, 5))
        description = f"A {name} for {chance.choice(MANNERS)} rooms: it {praise}."
        category = CATEGORIES[number % len(CATEGORIES)]
        yield number, name, category, material, description, chance.randrange(490, 24900), 500


def _reviews(chance: random.Random) -> Iterator[Row]:
    for number in range(1, PRODUCTS * REVIEWS + 1):
        product = 1 + number % PRODUCTS
        stars = chance.choice((2, 3, 4, 4, 5, 5, 5))
        yield number, product, stars, f"It {chance.choice(PRAISE)}, and it {chance.choice(PRAISE)}."


def _discounts(chance: random.Random) -> Iterator[Row]:
    for number in range(1, 61):
        percent = chance.choice((0, 2, 3, 5, 8))
        yield (
            number,
            f"offer {number}",
            chance.choice((None, None, *CATEGORIES)),
            chance.choice((None, None, None, *MATERIALS)),
            chance.choice((None, None, None, *TIERS)),
            chance.choice((None, None, None, *COUNTRIES)),
            chance.choice((1, 1, 2, 5, 10)),
            percent,
            0 if percent else chance.choice((50, 100, 250)),
        )


def _customers(chance: random.Random) -> Iterator[Row]:
    for number in range(1, CUSTOMERS + 1):
        digits = "4" + "".join(chance.choice("0123456789") for _ in range(14))
        street = f"{chance.choice(MATERIALS)} {chance.choice(STREETS)} {chance.randrange(1, 200)}"
        tier, country = chance.choice(TIERS), chance.choice(COUNTRIES)
        yield number, tier, country, street, card_number(digits)


def _orders(chance: random.Random) -> Iterator[Row]:
    for number in range(1, OPENING_ORDERS + 1):
        customer = chance.randrange(1, CUSTOMERS + 1)
        street = f"{chance.choice(MATERIALS)} {chance.choice(STREETS)} {chance.randrange(1, 200)}"
        yield number, customer, street, chance.randrange(990, 60000), float(number), ""


def _order_lines(chance: random.Random) -> Iterator[Row]:
    for number in range(1, OPENING_ORDERS + 1):
        for _ in range(chance.randrange(1, 4)):
            yield number, chance.randrange(1, PRODUCTS + 1), chance.randrange(1, 4)
