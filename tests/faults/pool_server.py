"""One server of a pool in a process of its own: accepts connections and beats.

Arguments: URL of the Redis, pool, id. Prints its port once it serves.
"""

from __future__ import annotations

import asyncio
import sys

from perftui.pool.agent import ServerAgent
from perftui.pool.registry import PoolRegistry


async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"ok")
    await writer.drain()
    writer.close()


async def main() -> None:
    url, pool, name = sys.argv[1:]
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with ServerAgent(PoolRegistry(url, pool, timeout=2.0), name, f"127.0.0.1:{port}"):
        print(port, flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
