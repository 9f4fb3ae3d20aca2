"""The shop's pages as HTML."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from perftui.demo.shop_database import Product

_PAGE = (
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>{title}</title></head>"
    "<body><header><h1>{title}</h1></header><main>{body}</main></body></html>"
)


def render_page(title: str, sections: Iterable[str]) -> bytes:
    """Return a whole page."""
    return _PAGE.format(title=html.escape(title), body="\n".join(sections)).encode()


def render_card(product: Product, price: Decimal, highlight: Sequence[str] = ()) -> str:
    """Return a product as it stands in a list, with searched words marked."""
    lines = textwrap.wrap(product.description, 48, max_lines=2, placeholder=" …")
    text = mark_words(html.escape(" ".join(lines)), highlight)
    return (
        f'<article id="p{product.id}"><h2>{mark_words(html.escape(product.name), highlight)}</h2>'
        f"<p>{text}</p><p>{render_stars(product.stars)} · {price:,.2f}</p></article>"
    )


def render_detail(product: Product, prices: Mapping[int, Decimal]) -> str:
    """Return everything about a product."""
    rows = "".join(
        f"<tr><td>from {quantity}</td><td>{price:,.2f}</td></tr>"
        for quantity, price in prices.items()
    )
    paragraphs = "".join(
        f"<p>{html.escape(line)}</p>" for line in textwrap.wrap(product.description, 64)
    )
    praise = ", ".join(html.escape(word) for word in product.praise)
    return (
        f"<section><h2>{html.escape(product.name)}</h2>{render_stars(product.stars)}"
        f"{paragraphs}<table>{rows}</table><p>Buyers say: {praise}</p></section>"
    )


def render_cart(lines: Iterable[tuple[Product, int, Decimal]]) -> str:
    """Return a cart with the price of each line and the sum."""
    rows, total = [], Decimal(0)
    for product, quantity, price in lines:
        total += price * quantity
        rows.append(
            f"<tr><td>{html.escape(product.name)}</td><td>{quantity}</td>"
            f"<td>{price * quantity:,.2f}</td></tr>"
        )
    return f"<table>{''.join(rows)}<tr><td>total</td><td></td><td>{total:,.2f}</td></tr></table>"


def render_stars(stars: float) -> str:
    """Return an average of 0 to 5 as stars."""
    full = round(stars)
    return f'<span title="{stars:.2f}">{"★" * full}{"☆" * (5 - full)}</span>'


def mark_words(text: str, words: Sequence[str]) -> str:
    """Return the text with every occurrence of the words marked."""
    if not words:
        return text
    pattern = "|".join(re.escape(word) for word in words)
    return re.sub(pattern, lambda match: f"<mark>{match[0]}</mark>", text, flags=re.IGNORECASE)
