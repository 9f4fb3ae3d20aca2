"""Processes that read and write the same keys never see what is too old, whatever breaks."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest
from redis_fixture import RedisProcess
from tcp_proxy import TcpProxy
from worker_group import BOUND, WORKERS, disturb, run_workers

SECONDS = float(os.environ.get("PERFTUI_COHERENCE_SECONDS", "6"))
"""How long they read and write; 60 for the full length."""
SLACK = 0.3
"""Seconds between a moment and its note by a process that waits for one of two processors."""


@pytest.mark.parametrize("network", ["kills", "frozen"])
def test_four_processes_never_read_what_is_too_old(
    redis_server: RedisProcess, tmp_path: Path, network: str
) -> None:
    proxy = TcpProxy(redis_server.socket)
    seed = random.randrange(10_000)
    print("seed", seed)
    try:
        results = run_workers(
            redis_server,
            proxy,
            tmp_path / "ledger",
            SECONDS,
            lambda: disturb(network, redis_server, proxy, time.monotonic() + SECONDS),
            seed,
        )
    finally:
        proxy.close()
    print(json.dumps(results, indent=1))
    assert [each["different"] for each in results] == [[]] * WORKERS
    assert max(each["worst"] for each in results) <= BOUND + SLACK
    # It was memory that was put to the test, and it was disturbed.
    assert all(each["memory_hits"] > 100 for each in results)
    assert all(each["lost"] >= 1 and each["state"] == "live" for each in results)
