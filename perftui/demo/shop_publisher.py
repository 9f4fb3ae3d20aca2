"""What a worker publishes: a heartbeat to the pool each second, a report every two."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from perftui.demo.own_usage import OwnCpu, own_memory
from perftui.demo.pool_member import PoolMember
from perftui.demo.shop_cache import RedisTier
from perftui.demo.shop_metrics import BOUNDS, OperationMeter
from perftui.metrics.report import (
    EXPIRY,
    INDEX_KEY,
    INTERVAL,
    CacheCounts,
    ServiceReport,
    encode,
    report_key,
)
from perftui.pool.keys import ServerLoad, ServerMeta

if TYPE_CHECKING:
    from redis import Redis

SERVICE = "shop"
BEAT_SECONDS = 1.0
FIRST_BEAT_SECONDS = 0.3
WORKER_MEMORY = 320 * 1024 * 1024
"""Bytes a worker may use; the memory use in its heartbeat is percent of this."""
FORGOTTEN_AFTER = 3600.0
"""Seconds after which a process that is gone leaves the index of reports."""


class Publisher:
    """Publishes one worker; Redis may come and go."""

    def __init__(
        self,
        name: str,
        address: str,
        redis: RedisTier,
        meter: OperationMeter,
        cache_counts: Callable[[], dict[str, CacheCounts]],
        tell_cpu: Callable[[float], None],
    ) -> None:
        self._redis = redis
        self._meter = meter
        self._cache_counts = cache_counts
        self._tell_cpu = tell_cpu
        self._host = socket.gethostname()
        self._instance = f"{self._host}:{os.getpid()}"
        self._started = time.time()
        self._member = PoolMember(name, ServerMeta(address, 1, self._started))
        self._cpu = OwnCpu()
        self._beaten = 0.0
        self._requests = 0

    def start(self) -> None:
        """Publish from a thread of its own until the process ends."""
        threading.Thread(target=self._run, name="publisher", daemon=True).start()

    def _run(self) -> None:
        # Starting costs a whole core for a moment; a load measured over that would be taken for
        # an overload.
        self._redis.ask(lambda redis: redis.ping())
        self._cpu.percent()
        self._beaten, self._requests = time.monotonic(), self._meter.requests
        time.sleep(FIRST_BEAT_SECONDS)
        beats = round(INTERVAL / BEAT_SECONDS)
        number = 0
        due = time.monotonic()
        while True:
            load = self._load()
            self._redis.ask(lambda redis, load=load: self._member.beat(redis, load))  # type: ignore[misc]
            if number % beats == 0:
                self._redis.ask(self._report)
                self._tell_cpu(load.cpu_usage)
            number += 1
            # A beat that came late is not made up for.
            due = max(due + BEAT_SECONDS, time.monotonic())
            time.sleep(due - time.monotonic())

    def _load(self) -> ServerLoad:
        now, requests = time.monotonic(), self._meter.requests
        elapsed = max(now - self._beaten, 1e-3)
        rate = (requests - self._requests) / elapsed
        self._beaten, self._requests = now, requests
        return ServerLoad(
            cpu_usage=round(self._cpu.percent(), 1),
            memory_usage=round(100.0 * own_memory() / WORKER_MEMORY, 1),
            requests_per_second=round(rate, 1),
            in_flight=self._meter.in_flight,
        )

    def _report(self, redis: Redis) -> None:
        seconds, microseconds = redis.time()
        now = seconds + microseconds / 1e6
        payload = encode(
            ServiceReport(
                service=SERVICE,
                instance=self._instance,
                host=self._host,
                pid=os.getpid(),
                started=self._started,
                time=now,
                operations=self._meter.counts(),
                caches=self._cache_counts(),
                bounds=BOUNDS,
            )
        )
        pipeline = redis.pipeline(transaction=False)
        pipeline.set(report_key(SERVICE, self._instance), payload, ex=EXPIRY)
        pipeline.zadd(INDEX_KEY, {f"{SERVICE}/{self._instance}": now})
        pipeline.zremrangebyscore(INDEX_KEY, 0, now - FORGOTTEN_AFTER)
        pipeline.execute()
