"""CPU time to digest a page of metrics of which a tenth matters, by step.

Run: PYTHONPATH=. python tests/benchmarks/scrape.py [series] [wanted]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from perftui.config.settings import Operations
from perftui.sources.metric_presets import mappings
from perftui.sources.scrape.history import Moment, PageHistory
from perftui.sources.scrape.lines import LineFilter
from perftui.sources.scrape.page import PageReader

TEXT = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = tuple(round(0.001 * 1.5**power, 6) for power in range(20))
PER_OPERATION = len(BUCKETS) + 3
ROUNDS = 15


def registry(series: int, wanted: int) -> tuple[CollectorRegistry, Histogram]:
    """Return a registry whose page has that many series, and its histogram of operations."""
    found = CollectorRegistry()
    histogram = Histogram(
        "http_request_duration_seconds",
        "Duration.",
        ["handler", "method", "status"],
        buckets=BUCKETS,
        registry=found,
    )
    for number in range(wanted // PER_OPERATION):
        histogram.labels(f"/api/v1/items/{{id}}/part{number}", "GET", "200").observe(0.1)
    other = Gauge("queue_depth", "Other things.", ["queue", "zone"], registry=found)
    for number in range(series - wanted):
        other.labels(f"queue-{number}", f"zone-{number % 7}").set(number)
    return found, histogram


def milliseconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median of the CPU time of this thread."""
    times = []
    for _ in range(rounds):
        begin = time.thread_time()
        work()
        times.append(time.thread_time() - begin)
    return 1000 * statistics.median(times)


def main() -> None:
    series = int(sys.argv[1]) if len(sys.argv) > 1 else 12_000
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 1_100
    found, histogram = registry(series, wanted)
    body = generate_latest(found)
    text = body.decode()
    kinds = mappings(Operations())
    names = [f"{kind.metric}_{suffix}" for kind in kinds for suffix in ("bucket", "count", "sum")]
    lines = LineFilter(names, [kind.metric for kind in kinds])
    kept = len(lines.kept(body))
    print(f"{len(body):,} bytes, {body.count(bytes([10])):,} lines, {kept:,} kept")
    print(f"filter                     {milliseconds(lambda: lines.kept(body)):8.2f} ms")

    def first() -> None:
        reader, history = PageReader(kinds), PageHistory(kinds)
        moment = Moment(time.monotonic(), 0.0, None, lambda: None)
        history.take(reader.read(body, TEXT), moment)

    print(f"digest, first page         {milliseconds(first):8.2f} ms")
    reader, history = PageReader(kinds), PageHistory(kinds)
    reading, mapping = [], []
    for _ in range(ROUNDS):
        for labels in list(histogram._metrics):
            histogram.labels(*labels).observe(0.05)
        body = generate_latest(found)
        begin = time.thread_time()
        page = reader.read(body, TEXT)
        middle = time.thread_time()
        history.take(page, Moment(time.monotonic(), 0.0, None, lambda: None))
        mapping.append(time.thread_time() - middle)
        reading.append(middle - begin)
    # The first of them is the first page.
    parse, grow = statistics.median(reading[1:]), statistics.median(mapping[1:])
    print(f"filter and parse, later    {1000 * parse:8.2f} ms")
    print(f"map to operations, later   {1000 * grow:8.2f} ms")
    print(f"digest, later pages        {1000 * (parse + grow):8.2f} ms")

    def official() -> int:
        return sum(len(family.samples) for family in text_string_to_metric_families(text))

    print(f"official parser, all lines {milliseconds(official, 3):8.2f} ms")


if __name__ == "__main__":
    main()
