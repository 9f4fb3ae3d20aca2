"""Processes that read and write the same keys never see what is too old, whatever breaks."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from cache_worker import Ledger
from redis_fixture import RedisProcess
from tcp_proxy import TcpProxy

WORKERS = 4
SECONDS = float(os.environ.get("PERFTUI_COHERENCE_SECONDS", "6"))
"""How long they read and write; 60 for the full length."""
QUIET = 2.0
BOUND = 1.5
"""Seconds that a value may be out of date by the word of CacheManager."""
SLACK = 0.3
"""Seconds between a moment and its note by a process that waits for one of two processors."""
ROOT = Path(__file__).resolve().parents[2]


def run_workers(server: RedisProcess, proxy: TcpProxy, shared: Path, breaks: Any) -> list[Any]:
    shared.write_bytes(bytes(Ledger.SIZE))
    seed = random.randrange(10_000)
    print("seed", seed)
    workers = [
        subprocess.Popen(
            [
                *(sys.executable, str(Path(__file__).parent / "cache_worker.py")),
                *(proxy.url, server.socket, str(shared), str(number), str(WORKERS)),
                *(str(SECONDS), str(QUIET), str(seed)),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(WORKERS)
    ]
    try:
        breaks(time.monotonic() + SECONDS)
        results = []
        for worker in workers:
            out, err = worker.communicate(timeout=30)
            assert worker.returncode == 0, err[-2000:]
            results.append(json.loads(out))
        return results
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            worker.communicate()


def kill_trackers(client: redis.Redis) -> None:
    for each in client.client_list(_type="pubsub"):
        with contextlib.suppress(redis.ResponseError):
            client.client_kill_filter(_id=each["id"])


@pytest.mark.parametrize("network", ["kills", "frozen"])
def test_four_processes_never_read_what_is_too_old(
    redis_server: RedisProcess, tmp_path: Path, network: str
) -> None:
    proxy = TcpProxy(redis_server.socket)

    def breaks(until: float) -> None:
        time.sleep(1.0)
        while time.monotonic() < until - 0.5:
            if network == "kills":
                kill_trackers(redis_server.client)
                time.sleep(random.uniform(0.05, 0.6))
            else:
                proxy.freeze()
                time.sleep(2.2)
                proxy.thaw()
                time.sleep(random.uniform(1.0, 2.5))

    try:
        results = run_workers(redis_server, proxy, tmp_path / "ledger", breaks)
    finally:
        proxy.close()
    print(json.dumps(results, indent=1))
    assert [each["different"] for each in results] == [[]] * WORKERS
    assert max(each["worst"] for each in results) <= BOUND + SLACK
    # It was memory that was put to the test, and it was disturbed.
    assert all(each["memory_hits"] > 100 for each in results)
    assert all(each["lost"] >= 1 and each["state"] == "live" for each in results)
