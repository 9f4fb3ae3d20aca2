"""What the scaling policies do with four hours of a wave of load and one spike.

1,000 to 6,000 requests/s in two hours and back, the spike half as much again for 20 minutes where
the wave is below 4,000 requests/s: above it, max_instances could be too few. A server does 1,000 of
them at 100 % cpu and takes 60 s to start; one that is advised away leaves at once. Prints, as means
over the seeds, how often the size changed and turned back, the share of the time above 100 % cpu,
and the mean number of servers.

    nice -n 10 python -m tests.benchmarks.pool_scaling [seeds]
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from perftui.pool.config import ScalingConfig
from perftui.pool.scaling import ScalingPolicy, ServerReading

HOURS = 4.0
INTERVAL = 15
START = 60
CAPACITY = 1000.0


class Course(NamedTuple):
    """What one run came to; `overloaded` is a share of 1."""

    changes: int
    reversals: int
    overloaded: float
    mean_servers: float
    least: int
    most: int


def demand(second: int, spike_at: int) -> float:
    """Requests per second: a wave of two hours, and 20 minutes of half as much again."""
    wave = 3500.0 - 2500.0 * math.cos(2.0 * math.pi * second / 7200.0)
    return wave * 1.5 if spike_at <= second < spike_at + 1200 and wave < 4000.0 else wave


def run(config: ScalingConfig, seed: int, hours: float = HOURS) -> Course:
    """Follow every advice at once for some hours; the cpu that is told is smoothed over 10 s."""
    chance = random.Random(seed)
    spike_at = chance.randrange(1800, 5400)
    policy = ScalingPolicy(config)
    servers = config.min_instances
    starting: list[int] = []
    cpu = demand(0, spike_at) / servers / CAPACITY * 100.0
    noise = 0.0
    sizes = [servers]
    over = 0
    total = 0
    seconds = int(hours * 3600)
    for now in range(seconds):
        ready = [at for at in starting if at <= now]
        starting = [at for at in starting if at > now]
        servers += len(ready)
        # Noise that lasts for about ten seconds, as real load has, 5 % of it.
        noise = 0.9 * noise + chance.gauss(0.0, 0.05 * math.sqrt(1.0 - 0.81))
        used = demand(now, spike_at) * (1.0 + noise) / servers / CAPACITY * 100.0
        over += used > 100.0
        total += servers + len(starting)
        cpu += (min(100.0, used) - cpu) / 10.0
        if now % INTERVAL:
            continue
        rows = (ServerReading(str(n), cpu, 40.0, used * 5.0) for n in range(servers))
        advice = policy.advise(rows, float(now))
        target = servers + len(starting)
        if advice.want > target and advice.acts:
            starting += [now + START] * (advice.want - target)
        elif advice.want < servers and advice.acts and not starting:
            servers = advice.want
        if servers + len(starting) != sizes[-1]:
            sizes.append(servers + len(starting))
    steps = [after - before for before, after in pairwise(sizes)]
    turned = sum((a > 0) != (b > 0) for a, b in pairwise(steps))
    return Course(len(steps), turned, over / seconds, total / seconds, min(sizes), max(sizes))


def mean_course(config: ScalingConfig, seeds: Iterable[int]) -> Course:
    """Return the means over the seeds, and the least and most servers of all."""
    runs = [run(config, seed) for seed in seeds]
    many = len(runs)
    return Course(
        round(sum(each.changes for each in runs) / many),
        round(sum(each.reversals for each in runs) / many),
        sum(each.overloaded for each in runs) / many,
        sum(each.mean_servers for each in runs) / many,
        min(each.least for each in runs),
        max(each.most for each in runs),
    )


def main() -> None:
    """Print one line per policy."""
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    print(f"{'policy':<10}{'changes':>9}{'reversals':>11}{'overloaded':>12}{'servers':>9}  bounds")
    for policy in ("combined", "step"):
        found = mean_course(ScalingConfig(advice={"policy": policy}), seeds)
        print(
            f"{policy:<10}{found.changes:>9}{found.reversals:>11}{found.overloaded:>12.2%}"
            f"{found.mean_servers:>9.2f}  {found.least}..{found.most}"
        )


if __name__ == "__main__":
    main()
