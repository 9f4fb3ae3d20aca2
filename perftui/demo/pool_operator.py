"""Who looks after the demo's pool: an operator that drains a server, and advice on its size.

Both run in one event loop on a thread of their own; Redis may come and go.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

from perftui.demo.scenarios import WORKERS
from perftui.demo.shop_pool import pool_registry
from perftui.pool.advisor import ScalingAdvisor
from perftui.pool.config import ScalingConfig
from perftui.pool.errors import PoolError
from perftui.pool.registry import PoolRegistry

OPERATOR = "demo operator"
REASON = "deployment of a new version"
LOOK_SECONDS = 1.0
ADVICE_SECONDS = 5.0
ADVICE = ScalingConfig(
    {"cpu_threshold": 40},
    {"min_instances": len(WORKERS), "max_instances": 2 * len(WORKERS)},
    advice={"interval": ADVICE_SECONDS, "up_cooldown": 15, "down_stabilisation": 30},
)
"""Workers should be less than half busy on the mean, well below where one of them is overloaded."""


class PoolOperator:
    """Drains the server that the scenario names, and lets the library advise on the pool's size."""

    def __init__(self, directory: Path) -> None:
        self._registry = pool_registry(directory)
        self._wanted = ""
        self._settled: str | None = None

    def start(self) -> None:
        """Begin on a thread of its own, until the process ends."""
        threading.Thread(target=self._run, name="operator", daemon=True).start()

    def drain(self, server: str) -> None:
        """Want one server drained, and no other of those this operator drained before."""
        self._wanted = server

    def _run(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        await ScalingAdvisor(self._registry, config=ADVICE, interval=ADVICE_SECONDS).start()
        while True:
            wanted = self._wanted
            if wanted != self._settled:
                # Redis may be away, or the server not there yet: then it is tried again.
                with contextlib.suppress(PoolError):
                    await settle(self._registry, wanted)
                    self._settled = wanted
            await asyncio.sleep(LOOK_SECONDS)


async def settle(registry: PoolRegistry, wanted: str) -> None:
    """Drain the wanted server, if any, and bring back the others that this operator drained.

    What anybody else has decided is left alone, whoever it is for. Raises PoolError.
    """
    drained = {row["id"]: row["by"] for row in await registry.servers() if row["admin"] != "ready"}
    back = [server for server, by in drained.items() if by == OPERATOR and server != wanted]
    await registry.set_state(back, "ready", "the new version works", OPERATOR)
    if wanted and wanted not in drained:
        await registry.set_state(wanted, "drain", REASON, OPERATOR)
