"""What recording one call costs, beside prometheus-client's own calls in the same run.

Prints CPU microseconds per call and their ratio, for one and several threads, then the cost of
`track()`, of `counts()` and of reading the same through the public `collect()`. Both sides have the
same buckets and operations; rounds alternate and the median counts. Usage:
`python tests/benchmarks/execution_metrics.py [--calls 20000] [--rounds 9] [--operations 100]
[--threads 1 4]`; set PROMETHEUS_MULTIPROC_DIR to measure multi-process mode.
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from perftui.metrics.buckets import DEFAULT
from perftui.metrics.execution import ExecutionMetrics
from perftui.metrics.operation_counts import from_samples

Call = tuple[str, float, bool]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--operations", type=int, default=100)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()

    metrics = ExecutionMetrics(registry=CollectorRegistry())
    registry = CollectorRegistry()
    hist = Histogram("peer_seconds", "Peer.", ["operation"], registry=registry, buckets=DEFAULT)
    counter = Counter("peer_total", "Peer.", ["operation", "status"], registry=registry)

    def ours(calls: Sequence[Call]) -> None:
        record = metrics.record_execution
        for operation, duration, success in calls:
            record(operation, duration, success)

    def peer(calls: Sequence[Call]) -> None:
        for operation, duration, success in calls:
            status = "success" if success else "failure"
            hist.labels(operation=operation).observe(duration)
            counter.labels(operation=operation, status=status).inc()

    calls = mixed_calls(options.calls, options.operations)
    for threads in options.threads:
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(options.rounds + 1):
            times["ours"].append(cpu_seconds(ours, calls, threads))
            times["peer"].append(cpu_seconds(peer, calls, threads))
        each = {
            side: statistics.median(spent[1:]) / len(calls) * 1e6 for side, spent in times.items()
        }
        print(
            f"{threads} thread(s): record_execution {each['ours']:.2f} us, "
            f"labels().observe() + labels().inc() {each['peer']:.2f} us, "
            f"ratio {each['ours'] / each['peer']:.2f}"
        )

    def tracked(calls: Sequence[Call]) -> None:
        for operation, _, _ in calls:
            with metrics.track(operation):
                pass

    @metrics.track("decorated")
    def decorated() -> None:
        return None

    def call_decorated(calls: Sequence[Call]) -> None:
        for _ in calls:
            decorated()

    print(f"with track(): {per_call(tracked, calls, options.rounds):.2f} us")
    print(f"decorated function: {per_call(call_decorated, calls, options.rounds):.2f} us")
    size = f"{len(metrics.counts())} operations x {len(metrics.bounds) + 1} buckets"
    attributes = per_call(lambda _: metrics.counts(), [calls[0]], options.rounds)
    samples = per_call(lambda _: from_samples(metrics._series), [calls[0]], options.rounds)
    print(
        f"counts() of {size}: {attributes / 1e3:.3f} ms; through collect(): {samples / 1e3:.3f} ms"
    )


def mixed_calls(number: int, operations: int) -> list[Call]:
    """Return calls whose durations spread over the buckets as those of services do."""
    chance = random.Random(7)
    return [
        (
            f"operation {chance.randrange(operations)}",
            chance.lognormvariate(-3.5, 1.5),
            chance.random() > 0.02,
        )
        for _ in range(number)
    ]


def cpu_seconds(run: Callable[[Sequence[Call]], None], calls: list[Call], threads: int) -> float:
    """Return the CPU time of the process for the calls, dealt out to threads."""
    workers = [
        threading.Thread(target=run, args=(calls[number::threads],)) for number in range(threads)
    ]
    begun = time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.process_time() - begun


def per_call(run: Callable[[Sequence[Call]], object], calls: Sequence[Call], rounds: int) -> float:
    """Return the median CPU microseconds of one call."""
    spent = []
    for _ in range(rounds):
        begun = time.process_time()
        run(calls)
        spent.append(time.process_time() - begun)
    return statistics.median(spent) / len(calls) * 1e6


if __name__ == "__main__":
    main()
