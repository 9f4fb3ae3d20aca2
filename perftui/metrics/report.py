"""What one process of a service publishes about itself, and the Redis keys it uses.

All counts and times run since the process started, so a reader takes differences and a lost
report loses nothing. The payload is MessagePack; `version` changes when a field changes meaning.
"""

from __future__ import annotations

import msgspec

VERSION = 1
INTERVAL = 2.0
"""Seconds between two reports of one process."""
EXPIRY = 30
"""Seconds a report outlives its process, long enough to be shown as stale first."""

INDEX_KEY = "perftui:services"
"""Sorted set of `service/instance` scored by the Redis time of the newest report."""


def report_key(service: str, instance: str) -> str:
    """Return the key that holds the newest report of one process."""
    return f"perftui:report:{service}/{instance}"


class OperationCounts(msgspec.Struct, frozen=True, gc=False):
    """Calls of one operation: all, failed, seconds in total, and counts per bucket.

    `buckets` belongs to `ServiceReport.bounds`, is not cumulative and has one more place for +Inf.
    """

    count: int
    failures: int
    seconds: float
    buckets: tuple[int, ...] = ()


class CacheCounts(msgspec.Struct, frozen=True, gc=False):
    """Look-ups of one cache namespace by tier; sizes in bytes are of the memory tier."""

    memory_hits: int
    memory_misses: int
    redis_hits: int
    redis_misses: int
    memory_items: int
    memory_size: int
    memory_evictions: int


class ServiceReport(msgspec.Struct, frozen=True):
    """One process of a service at one moment; `time` is Unix time by the clock of Redis."""

    service: str
    instance: str
    host: str
    pid: int
    started: float
    time: float
    operations: dict[str, OperationCounts] = {}
    caches: dict[str, CacheCounts] = {}
    bounds: tuple[float, ...] = ()
    version: int = VERSION


def encode(report: ServiceReport) -> bytes:
    """Return the payload of a report."""
    return msgspec.msgpack.encode(report)


def decode(payload: bytes) -> ServiceReport:
    """Return the report in a payload.

    Raises ValueError for a payload that is broken or of another version.
    """
    report = msgspec.msgpack.decode(payload, type=ServiceReport)
    if report.version != VERSION:
        raise ValueError(f"report version {report.version}, this program reads {VERSION}")
    return report
