"""What the shop refuses to do."""

from __future__ import annotations


class NotFoundError(Exception):
    """There is no product, customer or order line of that number."""


class RejectedError(Exception):
    """The shop does not accept the order."""
