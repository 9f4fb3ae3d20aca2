"""A service that reports its probes: `late_service.py URL NAME late|well`, until it is killed.

One that is late blocks its event loop for 0.3 s each second, and spends 0.15 s of it in the garbage
collector, each collection of at least 0.05 s.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time

from perftui import Reporter


def heap() -> list[list[int]]:
    """Return so many objects that one garbage collection takes 0.05 s."""
    objects: list[list[int]] = []
    while True:
        objects += [[] for _ in range(200_000)]
        begun = time.perf_counter()
        gc.collect()
        if time.perf_counter() - begun > 0.05:
            return objects


async def serve(url: str, name: str, late: bool) -> None:
    objects = heap() if late else []
    with Reporter(url, name, interval=0.5, longest_pause=1.0, probes=True):
        while True:
            await asyncio.sleep(0.55)
            if late:
                time.sleep(0.3)
                end = time.monotonic() + 0.15
                while time.monotonic() < end and objects:
                    gc.collect()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], sys.argv[3] == "late"))
