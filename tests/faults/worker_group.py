"""Several processes that read and write the same keys, and what disturbs them meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from cache_worker import Ledger
from redis_fixture import RedisProcess
from tcp_proxy import TcpProxy

WORKERS = 4
QUIET = 2.0
"""Seconds without changes before the last look."""
BOUND = 1.5
"""Seconds that a value may be out of date by the word of CacheManager."""
ROOT = Path(__file__).resolve().parents[2]


def run_workers(
    server: RedisProcess,
    proxy: TcpProxy,
    shared: Path,
    seconds: float,
    disturbance: Callable[[], None],
    seed: int,
) -> list[Any]:
    """Return what each of the processes counted; see cache_worker."""
    shared.write_bytes(bytes(Ledger.SIZE))
    workers = [
        subprocess.Popen(
            [
                *(sys.executable, str(Path(__file__).parent / "cache_worker.py")),
                *(proxy.url, server.socket, str(shared), str(number), str(WORKERS)),
                *(str(seconds), str(QUIET), str(seed)),
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
        disturbance()
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


def disturb(what: str, server: RedisProcess, proxy: TcpProxy, until: float) -> None:
    """Kill the tracking connections (`kills`), or freeze the network, again and again."""
    time.sleep(1.0)
    while time.monotonic() < until - 0.5:
        if what == "kills":
            kill_trackers(server.client)
            time.sleep(random.uniform(0.05, 0.6))
        else:
            proxy.freeze()
            time.sleep(2.2)
            proxy.thaw()
            time.sleep(random.uniform(1.0, 2.5))


def kill_trackers(client: redis.Redis) -> None:
    """Kill the connections that listen for changes."""
    for each in client.client_list(_type="pubsub"):
        with contextlib.suppress(redis.ResponseError):
            client.client_kill_filter(_id=each["id"])
