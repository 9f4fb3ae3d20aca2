"""How often a noisy CPU changes the state of its alert in a simulated day, with many seeds.

Run: PYTHONPATH=. python tests/benchmarks/alert_noise.py [seeds] [first seed]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from test_alert_engine_noise import day, step

SECONDS = 60 + 60
"""Smoothing and hold of the rule, within which a step has to fire."""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    seeds = range(first, first + count)
    steps = [step(seed) for seed in seeds]
    print(
        f"a step to 97 %: fired after {min(steps)} to {max(steps)} s (at most {SECONDS})",
        flush=True,
    )
    for mean, wanted in ((84.0, 2), (70.0, 0)):
        changes = [day(mean, seed)[0] for seed in seeds]
        print(f"mean {mean:g} %, {count} days: state changes {changes} (at most {wanted} a day)")


if __name__ == "__main__":
    main()
