"""What people know of their endpoints that cannot be observed: indexes, limits, fields to keep."""

from __future__ import annotations

import msgspec


class EndpointFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts on one endpoint; None is "not known".

    `indexes` are lists of columns in order, `unique` the fields that tell every row from others,
    `pinned` those that are never advised to be left out. `field_bytes` are bytes per row.
    """

    indexes: tuple[tuple[str, ...], ...] | None = None
    index_names: dict[str, tuple[str, ...]] = {}
    unique: tuple[str, ...] = ("id",)
    pinned: tuple[str, ...] = ()
    fields: tuple[str, ...] | None = None
    field_bytes: dict[str, float] = {}
    max_page_size: int | None = None
    default_page_size: int | None = None
    masks: bool | None = None
    cursors: bool | None = None
    first_page_budget: float = 0.3


UNKNOWN = EndpointFacts()
"""The facts on an endpoint that no catalogue names."""


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts by endpoint; `GET /items` as observations name it."""

    endpoints: dict[str, EndpointFacts] = {}

    def of(self, endpoint: str) -> EndpointFacts:
        """Return the facts on an endpoint."""
        return self.endpoints.get(endpoint, UNKNOWN)
