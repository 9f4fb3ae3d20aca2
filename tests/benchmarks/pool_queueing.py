"""Response times of a pool under each policy, in a simulation of its queues.

20 servers with 4 workers each and exponential service times of 50 ms take Poisson arrivals from 8
balancers, each with the selection that services use. Servers send a heartbeat each second, whose
CPU is the share of their workers' time that was used; balancers read the pool every half second. In
the second case 2 of the 20 are four times slower. `rr, unfiltered` is the peer: plain round robin
that looks at no load. Prints mean and p99 in milliseconds, of all seeds together, without the first
30 s; `refused` is the share of picks that found no server and then went to one at random.

    nice -n 10 python -m tests.benchmarks.pool_queueing [seeds] [simulated seconds]
"""

from __future__ import annotations

import heapq
import random
import sys
from collections import deque
from typing import NamedTuple

from perftui.pool.config import ScalingConfig
from perftui.pool.load_view import Load, LoadLimits, LoadView
from perftui.pool.readings import Reading, Server
from perftui.pool.selection import NoAvailableServersError, Selection
from tests.benchmarks.verdict import Verdict, quantile, show

SERVERS, WORKERS, BALANCERS = 20, 4, 8
SERVICE = 0.05
WARM_UP = 30.0
REFRESH = 0.5
UNFILTERED = {"cpu_threshold": 100, "memory_threshold": 100, "request_threshold": 1e9}
PEER = "rr, unfiltered"
VARIANTS = {
    PEER: ("round_robin", False),
    "default": ("round_robin", False),
    "weighted": ("weighted", False),
    "p2c": ("p2c", False),
    "p2c_ewma": ("p2c_ewma", False),
    "strict": ("round_robin", True),
}


class Times(NamedTuple):
    """What came out, in seconds, and the share of picks without any server."""

    mean: float
    p99: float
    refused: float


class Node:
    """A server: a queue, its workers, and how much of their time was used."""

    def __init__(self, number: int, slowness: float) -> None:
        self.server = Server(f"s{number:02}", f"10.0.0.{number}:80")
        self.slowness = slowness
        self.waiting: deque[tuple[float, int]] = deque()
        self.busy = 0
        self.used = 0.0
        self.since = 0.0
        self.beat_at = 0.0
        self.finished = 0
        self.load = Load(None, None, None)
        self.smoothed: Load | None = None

    def account(self, now: float) -> None:
        self.used += self.busy * (now - self.since)
        self.since = now


def simulate(
    variant: str, slow: int, share: float, seed: int, seconds: float
) -> tuple[list[float], float]:
    """Return the response times after the warm-up, and the share of refused picks."""
    chance = random.Random(seed)
    policy, strict = VARIANTS[variant]
    config = ScalingConfig(UNFILTERED) if variant == PEER else ScalingConfig()
    nodes = [Node(i, 4.0 if i < slow else 1.0) for i in range(SERVERS)]
    by_name = {node.server.id: node for node in nodes}
    selections = [
        Selection(config, policy, strict=strict, random=chance.random) for _ in range(BALANCERS)
    ]
    view = LoadView(LoadLimits(), 0.0 if strict else config.balancing["smoothing"])
    rate = share * SERVERS * WORKERS / SERVICE
    times: list[float] = []
    picks = refused = turn = 0
    events: list[tuple[float, int, str, int, int, float]] = []

    def plan(at: float, kind: str, one: int = 0, other: int = 0, began: float = 0.0) -> None:
        nonlocal turn
        turn += 1
        heapq.heappush(events, (at, turn, kind, one, other, began))

    def serve(number: int, began: float, balancer: int, now: float) -> None:
        node = nodes[number]
        node.account(now)
        node.busy += 1
        spent = chance.expovariate(1.0 / (SERVICE * node.slowness))
        plan(now + spent, "end", number, balancer, began)

    for number in range(SERVERS):
        plan(chance.random(), "beat", number)
    for balancer in range(BALANCERS):
        plan(chance.random() * 0.001, "read", balancer)
    plan(0.01, "arrive")
    while events:
        now, _, kind, one, other, began = heapq.heappop(events)
        if now > seconds:
            break
        if kind == "arrive":
            balancer = chance.randrange(BALANCERS)
            picks += 1
            try:
                server = selections[balancer].pick(now, followed=True)
            except NoAvailableServersError:
                refused += 1
                server = nodes[chance.randrange(SERVERS)].server
            node = by_name[server.id]
            number = int(server.id[1:])
            if node.busy < WORKERS:
                serve(number, now, balancer, now)
            else:
                node.waiting.append((now, balancer))
            plan(now + chance.expovariate(rate), "arrive")
        elif kind == "end":
            node = nodes[one]
            node.account(now)
            node.busy -= 1
            node.finished += 1
            if began >= WARM_UP:
                times.append(now - began)
            selections[other].finish(node.server.id, now - began, True, now, followed=True)
            if node.waiting:
                start, balancer = node.waiting.popleft()
                serve(one, start, balancer, now)
        elif kind == "beat":
            node = nodes[one]
            node.account(now)
            elapsed = now - node.beat_at
            cpu = 100.0 * node.used / WORKERS / elapsed if elapsed > 0 else 0.0
            node.load = Load(min(100.0, cpu), 40.0, node.finished / max(elapsed, 1e-3))
            node.smoothed = view.judge(node.server.id, node.load, now).load
            node.used, node.finished, node.beat_at = 0.0, 0, now
            plan(now + 1.0, "beat", one)
        else:
            selections[one].update(
                [
                    Reading(n.server, "ready", n.load, now - n.beat_at, 3600.0, n.smoothed)
                    for n in nodes
                ],
                now,
            )
            plan(now + REFRESH, "read", one)
    # Who still waits has waited until now at least; without them a jam would look short.
    late = [seconds - at for node in nodes for at, _ in node.waiting if at >= WARM_UP]
    return times + late, refused / max(1, picks)


def measure(variant: str, slow: int, share: float, seeds: int, seconds: float) -> Times:
    """Return the figures of all seeds together."""
    runs = [simulate(variant, slow, share, seed, seconds) for seed in range(seeds)]
    times = [time for run, _ in runs for time in run]
    refused = sum(share for _, share in runs) / seeds
    return Times(sum(times) / len(times), quantile(times, 0.99), refused)


def main() -> int:
    """Print both cases, and whether the default keeps what was promised."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 120.0
    found: dict[tuple[str, int], Times] = {}
    print(f"{'policy':16}{'slow':>5}{'mean ms':>10}{'p99 ms':>10}{'of peer':>9}{'refused':>9}")
    for slow in (0, 2):
        for variant in VARIANTS:
            times = found[variant, slow] = measure(variant, slow, 0.7, seeds, seconds)
            ratio = times.p99 / found[PEER, slow].p99
            print(
                f"{variant:16}{slow:>5}{times.mean * 1e3:>10,.0f}{times.p99 * 1e3:>10,.0f}"
                f"{ratio:>9.3f}{times.refused:>9.2%}",
                flush=True,
            )
    equal = found["default", 0].p99 / found[PEER, 0].p99
    slower = found["default", 2].p99 / found[PEER, 2].p99
    kept = show(
        [
            Verdict("equal servers: p99 of round robin", f"{equal:.3f}", "<= 1", equal <= 1.0),
            Verdict("2 slow: p99 of round robin", f"{slower:.3f}", "<= 0.1", slower <= 0.1),
        ]
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
