"""One request from the pick of its server to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import TYPE_CHECKING

from perftui.pool.readings import Server

if TYPE_CHECKING:
    from types import TracebackType

    from perftui.pool.balancer import LoadBalancer

_OWN_ENDS = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt)


class PickedRequest:
    """Picks a server on entry and tells on exit how long the request took and how it ended.

    `failed` and `unreachable` tell in the block what no exception does. Each is used once.
    """

    def __init__(self, balancer: LoadBalancer, avoid: Container[str] = ()) -> None:
        self._balancer = balancer
        self._avoid = avoid
        self._server: Server | None = None
        self._began = 0.0
        self._ok = True
        self._unreachable = False
        self._abandoned = False
        self._seconds: float | None = None

    def failed(self) -> None:
        """Count the request as failed, though nothing is raised."""
        self._ok = False

    def unreachable(self) -> None:
        """Count it as failed because no connection could be made; the server is out at once."""
        self._ok = False
        self._unreachable = True

    def answered(self, ok: bool) -> None:
        """The answer has begun: its time counts, not that of reading it."""
        self._ok = ok
        self._seconds = self._balancer.clock() - self._began

    def abandon(self) -> None:
        """The end of the request will say nothing about the server."""
        self._abandoned = True

    async def begin(self) -> Server:
        """Pick; raises NoAvailableServersError."""
        server, _ = await self._balancer.choose(self._avoid, followed=True)
        return self._note(server)

    def end(self, error: BaseException | None = None) -> None:
        """Tell the end; more than one is harmless."""
        server, self._server = self._server, None
        if server is None:
            return
        balancer = self._balancer
        if self._abandoned or isinstance(error, _OWN_ENDS):
            balancer.selection.abandon(server.id)
            return
        now = balancer.clock()
        balancer.selection.finish(
            server.id,
            now - self._began if self._seconds is None else self._seconds,
            self._ok and error is None,
            now,
            unreachable=self._unreachable,
            followed=True,
        )

    async def __aenter__(self) -> Server:
        return await self.begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(error)

    def __enter__(self) -> Server:
        self._balancer.ensure_reading()
        selection = self._balancer.selection
        return self._note(selection.pick(self._balancer.clock(), self._avoid, followed=True))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(error)

    def _note(self, server: Server) -> Server:
        self._server = server
        self._began = self._balancer.clock()
        return server
