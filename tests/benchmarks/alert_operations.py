"""How often the rules for operations are wrong: false alarms, and slow operations not found.

Run: PYTHONPATH=. python tests/benchmarks/alert_operations.py [healthy services] [trials] [seed]
"""

from __future__ import annotations

import collections
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from operation_traffic import STEP, Trial, false_alarms

EVALUATIONS = 1000


def main() -> None:
    services = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    trials = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 71_000
    alarms: collections.Counter[str] = collections.Counter()
    judgements = 0
    for number in range(services):
        found, judged = false_alarms(seed + number, EVALUATIONS)
        judgements += judged
        alarms.update(rule.split(" ", 1)[0] for rule in found)
        if found:
            print(f"false alarm with seed {seed + number}: {sorted(found)}")
    print(
        f"{services} healthy services of 20 operations, {EVALUATIONS} evaluations each, "
        f"one every {STEP:g} s: {sum(alarms.values())} false alarms "
        f"in {judgements} judgements {dict(alarms)}"
    )
    by_window: dict[float, list[float | None]] = {60.0: [], 300.0: []}
    others = early = 0
    for number in range(trials):
        trial = Trial(seed + 10_000 + number)
        by_window[trial.calls.window].append(trial.found_after)
        others += len(trial.others)
        early += trial.early
        if trial.found_after is None:
            print(f"not found with seed {seed + 10_000 + number}: {trial.calls}")
    for window, results in by_window.items():
        times = sorted(after for after in results if after is not None)
        if times:
            print(
                f"5 times slower, window {window:g} s: found {len(times)} of {len(results)} within "
                f"3 windows, after {statistics.median(times):.2f} in the median, "
                f"{times[-1]:.2f} at most"
            )
    total = sum(len(results) for results in by_window.values())
    hits = sum(after is not None for results in by_window.values() for after in results)
    if total:
        print(
            f"together {hits} of {total} ({100 * hits / total:.1f} %); false alarms of the others: "
            f"{others}, of the chosen before: {early}"
        )


if __name__ == "__main__":
    main()
