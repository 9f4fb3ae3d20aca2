"""Picks per second of each policy, through the balancer that services use, beside random.choice.

One thread, best of several rounds, for pools of 3, 20 and 1,000 servers. `followed` is a pick and
the report of its end, as `async with balancer.request()` does it.

Run: PYTHONPATH=. python tests/benchmarks/pool_picks.py
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from perftui.pool.balancer import LoadBalancer
from perftui.pool.policies import POLICIES
from perftui.pool.readings import Server

PICKS = 50_000
ROUNDS = 5
WANTED = {"round_robin": 300_000.0, "p2c": 300_000.0}


def best_rate(work: Callable[[], object]) -> float:
    """Return calls per second in the best of the rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(PICKS):
            work()
        best = max(best, PICKS / (time.perf_counter() - began))
    return best


def followed(balancer: LoadBalancer) -> Callable[[], None]:
    selection, clock = balancer.selection, balancer.clock

    def work() -> None:
        server = selection.pick(clock(), followed=True)
        selection.finish(server.id, 0.01, True, clock(), followed=True)

    return work


def main() -> None:
    print(f"{'servers':>8} {'policy':12} {'picks/s':>12} {'followed/s':>12} {'wanted':>12}")
    for count in (3, 20, 1000):
        servers = [Server(f"s{i:04}", f"10.0.0.1:{i}", 1 + i % 3) for i in range(count)]
        names = [server.id for server in servers]
        rate = best_rate(lambda names=names: random.choice(names))  # type: ignore[misc]
        print(f"{count:8} {'choice':12} {rate:12,.0f}")
        for policy in POLICIES:
            balancer = LoadBalancer(policy=policy, static=servers)
            rate, whole = best_rate(balancer.pick), best_rate(followed(balancer))
            wanted = f"{WANTED[policy]:12,.0f}" if policy in WANTED else ""
            print(f"{count:8} {policy:12} {rate:12,.0f} {whole:12,.0f} {wanted}")


if __name__ == "__main__":
    main()
