"""CPU time of one tick of the alert engine with many subjects: healthy, and all of them ill.

Run: PYTHONPATH=. python tests/benchmarks/alert_engine.py [subjects]
"""

from __future__ import annotations

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable

from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.snapshot import Snapshot

TICKS = 30
BUDGET = 100.0
"""Milliseconds of CPU time a tick."""


def rule(name: str, subjects: list[str], value: list[float], smoothing: float) -> Rule:
    """Return a rule over the subjects, whose values are all `value[0]`."""

    def measure(snapshot: Snapshot) -> Iterable[Reading]:
        now = value[0]
        window = 0.0 if smoothing else 60.0
        return [Reading(subject, now, 500, None, window, "service") for subject in subjects]

    return Rule(
        id=name,
        name=name,
        title=name,
        kind=Kind.SYMPTOM,
        unit="percent",
        levels=Levels(80.0, 75.0, 95.0, 85.0),
        measure=measure,
        message=lambda reading, level: f"{reading.value:.1f} %, above {level:g} %",
        hint=lambda reading: "look",
        sources=frozenset(),
        pane="operations",
        smoothing=smoothing,
        hold=10.0,
        keep=60.0,
        least=100,
    )


def milliseconds(work: Callable[[int], object], ticks: int) -> tuple[float, float]:
    """Return median and maximum of the CPU time of this thread."""
    times = []
    for tick in range(ticks):
        begin = time.thread_time()
        work(tick)
        times.append(1000 * (time.thread_time() - begin))
    return statistics.median(times), max(times)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    # Operations have three rules, servers and processes two, of which one smooths.
    operations = [f"shop/operation-{n}" for n in range(count * 6 // 10)]
    servers = [f"web/server-{n}" for n in range(count * 2 // 10)]
    processes = [f"process {n}" for n in range(count - len(operations) - len(servers))]
    value = [50.0]
    rules = [
        *(rule(f"operation-{n}", operations, value, 0.0) for n in range(3)),
        *(rule(f"server-{n}", servers, value, 60.0 * n) for n in range(2)),
        *(rule(f"process-{n}", processes, value, 60.0 * n) for n in range(2)),
    ]
    readings = 3 * len(operations) + 2 * len(servers) + 2 * len(processes)
    engine = AlertEngine(rules)
    clock = [1000.0]

    def tick(_: int) -> None:
        clock[0] += 1.0
        engine.update(Snapshot(1, 1.7e9 + clock[0], clock[0]))

    snapshot = Snapshot(1, 0.0, 0.0)
    making, _ = milliseconds(lambda _: [one.measure(snapshot) for one in rules], TICKS)
    tracemalloc.start()
    for number in range(80):
        tick(number)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    healthy, worst = milliseconds(tick, TICKS)
    print(f"{count} subjects, {readings} readings a tick")
    print(f"healthy: {healthy:.1f} ms CPU a tick, at most {worst:.1f} (budget {BUDGET:g});")
    print(f"  {making:.1f} ms of them make the readings,")
    print(f"  {1000 * (healthy - making) / readings:.2f} us a reading in the engine")
    print(f"  {kept / 1e6:.1f} MB kept after 80 ticks")
    value[0] = 99.0
    for number in range(70):
        if number % 10 == 0:
            tick(number)
        else:
            clock[0] += 1.0
    ill, worst = milliseconds(tick, 5)
    print(f"all {readings} firing: {ill:.0f} ms CPU a tick, at most {worst:.0f}")


if __name__ == "__main__":
    main()
