"""One answered query, as it is counted and then forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from perftui.queries.query import Query

ReadMode: TypeAlias = Literal["tracked", "bulk", "opaque", "unknown"]
"""How it is known which fields were read: each read was seen; everything was taken at once; code
that cannot be watched took it (or nothing was read at all); nobody looked."""


class Glance(msgspec.Struct, frozen=True, array_like=True):
    """Rows of which one field was read and nothing else: they were dropped by it.

    `rows` had the field read, `dropped` of them had no other field read.
    """

    field: str
    rows: int
    dropped: int


class Observation(msgspec.Struct, frozen=True):
    """What is known of one answered query; times in seconds, sizes in bytes.

    `fields_returned` gives the bytes of each field over all rows, 0 where they are not known;
    paths are dotted. `fields_read` is None unless the read mode is tracked or bulk. `rows_consumed`
    counts rows up to the last one that was looked at. `count_latency` is the part of the latency
    that counting took, `body_hash` tells equal answers, `id_hash` the id that a query for
    one item asked for, `ids_returned` those that a list gave (keyed hashes, never values).
    `total_rows` is how many rows there are without the filters, where that is known. `weight` is
    how many queries it stands for, where not all are observed.
    """

    query: Query
    time: float
    latency: float
    rows_returned: int
    client: str = ""
    session: str = ""
    status: int | None = None
    bytes: int | None = None
    fields_returned: Mapping[str, int] = {}
    fields_read: frozenset[str] | None = None
    read_mode: ReadMode = "unknown"
    rows_consumed: int | None = None
    rows_examined: int | None = None
    index_used: str | None = None
    sorted_in_memory: bool | None = None
    statements: int | None = None
    count_latency: float | None = None
    body_hash: int | None = None
    id_hash: int | None = None
    ids_returned: tuple[int, ...] = ()
    glances: tuple[Glance, ...] = ()
    total_rows: int | None = None
    weight: int = 1
