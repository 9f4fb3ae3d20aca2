"""How the evidence of a process comes to those who advise, and the Redis keys it uses.

Every process keeps one value, replaced as it learns, which outlives it: a field is called unused
after a week of reads, and services are deployed more often than that.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from perftui.queries.catalogue import Catalogue
from perftui.queries.evidence import QueryEvidence

VERSION: Final = 1
INTERVAL: Final = 30.0
"""Seconds between two values of one process."""

EXPIRY: Final = 8 * 86_400
"""Seconds that a value outlives its process."""

INDEX_KEY: Final = "perftui:queries"
"""Sorted set of `service/instance` scored by the Redis time of the newest value."""

MOST_BYTES: Final = 200_000
MOST_SHAPES: Final = 300
MOST_POINTS: Final = 120
_LARGEST: Final = 64_000_000
"""Bytes of a value once it is unpacked, beyond which it is not read."""


def query_key(service: str, instance: str) -> str:
    """Return the key that holds what one process observed."""
    return f"perftui:query:{service}/{instance}"


class QueryReport(msgspec.Struct, frozen=True):
    """What one process observed and was told of its endpoints; `time` by the clock of Redis.

    `window` is how many seconds of tracked reads the service wants before a field is unused.
    """

    service: str
    instance: str
    time: float
    window: float
    evidence: QueryEvidence
    catalogue: Catalogue = Catalogue()
    version: int = VERSION


def encode(report: QueryReport) -> bytes:
    """Return the payload of a report, at most 200 kB.

    Where there is more, the shapes that took most time are kept and the rest counted as `other`.
    """
    evidence = report.evidence
    shapes = sorted(evidence.shapes, key=lambda shape: -shape.seconds)
    most, points = min(MOST_SHAPES, len(shapes)), MOST_POINTS
    while True:
        kept = tuple(
            msgspec.structs.replace(
                shape, points=shape.points[:: max(1, -(-len(shape.points) // points))]
            )
            for shape in shapes[:most]
        )
        other = evidence.other + sum(shape.calls for shape in shapes[most:])
        smaller = msgspec.structs.replace(evidence, shapes=kept, other=other)
        packed = zlib.compress(
            msgspec.msgpack.encode(msgspec.structs.replace(report, evidence=smaller)), 6
        )
        if len(packed) <= MOST_BYTES or (most <= 1 and points <= 30):
            return packed
        most, points = max(1, most * 2 // 3), max(30, points * 3 // 4)


def decode(payload: bytes) -> QueryReport:
    """Return the report in a payload; raises ValueError for one that is broken or too large."""
    unpacking = zlib.decompressobj()
    try:
        packed = unpacking.decompress(payload, _LARGEST)
        if unpacking.unconsumed_tail:
            raise ValueError(f"a report of more than {_LARGEST:,} bytes")
        report = msgspec.msgpack.decode(packed, type=QueryReport)
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"a report that cannot be read: {error}") from None
    if report.version != VERSION:
        raise ValueError(f"report version {report.version}, this program reads {VERSION}")
    return report
