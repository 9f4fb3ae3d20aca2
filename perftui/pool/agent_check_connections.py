"""The connections of an agent check: each gets one line at once, whatever it sends or does not."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

LINGER = 1.0
"""Seconds a client has to close after its line, before it is cut off."""
MOST_CONNECTIONS = 128
MOST_INPUT = 4096
"""Bytes that are taken and forgotten: closed with input unread, the line itself could be lost."""
MOST_PEERS = 1000
READY_FOR = 30.0
READY_TIMES = 3


class Connections:
    """Gives every client a line; the oldest one gives way when there are too many.

    `line` makes it for the address of a client.
    """

    def __init__(self, line: Callable[[str], bytes]) -> None:
        self._line = line
        self._open: OrderedDict[Connection, None] = OrderedDict()

    def connection(self) -> Connection:
        """Return the protocol for a new connection."""
        return Connection(self)

    def opened(self, connection: Connection, peer: str) -> bytes:
        """Take a connection in and return what it is to be told."""
        self._open[connection] = None
        if len(self._open) > MOST_CONNECTIONS:
            oldest, _ = self._open.popitem(last=False)
            oldest.cut()
        return self._line(peer)

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open.pop(connection, None)

    def cut_all(self) -> None:
        """Cut all that are open."""
        for connection in list(self._open):
            connection.cut()

    def __len__(self) -> int:
        return len(self._open)


class Connection(asyncio.Protocol):
    """One client: it gets its line, and a second to close."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say the line without waiting for anything, and end this side."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(LINGER, self.cut)
        name = transport.get_extra_info("peername")
        transport.write(self._connections.opened(self, str(name[0]) if name else ""))
        if transport.can_write_eof():
            transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Forget what comes, up to a bound."""
        self._taken += len(data)
        if self._taken > MOST_INPUT:
            self.cut()

    def eof_received(self) -> bool:
        """Close, since the client has."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it."""
        if self._timer is not None:
            self._timer.cancel()
        self._connections.closed(self)

    def cut(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()


class ReadyPeers:
    """Who has heard often enough that the server is ready again.

    Only the agent can undo a drain or maintenance that it has set, and each HAProxy must hear of
    it, also one that could not ask for an hour. Said for ever, it would undo within a check what an
    operator decides in HAProxy itself. So each address hears it for half a minute, three times at
    least, after the start and after each drain.
    """

    def __init__(self) -> None:
        self._peers: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def forget(self) -> None:
        """Tell everybody anew."""
        self._peers.clear()

    def hears(self, peer: str, now: float) -> bool:
        """Return whether this address is to hear it now."""
        first, times = self._peers.pop(peer, (now, 0))
        self._peers[peer] = (first, times + 1)
        while len(self._peers) > MOST_PEERS:
            self._peers.popitem(last=False)
        return times < READY_TIMES or now - first < READY_FOR
