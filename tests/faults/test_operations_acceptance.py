"""The sums on the screen are those of the traffic, to the last call.

ACCEPTANCE=16x200x20 makes it 16 processes with 200 operations and 20 s of traffic.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections import Counter

import pytest
from redis_fixture import RedisProcess
from service_children import HANG, Child, children, watch

from perftui.metrics.report import INTERVAL, before_key
from perftui.snapshot import Absent, Operation, Selection, Service
from perftui.sources.operation_slots import SLOT
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services.source import ServicesSource

PROCESSES, OPERATIONS, SECONDS = map(int, os.environ.get("ACCEPTANCE", "5x50x6").split("x"))
FIVE_MINUTES = 2


def totals(service: Service) -> dict[str, Operation]:
    if not service.windows:
        return {}
    return {each.name: each for each in service.windows[FIVE_MINUTES].operations}


def test_sums_are_exact(redis_server: RedisProcess) -> None:
    source = ServicesSource(RedisTarget.parse(redis_server.url))
    assert source.sample() == ()
    watched = "operation 001"
    source.select(Selection(operation=("acceptance", watched)))
    with children() as started:
        for number in range(PROCESSES):
            started.append(Child(redis_server.url, OPERATIONS, SECONDS, number))
        ids = [child.instance() for child in started]
        watch(source, lambda service: service.processes == PROCESSES)
        told = [child.told() for child in started]
        # Some leave in order at once, and tell the rest in their last report.
        for child in started[::2]:
            child.leave()
        count: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        durations: dict[str, list[float]] = {}
        for each in told:
            failures.update(each["failures"])
            for name, values in each["durations"].items():
                count[name] += len(values)
                durations.setdefault(name, []).extend(values)
        everything = sum(count.values())

        def complete(service: Service) -> Service | None:
            seen = sum(each.count for each in totals(service).values())
            assert seen <= everything, "calls that nobody made"
            return service if seen == everything else None

        watch(source, complete)
        # The slot of the newest calls may still be open, and have a part of a call that is rounded.
        time.sleep(SLOT + INTERVAL)
        service = watch(source, complete)
    found = totals(service)
    assert {name: each.count for name, each in found.items() if each.count} == +count
    for name, operation in found.items():
        if not operation.count:
            continue
        assert operation.error_ratio == pytest.approx(failures[name] / count[name])
        assert operation.mean == pytest.approx(math.fsum(durations[name]) / count[name])
        assert not isinstance(operation.p95, Absent)
        true_p95 = sorted(durations[name])[math.ceil(0.95 * count[name]) - 1]
        assert operation.p95.low <= true_p95 <= operation.p95.high, name
    assert sum(each.time_share for each in found.values()) == pytest.approx(1.0)
    detail = service.details[FIVE_MINUTES]
    assert sum(detail.buckets) == count[watched]
    outcomes = {each.status: each.count for each in detail.statuses}
    assert outcomes["failure"] == failures[watched]
    assert outcomes["success"] == count[watched] - failures[watched]
    assert not isinstance(detail.instances, Absent)
    shares = {share.instance: share.operation.count for share in detail.instances}
    for id_, each in zip(ids, told, strict=True):
        assert shares.get(id_, 0) == len(each["durations"][watched])
    assert service.notes == ()


def test_once_shows_the_operations_of_an_old_process(redis_server: RedisProcess) -> None:
    with children() as started:
        started.append(Child(redis_server.url, 5, HANG, 0, age=3600))
        key = before_key("acceptance", started[0].instance())
        deadline = time.monotonic() + HANG
        while not redis_server.client.exists(key):
            assert time.monotonic() < deadline, "no report is kept for who comes anew"
            time.sleep(0.1)
        (service,) = ServicesSource(RedisTarget.parse(redis_server.url)).sample()
        assert service.instances[0].uptime > 3600  # type: ignore[operator]
        assert sum(each.count for each in service.windows[FIVE_MINUTES].operations) > 500
        assert 6 <= service.windows[FIVE_MINUTES].covered < 21
        once = [sys.executable, "-m", "perftui", "once", "--json", "--seconds", "1"]
        run = subprocess.run(
            [*once, "--redis", redis_server.url], stdout=subprocess.PIPE, check=True, timeout=HANG
        )
    found = json.loads(run.stdout)["operations"]
    assert found
    assert all(each["service"] == "acceptance" for each in found)
    assert sum(each["rate"] for each in found) > 50
    assert all(each["p95"] > 0 for each in found if each["count"])
