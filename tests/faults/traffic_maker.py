"""A service process that counts a great many calls, and tells in the end which ones.

Arguments: URL of Redis, operations, seconds, number of the process, seconds that its clock is
ahead, seconds that it says it has run before. It prints a line when it has begun and one with JSON
when its traffic has ended, goes on reporting until its input ends, and then leaves in order.
"""

from __future__ import annotations

import json
import random
import sys
import time


def main() -> None:
    url, operations, seconds, number, ahead, age = sys.argv[1:]
    if float(ahead):
        real = time.time
        time.time = lambda: real() + float(ahead)
    from perftui.metrics import reporter_life
    from perftui.metrics.execution import ExecutionMetrics
    from perftui.metrics.reporter import Reporter

    metrics = ExecutionMetrics()
    if float(age):
        # Who has counted before the Reporter was made has counted since the process began.
        metrics.record_execution("operation 000", 0.001, True)
        reporter_life.process_zero = lambda: time.monotonic() - float(age)
    reporter = Reporter(redis=url, service="acceptance").start()
    print(reporter.status.instance, flush=True)
    chance = random.Random(int(number))
    names = [f"operation {each:03}" for each in range(int(operations))]
    failures = dict.fromkeys(names, 0)
    durations: dict[str, list[float]] = {name: [] for name in names}
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        # Some operations are called often and some hardly ever, some are fast and some slow.
        for _ in range(chance.randrange(40)):
            place = min(int(chance.expovariate(5 / len(names))), len(names) - 1)
            duration = chance.lognormvariate(-5 + place % 7, 0.8)
            success = chance.random() > 0.03
            metrics.record_execution(names[place], duration, success)
            durations[names[place]].append(duration)
            failures[names[place]] += not success
        time.sleep(0.01)
    print(json.dumps({"failures": failures, "durations": durations}), flush=True)
    sys.stdin.read()


main()
