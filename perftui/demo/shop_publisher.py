"""What a worker says of itself beside its reports: a heartbeat to the pool each second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from perftui.demo.own_usage import OwnCpu, own_memory
from perftui.demo.pool_member import PoolMember
from perftui.demo.pool_redis import PoolRedis
from perftui.demo.shop_metrics import RequestMeter
from perftui.pool.keys import ServerLoad, ServerMeta

BEAT_SECONDS = 1.0
FIRST_BEAT_SECONDS = 0.3
BEATS_PER_WORD = 2
"""Heartbeats for each time that the supervisor is told the CPU use."""
WORKER_MEMORY = 320 * 1024 * 1024
"""Bytes a worker may use; the memory use in its heartbeat is percent of this."""


class Publisher:
    """Keeps one worker in the pool; Redis may come and go."""

    def __init__(
        self,
        name: str,
        address: str,
        redis: PoolRedis,
        meter: RequestMeter,
        tell_cpu: Callable[[float], None],
    ) -> None:
        self._redis = redis
        self._meter = meter
        self._tell_cpu = tell_cpu
        self._member = PoolMember(name, ServerMeta(address, 1, time.time()))
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
        number = 0
        due = time.monotonic()
        while True:
            load = self._load()
            self._redis.ask(lambda redis, load=load: self._member.beat(redis, load))  # type: ignore[misc]
            if number % BEATS_PER_WORD == 0:
                self._tell_cpu(load.cpu_usage or 0.0)
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
