"""The operations of the demo shop; each returns a page and is measured under its own name."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from perftui.demo.shop_cache import Values, shop_cache
from perftui.demo.shop_catalogue import CATEGORIES
from perftui.demo.shop_checkout import SUSPICIOUS, check_fraud, is_valid_card, sign_order
from perftui.demo.shop_database import Customer, Discount, Product, ShopDatabase
from perftui.demo.shop_errors import NotFoundError, RejectedError
from perftui.demo.shop_pages import render_card, render_cart, render_detail, render_page
from perftui.demo.shop_pricing import price_of_one, price_table
from perftui.demo.shop_search import rank_results, words_of
from perftui.queries.optimizer import QueryOptimizer

CARDS_ON_PAGE = 24
PAGE = slice(CARDS_ON_PAGE)
BESIDE = slice(10)
"""Which of the products that fit best are shown on a page, and beside something else."""
NAMES_IN_TASTE = 6
"""How many of the things a customer bought last decide what is shown first."""
CANDIDATES = 60
ORDERS_COMPARED = 120
ALL_ORDERS = 1_000_000


class Shop:
    """The shop of one worker: its database, its cache and its operations."""

    def __init__(self, database: Path, redis_socket: Path) -> None:
        self._database = ShopDatabase(database)
        self.cache = shop_cache(redis_socket)
        self._products: Values[int, Product] = Values(
            self.cache, "product", Product, self._database.product
        )
        self._discounts: Values[int, list[Discount]] = Values(
            self.cache, "price", list[Discount], self._database.discounts_of
        )
        self._searches: Values[str, list[int]] = Values(self.cache, "search", list[int], self._find)
        self._carts: Values[int, dict[int, int]] = Values(
            self.cache, "user", dict[int, int], self._database.cart, suffix=":cart"
        )
        self._orders_compared = ORDERS_COMPARED

    @property
    def queries(self) -> QueryOptimizer:
        """What has observed the lists that the shop asks its database for."""
        return self._database.optimizer

    def close(self) -> None:
        """Close the connections of the cache."""
        self.cache.sync.close()

    def descriptions(self) -> list[str]:
        """Return the descriptions of all products."""
        return self._database.descriptions()

    def set_slow_checkout(self, wanted: bool) -> None:
        """Let the fraud check compare with all orders, or with the newest only."""
        self._orders_compared = ALL_ORDERS if wanted else ORDERS_COMPARED

    def set_stampede(self, wanted: bool) -> None:
        """Let all cached values expire together, or not."""
        self._products.set_stampede(wanted)
        self._discounts.set_stampede(wanted)
        self._searches.set_stampede(wanted)
        self._carts.set_stampede(wanted)

    def list_products(self, category: str, page: int, customer: int) -> bytes:
        """Return one page of a category."""
        if category not in CATEGORIES:
            raise NotFoundError(category)
        numbers = self._database.products_of(category)
        first = page * CARDS_ON_PAGE
        shown = slice(first, first + CARDS_ON_PAGE)
        return render_page(category, self._cards(numbers, self._customer(customer), shown))

    def product_detail(self, number: int, customer: int) -> bytes:
        """Return the page of one product with what others bought."""
        product = self._product(number)
        buyer = self._customer(customer)
        prices = price_table(product, self._discounts.get(number) or [], buyer)
        companions = self._cards(product.companions, buyer, BESIDE)
        return render_page(product.name, [render_detail(product, prices), *companions])

    def search(self, query: str, customer: int) -> bytes:
        """Return the products that fit a search."""
        words = words_of(query)
        numbers = self._searches.get(" ".join(words)) or []
        cards = self._cards(numbers, self._customer(customer), PAGE, words)
        return render_page(f"Search for {query}", cards)

    def price_for(self, number: int, customer: int) -> bytes:
        """Return the prices of one product for one customer."""
        product = self._product(number)
        buyer = self._customer(customer)
        prices = price_table(product, self._discounts.get(number) or [], buyer)
        cards = self._cards(product.companions, buyer, BESIDE)
        return render_page(product.name, [render_detail(product, prices), *cards])

    def cart(self, customer: int, product: int | None) -> bytes:
        """Return a cart, with one piece of a product added to it if one is given."""
        buyer = self._customer(customer)
        if product is None:
            content = self._carts.get(customer) or {}
        else:
            self._product(product)
            self._database.add_to_cart(customer, product)
            content = self._database.cart(customer)
            self._carts.put(customer, content)
        lines = self._priced(content, buyer)
        # What goes with the dearest product in the cart.
        beside = max(lines, key=lambda line: line[2])[0].companions if lines else ()
        cards = self._cards(beside, buyer, BESIDE)
        return render_page("Cart", [render_cart(lines), *cards])

    def checkout(self, customer: int) -> bytes:
        """Turn a cart into an order; raises RejectedError for an empty cart or a bad card."""
        buyer = self._customer(customer)
        content = self._carts.get(customer) or {}
        if not content:
            raise RejectedError("the cart is empty")
        if not is_valid_card(buyer.card):
            raise RejectedError("the card number is wrong")
        lines = self._priced(content, buyer)
        cents = int(sum(price * quantity for _, quantity, price in lines) * 100)
        past = self._database.recent_orders(self._orders_compared)
        suspicious = check_fraud(buyer, content, cents, past) > SUSPICIOUS
        signature = sign_order(buyer, content, cents)
        number = self._database.place_order(buyer, content, cents, signature)
        self._carts.drop(customer)
        note = "<p>We will look at it first.</p>" if suspicious else "<p>Thank you.</p>"
        return render_page(f"Order {number}", [render_cart(lines), note])

    def _find(self, query: str) -> list[int]:
        words = query.split()
        return rank_results(words, self._database.matching(words, CANDIDATES), CARDS_ON_PAGE)

    def _product(self, number: int) -> Product:
        product = self._products.get(number)
        if product is None:
            raise NotFoundError(f"product {number}")
        return product

    def _customer(self, number: int) -> Customer:
        customer = self._database.customer(number)
        if customer is None:
            raise NotFoundError(f"customer {number}")
        return customer

    def _cards(
        self,
        numbers: Sequence[int],
        customer: Customer,
        shown: slice,
        words: Sequence[str] = (),
    ) -> list[str]:
        products = self._products.get_many(numbers)
        taste = self._database.last_bought(customer.id, NAMES_IN_TASTE)
        known = [(p.id, p.name, p.description) for p in products.values()]
        best = rank_results(words or taste, known, len(known))[shown]
        discounts = self._discounts.get_many(best)
        return [
            render_card(
                products[number],
                price_of_one(products[number], discounts.get(number, []), customer, 1),
                words,
            )
            for number in best
        ]

    def _priced(
        self, content: dict[int, int], customer: Customer
    ) -> list[tuple[Product, int, Decimal]]:
        products = self._products.get_many(content)
        discounts = self._discounts.get_many(content)
        return [
            (
                products[number],
                quantity,
                price_of_one(products[number], discounts.get(number, []), customer, quantity),
            )
            for number, quantity in content.items()
            if number in products
        ]
