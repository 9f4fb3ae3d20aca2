"""What one process of a service publishes about itself, and the Redis keys it uses.

All counts and times run since the process began to count, so a reader takes differences and a lost
report loses nothing. The payload is MessagePack; `version` changes when a field changes meaning.
"""

from __future__ import annotations

import msgspec

from perftui.metrics.probe_readings import ProbeReadings
from perftui.metrics.profile_reading import ProfileReading

VERSION = 2
INTERVAL = 2.0
"""Seconds between two reports of one process."""
EXPIRY = 30
"""Seconds a report outlives its process, long enough to be shown as stale first."""
BEFORE_INTERVAL = 10.0
"""Seconds between two reports that are kept for readers that come anew."""
FORGOTTEN_AFTER = 3600.0
"""Seconds after which a process that ended without a word leaves the index."""

INDEX_KEY = "perftui:services"
"""Sorted set of `service/instance` scored by the Redis time of the newest report."""
ENDED_KEY = "perftui:services:ended"
"""Sorted set like `INDEX_KEY` of the processes that said farewell within the last `EXPIRY` seconds.

A process that ends leaves the index and enters here with its last report, whose counts would
otherwise be lost with the seconds since the report before.
"""


def report_key(service: str, instance: str) -> str:
    """Return the key that holds the newest report of one process."""
    return f"perftui:report:{service}/{instance}"


def before_key(service: str, instance: str) -> str:
    """Return the key that holds a report of the same process that is 10 to 20 seconds older.

    A reader that comes anew takes the difference to the newest one and need not wait.
    """
    return f"perftui:before:{service}/{instance}"


class OperationCounts(msgspec.Struct, frozen=True, gc=False):
    """Calls of one operation: all, failed, seconds in total, and counts per bucket.

    `buckets` belongs to `ServiceReport.bounds`, is not cumulative and has one more place for +Inf.
    `cancelled` calls are apart: they are neither in `count` nor in `seconds` nor in `buckets`.
    """

    count: int
    failures: int
    seconds: float
    buckets: tuple[int, ...] = ()
    cancelled: int = 0


class CacheCounts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Look-ups of one cache namespace by tier; sizes in bytes are of the memory tier.

    `memory_misses` holds also what memory knew to be absent and what went past it. None is what the
    process does not count: `memory_ghost_hits`, the misses that twice the size would have answered,
    without a list of evicted keys, and everything from `memory_expirations` on in a report of an
    older release. `states` are places in `ServiceReport.cache_states`: the caches it is part of.
    """

    memory_hits: int
    memory_misses: int
    redis_hits: int
    redis_misses: int
    memory_items: int
    memory_size: int
    memory_evictions: int
    memory_expirations: int | None = None
    memory_ghost_hits: int | None = None
    redis_errors: int | None = None
    codec_errors: int | None = None
    loads: int | None = None
    load_errors: int | None = None
    states: tuple[int, ...] = ()


class CacheState(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One CacheManager of a process: how its memory keeps up with Redis, and what memory may hold.

    `prefix` begins its keys and `separator` ends the name of a namespace, both empty where they are
    not text that can be printed. `coherence` is off, syncing, live or lost, and empty before the
    first use and after the end; `age` is how long it has been so, `lag` and `bound` are seconds as
    well. `redis_answers` is None without a Redis tier, the limits are None without a memory tier.
    """

    prefix: str = ""
    separator: str = ""
    coherence: str = ""
    reason: str = ""
    fix: str = ""
    lag: float | None = None
    bound: float | None = None
    age: float | None = None
    lost: int = 0
    redis_answers: bool | None = None
    max_items: int | None = None
    max_bytes: int | None = None


class ResourceUse(msgspec.Struct, frozen=True, gc=False):
    """What one process uses: percent of one core since its last report, resident bytes.

    None is what the platform or a permission did not let the process measure.
    """

    cpu_percent: float | None = None
    memory_rss: int | None = None
    disk_read: int | None = None
    disk_written: int | None = None


class ServiceReport(msgspec.Struct, frozen=True):
    """One process of a service at one moment; `time` is Unix time by the clock of Redis.

    `uptime` is how many seconds before `time` the counts were zero; `started` and `clock` are Unix
    time by the clock of the process's own host, which may be wrong. `overflow` is how many
    operations were put together as `_other` because there were too many names. `ended` is true in
    the last report of a process that stopped in order: its counts are final, and it is not stale.
    `probes` is None where the process does not watch its event loop and garbage collector,
    `profile` where its Reporter was given no CodeProfiler.
    """

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
    uptime: float = 0.0
    clock: float = 0.0
    resources: ResourceUse | None = None
    overflow: int = 0
    ended: bool = False
    probes: ProbeReadings | None = None
    profile: ProfileReading | None = None
    cache_states: tuple[CacheState, ...] = ()


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
