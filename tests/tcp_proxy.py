"""A TCP port before a server's Unix socket, that can be frozen like a network that swallows all."""

from __future__ import annotations

import asyncio
import contextlib
import threading


class TcpProxy:
    """Forwards connections to 127.0.0.1:`port` until `close`, on a thread of its own.

    While frozen, new connections are accepted, what comes in is lost, and nobody is told. `thaw`
    closes the connections from before, so that nothing from before arrives late.
    """

    def __init__(self, socket_path: str) -> None:
        self.port = 0
        self._path = socket_path
        self._frozen = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def freeze(self) -> None:
        """Swallow everything from now on."""
        self._frozen = True

    def thaw(self) -> None:
        """Let new connections through again."""
        self._cut_there()
        self._frozen = False

    def cut(self) -> None:
        """Close all connections."""
        self._cut_there()

    def close(self) -> None:
        """End all connections and the thread."""
        self._cut_there()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _cut_there(self) -> None:
        done = threading.Event()

        def work() -> None:
            self._cut()
            done.set()

        self._loop.call_soon_threadsafe(work)
        assert done.wait(5)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self._frozen:
            await self._swallow(reader)
            return
        try:
            there, back = await asyncio.open_unix_connection(self._path)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(back)
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            for each in (writer, back):
                each.transport.abort()
                self._writers.discard(each)

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                pass

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self._frozen:
                    await self._swallow(reader)
                    return
                writer.write(data)
                await writer.drain()
        # A frozen end stays open in silence; an ended one ends the other too.
        writer.transport.abort()
