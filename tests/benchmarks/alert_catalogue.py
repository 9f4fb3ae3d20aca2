"""CPU time of one tick of the rules that come with perftui over a large fleet.

Run: PYTHONPATH=. python tests/benchmarks/alert_catalogue.py [subjects] [profile]
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import sys
import time

import msgspec

from perftui.analysis.alerting.configured import configured_rules
from perftui.analysis.alerting.engine import AlertEngine
from perftui.config import Settings
from perftui.snapshot import (
    Absent,
    Cpu,
    Descriptors,
    Memory,
    Operation,
    OperationWindow,
    Pool,
    PoolServer,
    ProcessDescriptors,
    Quantile,
    Resources,
    Service,
    Snapshot,
    SourceStatus,
    State,
)

BUDGET = 100.0
"""Milliseconds of CPU time a tick."""
WARM_UP = 40
TICKS = 20
OPERATIONS_EACH = 300
NAMES = ("host", "cgroup", "services", "pools", "descriptors", "file_systems", "redis")


def operation(name: str, seconds: float) -> Operation:
    def quantile(value: float) -> Quantile:
        return Quantile(value, 0.8 * value, 1.2 * value)

    count = int(10 * seconds)
    return Operation(
        name, 10.0, 0.1, quantile(0.08), quantile(0.2), quantile(0.3), 0.001, 0.01, count
    )


def service(number: int, operations: int) -> Service:
    windows = tuple(
        OperationWindow(
            seconds, seconds, tuple(operation(f"op-{n}", seconds) for n in range(operations))
        )
        for seconds in (10.0, 60.0, 300.0)
    )
    return Service(f"service-{number}", 4, ("web-1",), 0.5, windows)


def fleet(subjects: int) -> Snapshot:
    """Return a snapshot of which six tenths are operations, two servers, two processes."""
    operations, others = subjects * 6 // 10, subjects * 2 // 10
    measured = Absent(State.NOT_COLLECTED, "not in this benchmark")
    servers = tuple(
        PoolServer(f"s{n}", f"10.0.0.{n}:80", "ready", "", 1, 41.0, 60.0, 100.0, 3, 500, 0.5, False)
        for n in range(others)
    )
    return Snapshot(
        version=1,
        time=0.0,
        monotonic=0.0,
        resources=Resources(
            cpu=Cpu(40.0, measured, 30.0, 10.0, 0.0, 0.0, measured), memory=Memory(50.0, 5, 10, 5)
        ),
        services=tuple(
            service(n, min(OPERATIONS_EACH, operations - n * OPERATIONS_EACH))
            for n in range(-(-operations // OPERATIONS_EACH))
        ),
        pools=(Pool("web", servers),),
        descriptors=Descriptors(
            1000,
            100_000,
            tuple(ProcessDescriptors(n, f"p{n}", 10, 1024) for n in range(others)),
            others,
        ),
        sources=tuple(
            SourceStatus(name, State.OK, "", "", 0.4, 0.002, 1.0, 0, 10) for name in NAMES
        ),
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    snapshot = fleet(count)
    engine = AlertEngine(configured_rules(Settings()))
    now = 1000.0
    times: list[float] = []
    profile = cProfile.Profile() if "profile" in sys.argv else None
    alerts = 0
    for tick in range(WARM_UP + TICKS):
        now += 2.0
        at = msgspec.structs.replace(snapshot, time=1.7e9 + now, monotonic=now)
        if profile is not None and tick == WARM_UP:
            profile.enable()
        begin = time.thread_time()
        found, _ = engine.update(at)
        times.append(1000 * (time.thread_time() - begin))
        alerts = len(found)
    if profile is not None:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(15)
    steady = times[WARM_UP:]
    print(
        f"{count} subjects, {len(engine.rules)} rules, {alerts} alerts: "
        f"{statistics.median(steady):.1f} ms CPU a tick, at most {max(times):.1f} "
        f"(budget {BUDGET:g})"
    )


if __name__ == "__main__":
    main()
