"""How old what is read can be while connections are killed and the network freezes.

Run: PYTHONPATH=. python tests/benchmarks/cache.py --only disturbed [--seconds 60]
Four processes read and write 50 hot keys at full speed and invalidate at random.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from redis_fixture import RedisProcess
from tcp_proxy import TcpProxy
from verdict import Verdict
from worker_group import BOUND, disturb, run_workers


def run(binary: str, seconds: float) -> list[Verdict]:
    """Kill the tracking connections for a half of the time, freeze the network for the other."""
    found: list[Verdict] = []
    for what in ("kills", "frozen"):
        server = RedisProcess(binary)
        proxy = TcpProxy(server.socket)
        try:
            with tempfile.TemporaryDirectory() as where:
                results = run_workers(
                    server,
                    proxy,
                    Path(where) / "ledger",
                    seconds / 2,
                    lambda: disturb(what, server, proxy, time.monotonic() + seconds / 2),  # noqa: B023
                    random.randrange(10_000),
                )
        finally:
            proxy.close()
            server.close()
        total = {name: sum(each[name] for each in results) for name in ("reads", "writes", "lost")}
        wrong = sum(len(each["different"]) for each in results)
        worst = max(each["worst"] for each in results)
        name = "tracking killed" if what == "kills" else "network frozen"
        scale = f"{total['reads']:,} reads, {total['writes']:,} writes, {total['lost']} losses"
        found += [
            Verdict(f"{name}: {seconds / 2:g} s of 4 processes", scale),
            Verdict(f"{name}: stale after quiescence", f"{wrong}", "0", wrong == 0),
            Verdict(
                f"{name}: oldest value ever read",
                f"{worst * 1e3:.0f} ms out of date",
                f"<= {BOUND:g} s",
                worst <= BOUND,
            ),
        ]
    return found
